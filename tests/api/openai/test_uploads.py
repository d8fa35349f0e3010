"""Uploads: parts in any order, joined once, gone in time."""

import hashlib
import os
import random
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from openai import OpenAI
from sqlalchemy import insert, select, update

from app.data.files import blobs as blob_rows
from app.data.tables import blobs, files, upload_parts, uploads
from app.services import blobs as blob_service
from app.services.files import uploads as upload_service
from app.services.gateway import Gateway
from tests.api.openai.test_files import BASES, FIELDS, LINE, count, refusal, stored
from tests.conftest import KeyClient
from tests.support import forms
from tests.support import stored as stored_bytes
from tests.support.server import LiveServer

UPLOAD_FIELDS = {
    "id", "object", "bytes", "created_at", "expires_at", "filename", "purpose", "status", "file", "extra_fields",
}  # fmt: skip
HOUR_MS = 3600 * 1000


def start(client: KeyClient, size: int = 10, *, path: str = "/v1/uploads", **body: Any) -> Any:
    announced = {"filename": "in.txt", "purpose": "user_data", "bytes": size, "mime_type": "text/plain", **body}
    return client.post(path, json=announced)


def begun(client: KeyClient, size: int = 10, **body: Any) -> str:
    response = start(client, size, **body)
    assert response.status_code == 200, response.json
    return str(response.json["id"])


def add(client: KeyClient, upload_id: str, data: bytes, *, field: str = "data") -> Any:
    return client.post(f"/v1/uploads/{upload_id}/parts", data={field: (BytesIO(data), "upload")})


def added(client: KeyClient, upload_id: str, data: bytes) -> str:
    response = add(client, upload_id, data)
    assert response.status_code == 200, response.json
    return str(response.json["id"])


def complete(client: KeyClient, upload_id: str, part_ids: list[str], **body: Any) -> Any:
    return client.post(f"/v1/uploads/{upload_id}/complete", json={"part_ids": part_ids, **body})


def cancel(client: KeyClient, upload_id: str) -> Any:
    return client.post(f"/v1/uploads/{upload_id}/cancel")


def age(gateway: Gateway, upload_id: str) -> None:
    """Let the hour of an upload be over."""
    with gateway.database.write() as connection:
        moved = update(uploads).where(uploads.c.public_id == upload_id)
        connection.execute(moved.values(expires_at=uploads.c.expires_at - HOUR_MS - 1))


def state(gateway: Gateway, upload_id: str) -> str:
    with gateway.database.read() as connection:
        return str(connection.execute(select(uploads.c.state).where(uploads.c.public_id == upload_id)).scalar_one())


def swept(gateway: Gateway) -> int:
    """Blobs on disk once the sweeper has been there."""
    blob_service.sweep(gateway)
    with gateway.database.read() as connection:
        assert blob_rows.count_orphans(connection) == 0
    assert count(gateway, blobs) == len(stored(gateway))
    return len(stored(gateway))


@pytest.mark.parametrize("base", BASES)
def test_an_upload_from_start_to_finish(client: KeyClient, base: str) -> None:
    made = start(client, 10, path=f"{base}/uploads").json
    assert set(made) == UPLOAD_FIELDS
    assert (made["object"], made["status"], made["file"]) == ("upload", "pending", None)
    assert made["id"].startswith("upload_") and len(made["id"]) <= 48
    assert made["expires_at"] == made["created_at"] + 3600

    part = client.post(f"{base}/uploads/{made['id']}/parts", data={"data": (BytesIO(b"0123456789"), "upload")}).json
    assert set(part) == {"id", "object", "created_at", "upload_id", "extra_fields"}
    assert (part["object"], part["upload_id"]) == ("upload.part", made["id"])
    assert part["id"].startswith("part_")

    done = client.post(f"{base}/uploads/{made['id']}/complete", json={"part_ids": [part["id"]]}).json
    assert set(done) == UPLOAD_FIELDS
    assert (done["status"], set(done["file"])) == ("completed", FIELDS)
    assert (done["file"]["bytes"], done["file"]["filename"]) == (10, "in.txt")
    assert client.get(f"{base}/files/{done['file']['id']}/content").data == b"0123456789"


def test_parts_are_joined_in_the_order_of_the_list(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client, 9)
    one, _unused, three, two = (added(client, upload_id, data) for data in (b"aaa", b"bbb", b"ccc", b"bbb"))
    done = complete(client, upload_id, [one, two, three], md5=hashlib.md5(b"aaabbbccc").hexdigest().upper()).json
    assert client.get(f"/v1/files/{done['file']['id']}/content").data == b"aaabbbccc"
    assert swept(gateway) == 1
    with gateway.database.read() as connection:
        assert connection.execute(select(files.c.sha256)).scalar_one() == hashlib.sha256(b"aaabbbccc").hexdigest()


def test_lines_across_parts_are_indexed(client: KeyClient, gateway: Gateway) -> None:
    data = b"\xef\xbb\xbf" + LINE * 50 + b"{nope\n" + LINE * 50
    upload_id = begun(client, len(data), filename="in.jsonl", purpose="batch", mime_type="text/jsonl")
    parts = [added(client, upload_id, data[at : at + 1000]) for at in range(0, len(data), 1000)]
    file = complete(client, upload_id, parts).json["file"]
    assert file["status_details"] == "line 51: This line is not parseable as valid JSON."
    assert file["expires_at"] == file["created_at"] + 30 * 24 * 3600
    with gateway.database.read() as connection:
        assert connection.execute(select(files.c.lines)).scalar_one() == 101


@pytest.mark.parametrize(
    ("filename", "accepted"), [("upload", True), ("in.JSONL", True), ("-", True), ("a.txt", False)]
)
def test_the_name_of_a_batch_input_may_lack_an_extension(client: KeyClient, filename: str, *, accepted: bool) -> None:
    body = {"filename": filename, "purpose": "batch", "bytes": 10, "mime_type": "text/jsonl"}
    response = client.post("/v1/uploads", json=body)
    assert response.status_code == (200 if accepted else 400), response.text
    assert accepted or response.json["error"]["param"] == "filename"


def test_the_file_expires_as_announced(client: KeyClient) -> None:
    upload_id = begun(client, 3, expires_after={"anchor": "created_at", "seconds": 7200})
    file = complete(client, upload_id, [added(client, upload_id, b"abc")]).json["file"]
    assert file["expires_at"] == file["created_at"] + 7200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"filename": ""}, "filename"),
        ({"filename": None}, "filename"),
        ({"filename": "a\x00b"}, "filename"),
        ({"purpose": "party"}, "purpose"),
        ({"purpose": "batch"}, "filename"),
        ({"bytes": 0}, "bytes"),
        ({"bytes": -1}, "bytes"),
        ({"bytes": True}, "bytes"),
        ({"bytes": 1.5}, "bytes"),
        ({"bytes": 2**50}, "bytes"),
        ({"mime_type": "jsonl"}, "mime_type"),
        ({"mime_type": None}, "mime_type"),
        ({"purpose": "batch", "filename": "in.jsonl", "mime_type": "image/png"}, "mime_type"),
        ({"expires_after": {"anchor": "created_at", "seconds": 1}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": 3600}}, "expires_after.anchor"),
        ({"provider": "nobody"}, "provider"),
    ],
)
def test_a_wrong_upload_is_refused(client: KeyClient, gateway: Gateway, body: dict[str, Any], param: str) -> None:
    assert refusal(start(client, **body)) == (400, param)
    assert count(gateway, uploads) == 0


@pytest.mark.parametrize(
    "mime_type", ["text/jsonl", "application/jsonl", "application/json", "text/plain; charset=utf-8"]
)
def test_many_types_pass_for_jsonl(client: KeyClient, mime_type: str) -> None:
    begun(client, purpose="batch", filename="in.jsonl", mime_type=mime_type)


def test_a_part_needs_bytes_under_the_right_name(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client)
    assert refusal(add(client, upload_id, b"")) == (400, "data")
    assert refusal(add(client, upload_id, b"x", field="file")) == (400, "data")
    assert client.post(f"/v1/uploads/{upload_id}/parts", json={}).status_code == 400
    assert (count(gateway, upload_parts), swept(gateway)) == (0, 0)


def test_a_part_has_64_mib_at_most(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client, 2**26 + 1)
    for extra, status in ((b"", 200), (b"x", 413)):
        body = forms.Endless(
            forms.part("data", b"", filename="a")[:-2], b"x" * 2**16, 1024, extra + b"\r\n" + forms.end()
        )
        assert client.post(f"/v1/uploads/{upload_id}/parts", environ_overrides=body.environ).status_code == status
    assert (count(gateway, upload_parts), swept(gateway)) == (1, 1)


def test_a_part_larger_than_the_announced_bytes_is_refused(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client, 6)
    parts = [added(client, upload_id, b"abcd")]
    assert refusal(add(client, upload_id, b"efg")) == (400, "data")
    assert refusal(add(client, upload_id, b"1234567")) == (400, "data")
    assert (count(gateway, upload_parts), swept(gateway)) == (1, 1)
    parts.append(added(client, upload_id, b"ef"))
    assert complete(client, upload_id, parts).json["file"]["bytes"] == 6


def test_a_part_that_is_sent_again_does_not_fill_the_upload(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client, 6)
    lost, one, two = (added(client, upload_id, data) for data in (b"abc", b"abc", b"def"))
    assert lost != one
    assert complete(client, upload_id, [one, two]).status_code == 200
    assert swept(gateway) == 1


def test_parts_at_once_do_not_exceed_the_announced_bytes(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client, 6)
    pieces = [b"aaa", b"bbb", b"ccc", b"ddd"]
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda data: add(client, upload_id, data).status_code, pieces))
    assert statuses == [200, 200, 400, 400]
    assert (count(gateway, upload_parts), swept(gateway)) == (2, 2)


def test_a_part_that_lost_bytes_does_not_end_in_a_file(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client, 6)
    parts = [added(client, upload_id, data) for data in (b"abc", b"def")]
    stored_bytes.local(gateway)
    os.truncate(stored(gateway)[0], 1)
    assert complete(client, upload_id, parts).status_code == 503
    assert (state(gateway, upload_id), count(gateway, files), swept(gateway)) == ("pending", 0, 2)


def test_an_upload_has_so_many_parts_at_most(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client)
    with gateway.database.write() as connection:
        row_id = connection.execute(select(uploads.c.id)).scalar_one()
        rows = [{"public_id": f"part_{number}", "upload_id": row_id, "created_at": 1} for number in range(9_999)]
        connection.execute(insert(upload_parts), rows)
    added(client, upload_id, b"x")
    assert refusal(add(client, upload_id, b"x")) == (400, "data")


def test_the_parts_must_make_up_the_upload(client: KeyClient, other_client: KeyClient, gateway: Gateway) -> None:
    upload_id, other, foreign = begun(client, 6), begun(client, 6), begun(other_client, 6)
    one, two = added(client, upload_id, b"abc"), added(client, upload_id, b"def")
    alien, stranger = added(client, other, b"def"), added(other_client, foreign, b"def")
    wrong: list[list[Any]] = [
        [one],
        [one, one],
        [one, "part_no"],
        [one, alien],
        [one, stranger],
        [],
        [one, 5],
        [one, ""],
    ]
    for part_ids in wrong:
        status, param = refusal(complete(client, upload_id, part_ids))
        assert (status, str(param).partition("[")[0]) == (400, "part_ids")
    assert refusal(client.post(f"/v1/uploads/{upload_id}/complete", json={})) == (400, "part_ids")
    assert refusal(complete(client, upload_id, [one, two], md5="0" * 32)) == (400, "md5")
    assert (state(gateway, upload_id), count(gateway, files), swept(gateway)) == ("pending", 0, 4)
    assert complete(client, upload_id, [one, two]).status_code == 200


def test_an_upload_that_is_over_accepts_nothing_more(client: KeyClient, gateway: Gateway) -> None:
    done, cancelled, late = begun(client, 3), begun(client, 3), begun(client, 3)
    parts = {upload_id: added(client, upload_id, b"abc") for upload_id in (done, cancelled, late)}
    assert complete(client, done, [parts[done]]).status_code == 200
    assert cancel(client, cancelled).json["status"] == "cancelled"
    age(gateway, late)

    for upload_id, part in parts.items():
        assert add(client, upload_id, b"abc").status_code == 409
        assert complete(client, upload_id, [part]).status_code == 409
    assert cancel(client, done).status_code == cancel(client, late).status_code == 409
    assert cancel(client, cancelled).json["status"] == "cancelled"
    assert count(gateway, files) == 1


def test_cancelling_deletes_the_bytes(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client)
    for data in (b"abc", b"def", b"ghi"):
        added(client, upload_id, data)
    assert swept(gateway) == 3
    cancel(client, upload_id)
    assert swept(gateway) == 0


def test_equal_parts_are_stored_once(client: KeyClient, gateway: Gateway) -> None:
    upload_id, other = begun(client, 7), begun(client, 3)
    equal = [added(client, upload_id, b"abc") for _ in range(3)]
    last = added(client, upload_id, b"d")
    added(client, other, b"abc")
    assert swept(gateway) == 3

    made = complete(client, upload_id, [equal[2], last, equal[0]]).json["file"]["id"]
    assert client.get(f"/v1/files/{made}/content").data == b"abcdabc"
    assert swept(gateway) == 2
    cancel(client, other)
    assert swept(gateway) == 1


def test_an_upload_expires_after_an_hour(client: KeyClient, gateway: Gateway) -> None:
    over, fresh = begun(client), begun(client)
    added(client, over, b"abc")
    kept = added(client, fresh, b"0123456789")
    age(gateway, over)

    assert upload_service.expire_due(gateway) == 1
    assert (state(gateway, over), swept(gateway)) == ("expired", 1)
    assert complete(client, fresh, [kept]).status_code == 200


def test_more_expired_uploads_than_a_slice_holds_all_end(client: KeyClient, gateway: Gateway) -> None:
    for _ in range(5):
        age(gateway, begun(client))
    assert upload_service.expire_due(gateway, slice_rows=2) == 5


@pytest.mark.parametrize("upload_id", ["upload_no", "file-1", "x" * 300, "upload_%00", "%F0%9F%90%88"])
def test_an_unknown_upload_is_not_found(client: KeyClient, upload_id: str) -> None:
    assert add(client, upload_id, b"x").status_code == 404
    assert complete(client, upload_id, ["part_1"]).status_code == 404
    assert cancel(client, upload_id).status_code == 404


def test_a_foreign_upload_is_not_found(client: KeyClient, other_client: KeyClient, gateway: Gateway) -> None:
    foreign = begun(other_client, 3)
    part = added(other_client, foreign, b"abc")
    assert add(client, foreign, b"x").status_code == 404
    assert complete(client, foreign, [part]).status_code == 404
    assert cancel(client, foreign).status_code == 404
    assert (state(gateway, foreign), count(gateway, upload_parts)) == ("pending", 1)


def test_two_completes_at_once_make_one_file(client: KeyClient, gateway: Gateway) -> None:
    upload_id = begun(client, 300_000)
    parts = [added(client, upload_id, b"x" * 100_000) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda _: complete(client, upload_id, parts).status_code, range(4)))
    assert statuses == [200, 409, 409, 409]
    assert (count(gateway, files), swept(gateway)) == (1, 1)


def test_completing_and_cancelling_at_once_have_one_winner(client: KeyClient, gateway: Gateway) -> None:
    for _ in range(5):
        upload_id = begun(client, 300_000)
        part = added(client, upload_id, b"x" * 300_000)
        before = count(gateway, files)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(complete, client, upload_id, [part])
            second = pool.submit(cancel, client, upload_id)
            statuses = (first.result().status_code, second.result().status_code)
        assert statuses in ((200, 409), (409, 200))
        ended = state(gateway, upload_id)
        assert ended == ("completed" if statuses[0] == 200 else "cancelled")
        assert count(gateway, files) - before == (ended == "completed")
        swept(gateway)


def test_parts_can_be_sent_in_parallel(client: KeyClient) -> None:
    upload_id = begun(client, 80_000)
    pieces = [bytes([65 + number]) * 10_000 for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        part_ids = list(pool.map(lambda data: added(client, upload_id, data), pieces))
    file = complete(client, upload_id, part_ids).json["file"]
    assert client.get(f"/v1/files/{file['id']}/content").data == b"".join(pieces)


def test_requests_with_a_key_take_effect_once(client: KeyClient, gateway: Gateway) -> None:
    def keyed(path: str, key: str, **rest: Any) -> Any:
        return client.post(path, headers={"Idempotency-Key": key}, **rest).json

    body = {"filename": "a", "purpose": "user_data", "bytes": 3, "mime_type": "text/plain"}
    ids = {keyed("/v1/uploads", "a", json=body)["id"] for _ in range(2)}
    (upload_id,) = ids
    path = f"/v1/uploads/{upload_id}"
    (part,) = {keyed(f"{path}/parts", "b", data={"data": (BytesIO(b"abc"), "u")})["id"] for _ in range(2)}
    done = [keyed(f"{path}/complete", "c", json={"part_ids": [part]}) for _ in range(2)]
    assert done[0]["file"]["id"] == done[1]["file"]["id"]
    assert (count(gateway, uploads), count(gateway, upload_parts), count(gateway, files)) == (1, 1, 1)


def test_the_official_client_uploads_a_file_in_chunks(live_server: LiveServer) -> None:
    data = random.Random(7).randbytes(300_000)
    with OpenAI(base_url=f"{live_server.url}/v1", api_key=live_server.key, max_retries=0) as sdk:
        done = sdk.uploads.upload_file_chunked(
            file=data,
            filename="data.bin",
            bytes=len(data),
            mime_type="application/octet-stream",
            purpose="user_data",
            part_size=65_536,
            md5=hashlib.md5(data).hexdigest(),
        )
        assert (done.status, done.file is not None) == ("completed", True)
        assert done.file is not None
        assert sdk.files.content(done.file.id).content == data
        assert sdk.files.list().data[0].id == done.file.id
        assert sdk.files.delete(done.file.id).deleted
