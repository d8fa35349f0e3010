"""Downloads: whole or a range, checked against what the client has, under any name."""

from typing import Any

import pytest
import requests
from werkzeug.http import parse_options_header

import app as batchgate
from app.services.gateway import Gateway
from app.settings import from_environment
from tests.api.openai.test_files import made, stored
from tests.conftest import KeyClient
from tests.support import forms
from tests.support import stored as stored_bytes
from tests.support.server import LiveServer
from tests.support.web import application

pytestmark = pytest.mark.one_database

DATA = bytes(range(256)) * 4


@pytest.fixture
def path(client: KeyClient) -> str:
    """The content of a file of 1,024 bytes."""
    return f"/v1/files/{made(client, DATA, name='data.bin')['id']}/content"


def test_the_whole_content_with_all_that_describes_it(client: KeyClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.data) == (200, DATA)
    assert answer.headers["Content-Length"] == "1024"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename=data.bin"
    assert len(answer.headers["ETag"]) == 66
    assert answer.headers["x-request-id"].startswith("req_")


def test_head_has_the_same_headers_without_bytes(client: KeyClient, path: str) -> None:
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Length", "ETag", "Accept-Ranges", "Content-Type", "Content-Disposition"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=1000-", (1000, 1024)),
        ("bytes=-24", (1000, 1024)),
        ("bytes=-5000", (0, 1024)),
        ("bytes=0-99999", (0, 1024)),
        ("bytes=1023-1023", (1023, 1024)),
        (f"bytes=0-{10**30}", (0, 1024)),
        (f"bytes=-{10**30}", (0, 1024)),
    ],
)
def test_a_range(client: KeyClient, path: str, header: str, span: tuple[int, int]) -> None:
    answer = client.get(path, headers={"Range": header})
    start, stop = span
    assert (answer.status_code, answer.data) == (206, DATA[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1024"
    assert answer.headers["Content-Length"] == str(stop - start)
    head = client.head(path, headers={"Range": header})
    assert (head.status_code, head.headers["Content-Length"]) == (206, str(stop - start))


@pytest.mark.parametrize("header", ["bytes=1024-", "bytes=5000-6000", "bytes=-0", "bytes= -00", f"bytes={10**30}-"])
def test_a_range_outside_of_the_file_is_refused_with_the_size(client: KeyClient, path: str, header: str) -> None:
    answer = client.get(path, headers={"Range": header})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */1024"
    assert answer.json["error"]["param"] == "Range"


@pytest.mark.parametrize(
    "header",
    ["bytes=0-1,4-5", "lines=1-2", "bytes=b-c", "bytes=5-2", "bytes", "", "bytes=", "bytes=-", "bytes=--1", "lines=-0"],
)
def test_a_range_that_is_not_served_gives_the_whole(client: KeyClient, path: str, header: str) -> None:
    answer = client.get(path, headers={"Range": header})
    assert (answer.status_code, answer.data) == (200, DATA)


def test_what_the_client_has_is_not_sent_again(client: KeyClient, path: str) -> None:
    etag = client.get(path).headers["ETag"]
    for condition in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = client.get(path, headers={"If-None-Match": condition})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_range_of_another_version_gives_the_whole(client: KeyClient, path: str) -> None:
    etag = client.get(path).headers["ETag"]
    for condition, status in (
        (etag, 206),
        ('"other"', 200),
        (f"W/{etag}", 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 200),
    ):
        assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": condition}).status_code == status


@pytest.mark.parametrize("name", ["übung 數據.txt", 'a \\"b\\" c.txt', "a; b=c.txt", "ünï", "--", "a'b%41.txt"])
def test_any_name_comes_back(client: KeyClient, name: str) -> None:
    body = forms.form(forms.part("purpose", b"user_data"), forms.part("file", b"x", filename=name))
    file = client.post("/v1/files", data=body, content_type=forms.CONTENT_TYPE).json
    header = client.get(f"/v1/files/{file['id']}/content").headers["Content-Disposition"]
    kind, options = parse_options_header(header)
    assert (kind, options["filename"]) == ("attachment", file["filename"])
    assert header.isascii() and "\n" not in header


def test_a_download_in_many_buffers_over_a_real_socket(live_server: LiveServer) -> None:
    data = bytes(range(256)) * 8192
    headers = {"Authorization": f"Bearer {live_server.key}"}
    files: Any = {"purpose": (None, "user_data"), "file": ("a.bin", data)}
    file = requests.post(f"{live_server.url}/v1/files", files=files, headers=headers, timeout=30).json()
    url = f"{live_server.url}/v1/files/{file['id']}/content"

    whole = requests.get(url, headers=headers, timeout=30)
    assert (whole.content == data, whole.headers["Content-Length"]) == (True, str(len(data)))
    tail = requests.get(url, headers={**headers, "Range": "bytes=300000-"}, timeout=30)
    assert tail.content == data[300000:]
    assert requests.head(url, headers=headers, timeout=30).headers["Content-Length"] == str(len(data))


def test_a_download_goes_on_after_the_file_is_deleted(client: KeyClient, gateway: Gateway) -> None:
    data = b"x" * 400_000
    file_id = made(client, data)["id"]
    answer = client.get(f"/v1/files/{file_id}/content", buffered=False)
    client.delete(f"/v1/files/{file_id}")
    assert stored(gateway) == []
    assert answer.data == data


def test_a_slow_download_holds_no_connection(client: KeyClient, gateway: Gateway) -> None:
    file_id = made(client, b"x" * 400_000)["id"]
    answers = [client.get(f"/v1/files/{file_id}/content", buffered=False) for _ in range(40)]
    assert client.get(f"/v1/files/{file_id}").status_code == 200
    assert [len(answer.data) for answer in answers] == [400_000] * 40


def test_lost_bytes_are_a_503_and_not_a_cut_answer(client: KeyClient, gateway: Gateway, path: str) -> None:
    for lost in stored(gateway):
        gateway.blobs.delete(lost.name)
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_behind_nginx_the_bytes_are_its_business(
    environment: dict[str, str], client: KeyClient, gateway: Gateway
) -> None:
    file_id = made(client, DATA)["id"]
    behind = batchgate.build_gateway(from_environment({**environment, "BATCHGATE_ACCEL_PREFIX": "/_blobs/"}))
    try:
        web = application(behind).test_client()
        headers = {"Authorization": f"Bearer {client.key}", "Range": "bytes=0-1"}
        answer = web.get(f"/v1/files/{file_id}/content", headers=headers)
        root = stored_bytes.local(gateway).root
        place = stored(gateway)[0].relative_to(root)
        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.headers["X-Accel-Redirect"] == f"/_blobs/{place}"
        assert "attachment" in answer.headers["Content-Disposition"]
        assert web.get(f"/v1/files/{file_id}/content", headers={**headers, "Range": "bytes=5000-"}).status_code == 416
        assert "X-Accel-Redirect" not in web.head(f"/v1/files/{file_id}/content", headers=headers).headers
    finally:
        behind.database.dispose()
