"""The form of an upload as clients really send it: in any order, in pieces, cut short, hostile."""

import socket
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from app.data.tables import blobs, files
from app.services.gateway import Gateway
from tests.api.openai.test_files import LINE, count, refusal, stored
from tests.conftest import KeyClient
from tests.support import forms
from tests.support.server import LiveServer
from tests.support.waiting import until
from tests.support.web import application

pytestmark = pytest.mark.one_database

PURPOSE = forms.part("purpose", b"user_data")
MIB = 2**20


def send(client: KeyClient, body: bytes, *, content_type: str = forms.CONTENT_TYPE) -> Any:
    return client.post("/v1/files", data=body, content_type=content_type)


def file(data: bytes = b"hello", *, name: str = "file", filename: str | None = "a.txt") -> bytes:
    return forms.part(name, data, filename=filename)


def nothing_is_left(gateway: Gateway) -> bool:
    return (count(gateway, files), count(gateway, blobs), len(stored(gateway))) == (0, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\r\n" * 100_000,
        b"\r" * 200_000,
        b"\r\n--" * 50_000,
        f"\r\n--{forms.BOUNDARY[:-1]}".encode() * 10_000,
        bytes(range(256)) * 1000,
        b"x" * (64 * 1024 - 1),
        LINE * 5000,
    ],
)
@pytest.mark.parametrize("file_first", [True, False])
def test_bytes_are_stored_unchanged_with_fields_before_or_after(
    client: KeyClient, data: bytes, *, file_first: bool
) -> None:
    parts = [file(data), PURPOSE] if file_first else [PURPOSE, file(data)]
    made = send(client, forms.form(*parts))
    assert made.status_code == 200, made.text
    assert made.json["bytes"] == len(data)
    assert client.get(f"/v1/files/{made.json['id']}/content").data == data


def test_fields_after_the_file_count(client: KeyClient) -> None:
    expiry = [forms.part("expires_after[anchor]", b"created_at"), forms.part("expires_after[seconds]", b"3600")]
    made = send(client, forms.form(file(LINE, filename="in.jsonl"), forms.part("purpose", b"batch"), *expiry)).json
    assert (made["purpose"], made["expires_at"] - made["created_at"]) == ("batch", 3600)


def test_a_batch_input_under_a_wrong_name_leaves_nothing(client: KeyClient, gateway: Gateway) -> None:
    assert refusal(send(client, forms.form(file(LINE), forms.part("purpose", b"batch")))) == (400, "file")
    assert nothing_is_left(gateway)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused_with_the_right_one(client: KeyClient, content_type: str) -> None:
    response = client.post("/v1/files", data=b"{}", headers={"Content-Type": content_type})
    assert response.status_code == 400
    assert "multipart/form-data" in response.json["error"]["message"]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 300}",
        "multipart/form-data; boundary=other",
        "multipart/form-data; boundary*=utf-8''%FC%FC",
    ],
)
def test_a_missing_or_odd_boundary_is_refused(client: KeyClient, gateway: Gateway, content_type: str) -> None:
    assert send(client, forms.form(PURPOSE, file()), content_type=content_type).status_code == 400
    assert nothing_is_left(gateway)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (forms.form(PURPOSE), "file"),
        (forms.form(), "file"),
        (forms.form(PURPOSE, file(), file()), "file"),
        (forms.form(PURPOSE, file(name="data")), "file"),
        (forms.form(PURPOSE, file(filename=None)), "file"),
        (forms.form(PURPOSE, PURPOSE, file()), "purpose"),
        (forms.form(file(), forms.part("purpose", b"\xff")), "purpose"),
    ],
)
def test_a_form_needs_one_file_and_each_field_once(
    client: KeyClient, gateway: Gateway, body: bytes, param: str
) -> None:
    assert refusal(send(client, body)) == (400, param)
    assert nothing_is_left(gateway)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        forms.form(PURPOSE, file())[: -len(forms.end())],
        forms.form(PURPOSE, file())[:-4],
        PURPOSE + file()[:-4],
        f"--{forms.BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode() + forms.end(),
        f"--{forms.BOUNDARY}\r\n\xff: \xfe\r\n\r\nx\r\n".encode("latin-1") + forms.end(),
        f"--{forms.BOUNDARY}\r\n\r\nx\r\n".encode() + forms.end(),
    ],
)
def test_a_broken_form_is_refused(client: KeyClient, gateway: Gateway, body: bytes) -> None:
    assert send(client, body).status_code == 400
    assert nothing_is_left(gateway)


@pytest.mark.parametrize(
    "body",
    [
        forms.form(forms.part("purpose", b"x" * 70_000), file()),
        forms.form(PURPOSE, forms.part("note", b"x" * 10 * MIB), file()),
        forms.form(*(forms.part(f"f{number}", b"") for number in range(200)), file()),
        forms.form(PURPOSE, forms.part("x", b"", headers=["X: " + "y" * 200_000]), file()),
        forms.form(PURPOSE, file()) + b"z" * 10 * MIB,
        b"z" * 10 * MIB + forms.form(PURPOSE, file()),
    ],
)
def test_a_form_cannot_fill_the_memory(client: KeyClient, gateway: Gateway, body: bytes) -> None:
    assert send(client, body).status_code == 413
    assert nothing_is_left(gateway)


EXPIRY = b'{"anchor": "created_at", "seconds": 7200}'


def json_part(name: str, value: bytes, *, filename: str = "") -> bytes:
    """A field as JSON; browsers give a Blob a filename."""
    named = f'; filename="{filename}"' if filename else ""
    head = f'Content-Disposition: form-data; name="{name}"{named}\r\nContent-Type: application/json'
    return f"--{forms.BOUNDARY}\r\n{head}\r\n\r\n".encode() + value + b"\r\n"


@pytest.mark.parametrize(
    "part",
    [
        forms.part("expires_after", EXPIRY),
        json_part("expires_after", EXPIRY),
        json_part("expires_after", EXPIRY, filename="blob"),
        forms.part("expires_after.anchor", b"created_at") + forms.part("expires_after[seconds]", b"7200"),
    ],
)
@pytest.mark.parametrize("file_first", [True, False])
def test_an_expiry_may_be_json(client: KeyClient, part: bytes, *, file_first: bool) -> None:
    parts = [PURPOSE, file(), part] if file_first else [PURPOSE, part, file()]
    made = send(client, forms.form(*parts))
    assert made.status_code == 200, made.text
    assert made.json["expires_at"] - made.json["created_at"] == 7200


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (b"[1]", "expires_after"),
        (b"soon", "expires_after"),
        (b'{"anchor": "created_at"}', "expires_after.seconds"),
        (b'{"anchor": "created_at", "seconds": 5}', "expires_after.seconds"),
        (b'{"anchor": "created_at", "seconds": 7200, "minutes": 1}', "expires_after.minutes"),
    ],
)
def test_a_wrong_expiry_in_json_is_refused_by_name(
    client: KeyClient, gateway: Gateway, value: bytes, param: str
) -> None:
    assert refusal(send(client, forms.form(PURPOSE, file(), json_part("expires_after", value)))) == (400, param)
    assert nothing_is_left(gateway)


def test_an_expiry_in_two_ways_is_refused(client: KeyClient) -> None:
    twice = forms.part("expires_after", EXPIRY) + forms.part("expires_after[seconds]", b"3600")
    assert refusal(send(client, forms.form(PURPOSE, file(), twice))) == (400, "expires_after")


def test_a_store_may_be_a_blob_of_json(client: KeyClient, gateway: Gateway) -> None:
    backend = gateway.blobs.backend
    value = f'{{"{backend}": {{}}}}'.encode()
    made = send(client, forms.form(PURPOSE, json_part("storage_config", value, filename="blob"), file()))
    assert (made.status_code, made.json.get("storage_backend")) == (200, backend), made.text


def test_empty_fields_count_as_absent(client: KeyClient) -> None:
    empty = b"".join(forms.part(name, b"") for name in ("provider", "expires_after", "storage_config"))
    made = send(client, forms.form(PURPOSE, empty, file()))
    assert (made.status_code, made.json.get("expires_at")) == (200, None), made.text


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (forms.part("custom", b"1"), "custom"),
        (forms.part("visibility", b"workspace"), "visibility"),
        (forms.part("custom_llm_provider", b"openai"), "custom_llm_provider"),
        (forms.part("target_model_names", b"gpt-4o"), "target_model_names"),
        (forms.part("metadata[k]", b"v"), "metadata[k]"),
        (forms.part("expires_at", b"1"), "expires_at"),
        (forms.part("expires_after", EXPIRY[:-1] + b', "days": 1}'), "expires_after.days"),
        (forms.part("storage_config[s3][acl]", b"public"), "storage_config"),
        (forms.part("storage_config", b'{"local": {"path": "/x"}}'), "storage_config"),
        (forms.part("storage_config[s3][bucket][x]", b"1"), "storage_config[s3][bucket][x]"),
        (f"--{forms.BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nmore\r\n".encode(), None),
    ],
)
@pytest.mark.parametrize("file_first", [True, False])
def test_unknown_fields_are_refused_by_name(
    client: KeyClient, gateway: Gateway, part: bytes, param: str | None, *, file_first: bool
) -> None:
    parts = [PURPOSE, file(), part] if file_first else [PURPOSE, part, file()]
    refused = send(client, forms.form(*parts))
    assert refusal(refused) == (400, param), refused.text
    assert nothing_is_left(gateway)


def test_a_name_in_utf8_by_rfc_5987(client: KeyClient) -> None:
    head = 'Content-Disposition: form-data; name="file"; filename="x"; filename*=UTF-8\'\'%C3%BC%20b.txt'
    body = forms.form(PURPOSE, f"--{forms.BOUNDARY}\r\n{head}\r\n\r\nhi\r\n".encode())
    assert send(client, body).json["filename"] == "ü b.txt"


@pytest.mark.parametrize("line", [LINE * 800, b'"' + b"x" * 65_000])
def test_a_large_upload_does_not_live_in_memory(client: KeyClient, gateway: Gateway, line: bytes) -> None:
    opening = file(b"", filename="in.jsonl")[:-2]
    body = forms.Endless(forms.part("purpose", b"batch") + opening, line, 300, b"\r\n" + forms.end())
    tracemalloc.start()
    try:
        made = client.post("/v1/files", environ_overrides=body.environ)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.status_code == 200, made.text
    assert made.json["bytes"] == len(line) * 300 > 17 * MIB
    in_parts = 0 if gateway.blobs.backend == "local" else 15 * MIB
    assert peak < 8 * MIB + in_parts


def test_a_file_over_the_limit_is_refused(client: KeyClient, gateway: Gateway) -> None:
    small = replace(gateway, settings=replace(gateway.settings, max_file_bytes=100_000))
    web = application(small).test_client()
    headers = {"Authorization": f"Bearer {client.key}", "Content-Type": forms.CONTENT_TYPE}
    body = forms.form(PURPOSE, file(b"x" * 100_001))
    assert refusal(web.post("/v1/files", data=body, headers=headers)) == (413, "file")
    assert nothing_is_left(gateway)
    body = forms.form(PURPOSE, file(b"x" * 100_000))
    assert web.post("/v1/files", data=body, headers=headers).status_code == 200


def _socket(server: LiveServer) -> socket.socket:
    url = urlsplit(server.url)
    return socket.create_connection((url.hostname, url.port), timeout=20)


def _head(server: LiveServer, *more: str) -> bytes:
    lines = ["POST /v1/files HTTP/1.1", "Host: x", f"Authorization: Bearer {server.key}", *more]
    return "\r\n".join([*lines, f"Content-Type: {forms.CONTENT_TYPE}", "", ""]).encode()


@pytest.mark.parametrize("framing", ["Content-Length: 5000000", "Transfer-Encoding: chunked"])
def test_a_cut_upload_leaves_neither_row_nor_bytes(live_server: LiveServer, gateway: Gateway, framing: str) -> None:
    data = PURPOSE + file(b"x" * 1_000_000)[:-2]
    with _socket(live_server) as connection:
        connection.sendall(_head(live_server, framing))
        connection.sendall(data if "Length" in framing else f"{len(data):x}\r\n".encode() + data + b"\r\n")
        until(lambda: count(gateway, blobs), what="a blob that is written")
    until(lambda: nothing_is_left(gateway), what="nothing left")


def test_a_chunked_upload_without_length(live_server: LiveServer) -> None:
    def pieces() -> Iterator[bytes]:
        yield file(b"", filename="a.bin")[:-2]
        for _ in range(100):
            yield b"y" * 10_000
        yield b"\r\n" + PURPOSE + forms.end()

    headers = {"Authorization": f"Bearer {live_server.key}", "Content-Type": forms.CONTENT_TYPE}
    made = requests.post(f"{live_server.url}/v1/files", data=pieces(), headers=headers, timeout=30)
    assert (made.status_code, made.json().get("bytes")) == (200, 1_000_000)
    got = requests.get(f"{live_server.url}/v1/files/{made.json()['id']}/content", headers=headers, timeout=30)
    assert got.content == b"y" * 1_000_000


def test_a_refusal_arrives_while_the_body_is_still_coming(live_server: LiveServer, gateway: Gateway) -> None:
    with _socket(live_server) as connection:
        connection.sendall(_head(live_server, "Content-Length: 500000000"))
        connection.sendall(forms.part("purpose", b"party") + file(b"x" * 200_000)[:-2])
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"Connection: close" in answer
    until(lambda: nothing_is_left(gateway), what="nothing left")
