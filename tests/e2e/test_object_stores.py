"""The gateway on S3: processes that are killed while they upload, and a store that is away."""

import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from app.blobs import Address
from app.data.tables import blobs
from app.services.access import keys
from app.services.gateway import Gateway
from app.services.upkeep import moving
from tests.conftest import KeyClient
from tests.e2e.crash.audit import assert_clean
from tests.support import stored
from tests.support.batches import CHAT, chat_line, jsonl
from tests.support.process import Process
from tests.support.seaweed import Seaweed
from tests.support.waiting import until

pytestmark = pytest.mark.one_database
MIB = 2**20
KILLED = ("blob.after_intent", "blob.before_rename", "file.before_row")


@pytest.fixture
def blob_settings(seaweed: Seaweed) -> dict[str, str]:
    return stored.settings(seaweed.address())


@pytest.fixture
def bucket(blob_settings: dict[str, str]) -> str:
    return blob_settings["BATCHGATE_BLOB_URL"].split("/")[2]


def unfinished(seaweed: Seaweed, bucket: str) -> list[str]:
    """The objects of which parts were uploaded, but no end."""
    return [row["Key"] for row in seaweed.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def post(url: str, key: str, data: bytes | Iterator[bytes]) -> requests.Response:
    form = {"file": ("f.bin", data)}
    headers = {"Authorization": f"Bearer {key}"}
    return requests.post(f"{url}/v1/files", data={"purpose": "user_data"}, files=form, headers=headers, timeout=60)


@pytest.mark.parametrize("size", [1000, 6 * MIB])
@pytest.mark.parametrize("point", KILLED)
def test_a_killed_upload_leaves_no_object(
    gateway: Gateway, environment: dict[str, str], seaweed: Seaweed, bucket: str, tmp_path: Path, point: str, size: int
) -> None:
    key = keys.create(gateway, project="alpha", name="crash").key
    armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("web", environment | armed) as web, pytest.raises(requests.ConnectionError):
        post(web.url, key, b"x" * size)
    assert_clean(gateway)
    assert stored.sizes(gateway) == {}
    # Only a rule of the bucket deletes the parts of an upload whose process was killed (docs/object-stores.md).
    has_parts = size > 5 * MIB and point == "blob.before_rename"
    assert len(unfinished(seaweed, bucket)) == has_parts


def test_an_upload_that_is_cut_leaves_nothing_at_all(
    gateway: Gateway, environment: dict[str, str], seaweed: Seaweed, bucket: str
) -> None:
    key = keys.create(gateway, project="alpha", name="cut").key
    with Process("web", environment) as web:
        with socket.create_connection(("127.0.0.1", int(web.url.rpartition(":")[2]))) as connection:
            head = (
                "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                f"Authorization: Bearer {key}\r\nContent-Length: 99999999\r\n\r\n"
                '--b\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n'
            )
            connection.sendall(head.encode() + b"x" * 7 * MIB)
            until(lambda: unfinished(seaweed, bucket), what="parts in the bucket")
        until(lambda: not unfinished(seaweed, bucket), what="aborted upload")
    assert_clean(gateway)
    assert stored.sizes(gateway) == {}


def test_a_batch_runs_with_all_its_bytes_in_the_bucket(client: KeyClient, gateway: Gateway) -> None:
    file = client.post(
        "/v1/files", data={"purpose": "batch", "file": (io.BytesIO(jsonl([chat_line("a")])), "in.jsonl")}
    ).json
    assert file["storage_backend"] == "s3"
    assert client.get(f"/v1/files/{file['id']}/content", headers={"Range": "bytes=2-10"}).status_code == 206
    made = client.post("/v1/batches", json={"input_file_id": file["id"], "endpoint": CHAT})
    assert made.status_code == 200
    assert len(stored.sizes(gateway)) == 1


class TestAway:
    """Nobody listens where the store should be."""

    @pytest.fixture
    def blob_settings(self) -> dict[str, str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
        url = {"BATCHGATE_BLOB_URL": "s3://bucket/p", "BATCHGATE_BLOB_ENDPOINT": endpoint}
        return {**url, "BATCHGATE_BLOB_KEY_ID": "k", "BATCHGATE_BLOB_SECRET": "canary-secret"}

    def test_requests_are_answered_with_503(self, client: KeyClient, capsys: pytest.CaptureFixture[str]) -> None:
        upload = {"purpose": "user_data", "file": (io.BytesIO(b"hello"), "f.bin")}
        refused = client.post("/v1/files", data=upload)
        line = {"custom_id": "a", "body": {"model": "m", "messages": []}}
        batch = client.post("/v1/batches", json={"requests": [line], "endpoint": CHAT})
        for answer in (refused, batch):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), answer.text
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json["blobs"]) == (503, "not available")
        assert "canary" not in json.dumps(ready.json) + refused.text + "".join(capsys.readouterr())


class TestMoving:
    """From a folder to a bucket, which files say once they are there."""

    @pytest.fixture
    def target(self, seaweed: Seaweed) -> Address:
        return seaweed.address()

    @pytest.fixture
    def blob_settings(self, target: Address) -> dict[str, str]:
        names = ("url", "endpoint", "region", "key_id", "secret")
        return {"BATCHGATE_BLOB_STORES": json.dumps([{name: getattr(target, name) for name in names}])}

    def test_each_file_says_where_its_bytes_are(self, client: KeyClient, gateway: Gateway, target: Address) -> None:
        def upload(data: bytes) -> str:
            form = {"purpose": "user_data", "file": (io.BytesIO(data), "f.bin")}
            file_id: str = client.post("/v1/files", data=form).json["id"]
            return file_id

        old = upload(b"x" * 6 * MIB)
        assert [outcome.state for outcome in moving.move(gateway, to=target.url)] == ["moved"]
        new = upload(b"new")
        listed = {
            row["id"]: (row["storage_backend"], row["storage_uri"]) for row in client.get("/v1/files").json["data"]
        }
        assert listed == {old: ("s3", f"s3://{old}"), new: ("local", f"local://{new}")}
        assert client.get(f"/v1/files/{old}").json["storage_backend"] == "s3"
        assert client.get(f"/v1/files/{old}/content").data == b"x" * 6 * MIB
        assert client.delete(f"/v1/files/{old}").status_code == 200
        assert client.delete(f"/v1/files/{new}").status_code == 200
        with gateway.database.read() as connection:
            assert connection.execute(select(blobs.c.id)).first() is None
