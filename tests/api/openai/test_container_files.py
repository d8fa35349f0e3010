"""Files in containers: copied from the project, uploaded, read, deleted."""

import hashlib
import socket
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import Table, func, select

from app.data.files import blobs as blob_rows
from app.data.tables import blobs, idempotency_keys
from app.data.tables import container_files as container_files_table
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services import blobs as blob_service
from app.services.containers import containers, files
from app.services.containers.containers import Container, NewContainer
from app.services.containers.paths import checked_path
from app.services.gateway import Caller, Gateway
from tests.api.openai.test_containers import age, create, make_file, references
from tests.conftest import KeyClient
from tests.support.server import LiveServer
from tests.support.waiting import until

FIELDS = {"id", "object", "container_id", "path", "bytes", "created_at", "source", "extra_fields"}


@pytest.fixture
def box(client: KeyClient) -> str:
    """The path of a running container."""
    return f"/v1/containers/{create(client)['id']}"


@pytest.fixture
def container(gateway: Gateway, caller: Caller) -> Container:
    """A running container, as services see it."""
    return containers.create(gateway, caller, NewContainer(name="box", provider="local"))


def copy(client: KeyClient, box: str, file_id: str, **body: Any) -> Any:
    return client.post(f"{box}/files", json={"file_id": file_id, **body})


def upload(client: KeyClient, box: str, data: bytes = b"hello", *, name: str = "a.txt", **fields: str) -> Any:
    return client.post(f"{box}/files", data={"file": (BytesIO(data), name), **fields})


def test_a_copied_file_has_the_fields_of_the_contract(client: KeyClient, gateway: Gateway, box: str) -> None:
    file_id = make_file(gateway, "alpha", b"12345678")
    made = copy(client, box, file_id).json

    assert set(made) == FIELDS
    assert made["id"].startswith("cfile_") and len(made["id"]) <= 48
    assert (made["object"], made["bytes"], made["source"]) == ("container.file", 8, "user")
    assert made["container_id"] == box.rpartition("/")[2]
    assert made["path"].startswith("/mnt/data/") and made["path"].endswith("-in put.csv")
    assert made["extra_fields"]["request_type"] == "container_file_create"
    assert client.get(f"{box}/files/{made['id']}").json["path"] == made["path"]
    assert references(gateway, file_id) == 2


def test_a_deleted_copy_releases_the_bytes_and_a_deleted_file_leaves_them(
    client: KeyClient, gateway: Gateway, box: str
) -> None:
    file_id = make_file(gateway, "alpha")
    path = f"{box}/files/{copy(client, box, file_id).json['id']}"
    deleted = client.delete(path, content_type="application/json")
    body = deleted.json
    body.pop("extra_fields")

    assert body == {"id": path.rpartition("/")[2], "object": "container.file.deleted", "deleted": True}
    assert references(gateway, file_id) == 1
    for gone in (client.get(path), client.delete(path), client.get(f"{path}/content")):
        assert gone.status_code == 404
        assert gone.json["error"]["message"] == f"File {body['id']} not found on container {box.rpartition('/')[2]}."


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("data.csv", "/mnt/data/data.csv"),
        ("a/./b//c.txt", "/mnt/data/a/b/c.txt"),
        ("/mnt/data/x.py", "/mnt/data/x.py"),
        ("..x/y..", "/mnt/data/..x/y.."),
        ("Überblick 1.txt", "/mnt/data/Überblick 1.txt"),
    ],
)
def test_a_given_path_is_kept_under_the_data_folder(
    client: KeyClient, gateway: Gateway, box: str, given: str, path: str
) -> None:
    assert copy(client, box, make_file(gateway, "alpha"), file_path=given).json["path"] == path


@pytest.mark.parametrize(
    "given",
    [
        "../x",
        "a/../../x",
        "a/..",
        "/mnt/data/../x",
        "/etc/passwd",
        "/mnt/database",
        "/mnt/data",
        "/mnt/data/",
        "//mnt/data/x",
        "/",
        ".",
        "a/",
        "a/.",
        "",
        "a\x00b",
        "a\nb",
        "a\\..\\b",
        "x" * 1020,
        "x" * 2000,
        7,
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_by_name(
    client: KeyClient, gateway: Gateway, box: str, given: Any
) -> None:
    file_id = make_file(gateway, "alpha")
    refused = copy(client, box, file_id, file_path=given)

    assert (refused.status_code, refused.json["error"]["param"]) == (400, "file_path")
    assert references(gateway, file_id) == 1


def test_a_taken_path_is_a_conflict_until_its_file_is_deleted(client: KeyClient, gateway: Gateway, box: str) -> None:
    file_id = make_file(gateway, "alpha")
    first = copy(client, box, file_id, file_path="a.txt").json
    refused = copy(client, box, file_id, file_path="./a.txt")

    assert (refused.status_code, refused.json["error"]["param"]) == (409, "file_path")
    assert first["id"] in refused.json["error"]["message"]
    client.delete(f"{box}/files/{first['id']}")
    assert copy(client, box, file_id, file_path="a.txt").status_code == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "file_id"),
        ({"file_id": 1}, "file_id"),
        ({"file_id": "file-nope"}, "file_id"),
        ({"file_id": "a\x00"}, "file_id"),
    ],
)
def test_a_wrong_file_is_refused_by_name(client: KeyClient, box: str, body: dict[str, Any], param: str) -> None:
    refused = client.post(f"{box}/files", json=body)

    assert (refused.status_code, refused.json["error"]["param"]) == (400, param)


def test_a_foreign_file_and_a_foreign_container_are_unknown(
    client: KeyClient, other_client: KeyClient, gateway: Gateway, box: str
) -> None:
    foreign, own = make_file(gateway, "beta"), make_file(gateway, "alpha")
    made = copy(client, box, own).json

    assert copy(client, box, foreign).status_code == 400
    assert copy(other_client, box, foreign).status_code == 404
    for path in (f"{box}/files", f"{box}/files/{made['id']}", f"{box}/files/{made['id']}/content"):
        assert other_client.get(path).status_code == 404
    assert other_client.delete(f"{box}/files/{made['id']}").status_code == 404
    assert upload(other_client, box).status_code == 404


def test_a_file_of_another_container_is_not_found(client: KeyClient, gateway: Gateway, box: str) -> None:
    made = copy(client, box, make_file(gateway, "alpha")).json
    elsewhere = f"/v1/containers/{create(client)['id']}"

    assert client.get(f"{elsewhere}/files/{made['id']}").status_code == 404
    refused = client.get(f"{elsewhere}/files?after={made['id']}")
    assert (refused.status_code, refused.json["error"]["param"]) == (400, "after")


@pytest.mark.parametrize("odd", ["cfile_nope", "x" * 3000, "%00", "a%0ab", "%F0%9F%93%A6"])
def test_an_unknown_file_is_not_found(client: KeyClient, box: str, odd: str) -> None:
    path = f"{box}/files/{odd}"

    assert client.get(path).status_code == 404
    assert client.get(f"{path}/content").status_code == 404
    assert client.delete(path).status_code == 404


def test_lists_page_in_both_orders_also_over_deleted_files(client: KeyClient, gateway: Gateway, box: str) -> None:
    file_id = make_file(gateway, "alpha")
    made = [copy(client, box, file_id).json["id"] for _ in range(4)]

    first = client.get(f"{box}/files?limit=2").json
    assert [item["id"] for item in first["data"]] == [made[3], made[2]]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (made[3], made[2], True)
    client.delete(f"{box}/files/{made[2]}")
    assert [item["id"] for item in client.get(f"{box}/files?after={made[2]}").json["data"]] == [made[1], made[0]]
    oldest = client.get(f"{box}/files?order=asc&limit=1").json
    assert [item["id"] for item in oldest["data"]] == [made[0]]
    assert set(oldest["data"][0]) == FIELDS


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "order=up", "after=cfile_nope"])
def test_a_wrong_list_query_is_refused_by_name(client: KeyClient, box: str, query: str) -> None:
    refused = client.get(f"{box}/files?{query}")

    assert (refused.status_code, refused.json["error"]["param"]) == (400, query.partition("=")[0])


def test_work_on_the_files_of_an_expired_container_is_refused(client: KeyClient, gateway: Gateway, box: str) -> None:
    file_id = make_file(gateway, "alpha")
    path = f"{box}/files/{copy(client, box, file_id).json['id']}"
    age(gateway, box.rpartition("/")[2], minutes=21)

    refusals = [
        copy(client, box, file_id),
        upload(client, box),
        client.get(f"{box}/files"),
        client.get(path),
        client.get(f"{path}/content"),
        client.delete(path),
    ]
    for refused in refusals:
        assert refused.status_code == 400
        assert refused.json["error"]["message"] == "Container is expired."
        assert refused.json["error"]["param"] == "container_id"


def test_a_container_that_expires_while_bytes_come_in_takes_none(
    gateway: Gateway, caller: Caller, container: Container
) -> None:
    with pytest.raises(InvalidRequestError, match="expired"), blob_service.incoming(gateway) as blob:
        blob.write(b"late")
        blob.seal()
        age(gateway, container.public_id, minutes=21)
        files.add(gateway, caller, container, blob, filename="late.txt", path=None)

    with gateway.database.read() as connection:
        assert blob_rows.count_orphans(connection) == 0
        assert blob_rows.unsettled(connection, limit=9) == []


def test_work_on_files_keeps_the_container_alive(client: KeyClient, gateway: Gateway, box: str) -> None:
    age(gateway, box.rpartition("/")[2], minutes=19)
    copy(client, box, make_file(gateway, "alpha"))
    age(gateway, box.rpartition("/")[2], minutes=19)

    assert client.get(f"{box}/files").status_code == 200


def test_one_of_many_at_once_gets_a_path(gateway: Gateway, caller: Caller, container: Container) -> None:
    file_id = make_file(gateway, "alpha")

    def add(_: int) -> bool:
        try:
            files.add_copy(gateway, caller, container, file_id=file_id, path="/mnt/data/a", settle=None)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(add, range(16))) == 1
    assert references(gateway, file_id) == 2


def test_one_of_many_deletions_at_once_deletes(gateway: Gateway, caller: Caller, container: Container) -> None:
    file_id = make_file(gateway, "alpha")
    made = files.add_copy(gateway, caller, container, file_id=file_id, path=None)

    def delete(_: int) -> bool:
        try:
            files.delete(gateway, container, made.public_id)
        except NotFoundError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(delete, range(16))) == 1
    assert references(gateway, file_id) == 1


def test_additions_and_the_end_of_a_container_at_once_leak_no_bytes(gateway: Gateway, caller: Caller) -> None:
    file_id = make_file(gateway, "alpha")
    wanted = NewContainer(name="box", provider="local")
    boxes = [containers.create(gateway, caller, wanted) for _ in range(4)]

    def work(n: int) -> None:
        box = boxes[n % 4]
        try:
            if n < 24:
                files.add_copy(gateway, caller, box, file_id=file_id, path=None)
            else:
                containers.delete(gateway, caller, box.public_id)
        except NotFoundError:
            pass  # the container was deleted first

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [*range(12), *range(24, 28), *range(12, 24)]))
    assert references(gateway, file_id) == 1


def test_a_hostile_filename_becomes_a_plain_one(gateway: Gateway, container: Container, caller: Caller) -> None:
    file_id = make_file(gateway, "alpha", filename="../../etc/pa\x07ss\\wd")
    made = files.add_copy(gateway, caller, container, file_id=file_id, path=None)

    assert made.path.endswith("-wd")
    assert checked_path(made.path) == made.path


def test_copying_with_a_key_twice_copies_once(client: KeyClient, gateway: Gateway, box: str) -> None:
    file_id, headers = make_file(gateway, "alpha"), {"Idempotency-Key": "k1"}
    elsewhere = f"/v1/containers/{create(client)['id']}"
    answers = [client.post(f"{box}/files", json={"file_id": file_id}, headers=headers) for _ in range(2)]

    assert answers[0].data == answers[1].data
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert references(gateway, file_id) == 2
    assert client.post(f"{elsewhere}/files", json={"file_id": file_id}, headers=headers).status_code == 409


def test_an_upload_is_kept_and_read_back(client: KeyClient, gateway: Gateway, box: str) -> None:
    data = bytes(range(256)) * 1000
    made = upload(client, box, data, name="some/folder/data.bin")
    assert made.status_code == 200, made.json
    assert set(made.json) == FIELDS
    assert made.json["bytes"] == len(data)
    assert made.json["path"].startswith("/mnt/data/") and made.json["path"].endswith("-data.bin")

    content = f"{box}/files/{made.json['id']}/content"
    whole = client.get(content)
    assert whole.data == data
    assert hashlib.sha256(data).hexdigest() in whole.headers["ETag"]
    part = client.get(content, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.data) == (206, data[10:20])
    head = client.head(content)
    assert (head.status_code, head.headers["Content-Length"], head.data) == (200, str(len(data)), b"")


def test_an_upload_goes_to_the_path_it_names(client: KeyClient, box: str) -> None:
    assert upload(client, box, file_path="in/a.txt").json["path"] == "/mnt/data/in/a.txt"


@pytest.mark.parametrize("given", ["../a", "/etc/passwd", "a/"])
def test_a_refused_upload_leaves_nothing(client: KeyClient, gateway: Gateway, box: str, given: str) -> None:
    refused = upload(client, box, file_path=given)

    assert (refused.status_code, refused.json["error"]["param"]) == (400, "file_path")
    with gateway.database.read() as connection:
        assert blob_rows.count_orphans(connection) == 0
        assert blob_rows.unsettled(connection, limit=9) == []


def test_an_upload_without_a_file_is_refused_by_name(client: KeyClient, box: str) -> None:
    refused = client.post(f"{box}/files", data={"file_path": "a.txt"}, content_type="multipart/form-data")

    assert (refused.status_code, refused.json["error"]["param"]) == (400, "file")


def test_uploading_with_a_key_twice_keeps_one(client: KeyClient, gateway: Gateway, box: str) -> None:
    def send(data: bytes) -> Any:
        fields = {"file": (BytesIO(data), "a.txt")}
        return client.post(f"{box}/files", data=fields, headers={"Idempotency-Key": "k1"})

    first, twin, other = send(b"one"), send(b"one"), send(b"two")
    assert first.data == twin.data
    assert twin.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json["error"]["code"]) == (409, "idempotency_key_reused")
    assert len(client.get(f"{box}/files").json["data"]) == 1
    with gateway.database.read() as connection:
        assert blob_rows.count_orphans(connection) == 0
        assert blob_rows.unsettled(connection, limit=9) == []


def test_an_upload_cut_midway_leaves_neither_row_nor_bytes_nor_key(live_server: LiveServer, gateway: Gateway) -> None:
    headers = {"Authorization": f"Bearer {live_server.key}"}
    box = requests.post(f"{live_server.url}/v1/containers", json={"name": "box"}, headers=headers, timeout=10).json()
    url = urlsplit(live_server.url)
    head = (
        f"POST /v1/containers/{box['id']}/files HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Authorization: Bearer {live_server.key}\r\nIdempotency-Key: k1\r\nContent-Length: 1000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    )
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"x" * 300_000)
        until(lambda: count(gateway, blobs) == 1, what="the upload has begun")

    until(lambda: count(gateway, blobs) == count(gateway, idempotency_keys) == 0, what="nothing is left")
    assert count(gateway, container_files_table) == 0
    assert not [path for path in gateway.settings.home.glob("blobs/**/*") if path.is_file()]


def count(gateway: Gateway, table: Table) -> int:
    with gateway.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
