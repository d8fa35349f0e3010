"""A disk that fills up: uploads are refused, what frees space and what was begun still works."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from app.blobs.local import LocalBlobs
from app.data.tables import blobs as blob_rows
from app.services.access import keys
from app.services.gateway import Gateway
from app.worker import build_engine
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.support import stored
from tests.support.batches import chat_line, jsonl
from tests.support.full_disk import full
from tests.support.waiting import until
from tests.support.web import application

PART = 3 * 2**20


@pytest.fixture
def local_base_url() -> Iterator[str]:
    with FakeServer(models=()) as server:
        yield server.base_url


def upload_form(data: bytes, *, purpose: str = "batch", field: str = "file") -> dict[str, Any]:
    return {"purpose": purpose, field: (io.BytesIO(data), "a.jsonl"), "provider": "local"}


class SmallDisk(LocalBlobs):
    """A disk with so many bytes, of which the blobs take some."""

    size = 2**40

    def free_bytes(self) -> int:
        return self.size - sum(file.stat().st_size for file in self.root.rglob("*") if file.is_file())


@pytest.fixture
def disk(gateway: Gateway) -> SmallDisk:
    return SmallDisk(stored.local(gateway).root)


@pytest.fixture
def small(gateway: Gateway, disk: SmallDisk) -> Gateway:
    return replace(gateway, blobs=disk, settings=replace(gateway.settings, disk_reserve_bytes=10 * 2**20))


@pytest.fixture
def filling(small: Gateway) -> KeyClient:
    """A client whose requests find the small disk."""
    flask = application(small)
    flask.test_client_class = KeyClient
    client = flask.test_client()
    assert isinstance(client, KeyClient)
    client.key = keys.create(small, project="alpha", name="filling").key
    return client


def refused(answer: object) -> bool:
    told = answer.get_json()["error"]  # type: ignore[attr-defined]
    assert (answer.status_code, told["code"]) == (507, "storage_full"), told  # type: ignore[attr-defined]
    assert answer.headers["x-should-retry"] == "false"  # type: ignore[attr-defined]
    return True


def live_blobs(gateway: Gateway) -> int:
    with gateway.database.read() as connection:
        return len(connection.execute(select(blob_rows.c.id)).all())


def test_below_the_reserve_uploads_are_refused_and_the_rest_works(
    filling: KeyClient, small: Gateway, disk: SmallDisk
) -> None:
    big = filling.post("/v1/files", data=upload_form(os.urandom(PART), purpose="user_data")).get_json()["id"]
    lines = jsonl([chat_line("a")])
    input_id = filling.post("/v1/files", data=upload_form(lines)).get_json()["id"]
    batch = {"endpoint": "/v1/chat/completions", "input_file_id": input_id, "provider": "local"}
    running = filling.post("/v1/batches", json=batch).get_json()["id"]
    container = filling.post("/v1/containers", json={"name": "c", "provider": "local"}).get_json()["id"]
    upload = filling.post(
        "/v1/uploads",
        json={"filename": "a.txt", "purpose": "user_data", "bytes": 5, "mime_type": "text/plain", "provider": "local"},
    ).get_json()["id"]
    before = live_blobs(small)

    disk.size = 10 * 2**20
    assert refused(filling.post("/v1/files", data=upload_form(b"x", purpose="user_data")))
    assert refused(filling.post(f"/v1/uploads/{upload}/parts", data=upload_form(b"x", field="data")))
    assert refused(filling.post(f"/v1/containers/{container}/files", data=upload_form(b"x")))
    assert refused(filling.post("/v1/batches", json=batch))
    inline = {"endpoint": "/v1/chat/completions", "requests": [chat_line("a")], "provider": "local"}
    assert refused(filling.post("/v1/batches", json=inline))
    assert live_blobs(small) == before

    with working(small):
        until(lambda: filling.get(f"/v1/batches/{running}").get_json()["status"] == "completed")
    output_id = filling.get(f"/v1/batches/{running}").get_json()["output_file_id"]
    assert filling.get(f"/v1/files/{output_id}/content").data.count(b"\n") == 1
    assert filling.get(f"/v1/files/{input_id}/content").data == lines
    assert filling.delete(f"/v1/files/{big}").status_code == 200

    disk.size += 1 * 2**20  # and it recovers by itself
    assert filling.post("/v1/files", data=upload_form(b"x", purpose="user_data")).status_code == 200


@contextmanager
def working(gateway: Gateway) -> Iterator[None]:
    engine = build_engine(gateway, name="worker")
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        yield
    finally:
        engine.stop()
        thread.join(20)


def test_an_upload_that_begins_with_room_ends_at_the_reserve(
    filling: KeyClient, small: Gateway, disk: SmallDisk
) -> None:
    disk.size = 12 * 2**20
    assert refused(filling.post("/v1/files", data=upload_form(os.urandom(2 * PART), purpose="user_data")))
    assert live_blobs(small) == 0
    assert disk.free_bytes() == disk.size


@pytest.mark.parametrize("table", ["blobs", "files", "events"])
def test_a_full_database_is_called_full(
    client: KeyClient, gateway: Gateway, table: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = client.post("/v1/files", data=upload_form(b"x", purpose="user_data")).get_json()["id"]
    with full(gateway.database, table):
        answer = client.post("/v1/files", data=upload_form(b"y", purpose="user_data"))
        if table == "events":  # the file is there, so the answer says so
            assert answer.status_code == 200
        else:
            assert refused(answer)
        assert client.get(f"/v1/files/{file}").status_code == 200
    assert "Traceback" not in capfd.readouterr().err
    assert client.post("/v1/files", data=upload_form(b"z", purpose="user_data")).status_code == 200


@pytest.mark.one_database
def test_requests_are_answered_while_nothing_can_be_logged(client: KeyClient) -> None:
    with stderr_to("/dev/full"):
        assert client.get("/v1/files").status_code == 200
        assert client.get("/v1/files/file-nope").status_code == 404
        assert client.post("/v1/files", data=upload_form(b"x")).status_code == 200


@contextmanager
def stderr_to(path: str) -> Iterator[None]:
    kept, other = os.dup(2), os.open(path, os.O_WRONLY)
    os.dup2(other, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(other)
