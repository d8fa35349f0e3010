"""Real nginx with deploy/nginx.conf in front of the real gateway: what comes through, and what must not."""

import hashlib
import io
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from app.services.access import keys
from app.services.gateway import Gateway
from tests.e2e.hostile.raw import CHUNKED, FORM, JSON, head
from tests.support.gunicorn import Gunicorn
from tests.support.nginx import Nginx
from tests.support.waiting import until

pytestmark = pytest.mark.one_database

ID = "file-smuggled"


@pytest.fixture
def web(environment: dict[str, str]) -> Iterator[Gunicorn]:
    behind = {"BATCHGATE_ACCEL_PREFIX": "/_blobs/", "BATCHGATE_TRUSTED_PROXIES": "1"}
    with Gunicorn({**environment, **behind}) as running:
        yield running


@pytest.fixture
def nginx(web: Gunicorn, environment: dict[str, str], tmp_path: Path) -> Iterator[Nginx]:
    blobs = Path(environment["BATCHGATE_HOME"]) / "blobs"
    with Nginx(tmp_path / "nginx", servers=[f"127.0.0.1:{web.port}"], blobs=blobs) as running:
        yield running


@pytest.fixture
def key(gateway: Gateway) -> str:
    return keys.create(gateway, project="alpha", name="nginx").key


@dataclass(frozen=True, slots=True)
class Trick:
    """Bytes in which one reader may see one request, and another two. `{hidden}` is the second."""

    name: str
    headers: tuple[str, ...]
    body: str
    method: str = "POST"


def chunk(text: str) -> str:
    return f"{len(text):x}\r\n{text}\r\n0\r\n\r\n"


LENGTH = "Content-Length: {length}"
SMALL = "Content-Length: 4"
# {length} is that of the whole body.
TRICKS = (
    Trick("length, then chunked", (LENGTH, CHUNKED), "0\r\n\r\n{hidden}"),
    Trick("chunked, then length", (CHUNKED, LENGTH), "0\r\n\r\n{hidden}"),
    Trick("chunked and a short length", (CHUNKED, SMALL), "{chunk}"),
    Trick("two lengths that differ", (SMALL, LENGTH), "{}\r\n{hidden}"),
    Trick("two lengths that differ, the long one first", (LENGTH, SMALL), "{}\r\n{hidden}"),
    Trick("two lengths that agree", (LENGTH, LENGTH), "{hidden}"),
    Trick("two lengths in one header", ("Content-Length: 4, {length}",), "{}\r\n{hidden}"),
    Trick("a length with a sign", ("Content-Length: +{length}",), "{hidden}"),
    Trick("a length in hexadecimal", ("Content-Length: 0x4",), "{}\r\n{hidden}"),
    Trick("a negative length", ("Content-Length: -4",), "{hidden}"),
    Trick("a length that overflows", ("Content-Length: 18446744073709551620",), "{}\r\n{hidden}"),
    Trick("a length with a space in it", ("Content-Length: 4 4",), "{}\r\n{hidden}"),
    Trick("an empty length", ("Content-Length:",), "{hidden}"),
    Trick("a space before the colon", ("Content-Length : {length}",), "{hidden}"),
    Trick("a space before the colon of chunked", ("Transfer-Encoding : chunked", SMALL), "{chunk}"),
    Trick("a name with a space", ("Content Length: {length}", SMALL), "{}\r\n{hidden}"),
    Trick("a name with an underscore", ("Content_Length: {length}", SMALL), "{}\r\n{hidden}"),
    Trick("chunked under a name with an underscore", ("Transfer_Encoding: chunked", SMALL), "{}\r\n{hidden}"),
    Trick("a folded header", ("X-A: b\r\n Transfer-Encoding: chunked", SMALL), "{}\r\n{hidden}"),
    Trick("a folded encoding", ("Transfer-Encoding:\r\n chunked", SMALL), "{chunk}"),
    Trick("a folded length", ("Content-Length: 4\r\n 4",), "{}\r\n{hidden}"),
    Trick("a tab before the encoding", ("Transfer-Encoding:\tchunked",), "0\r\n\r\n{hidden}"),
    Trick("an encoding that nobody knows", ("Transfer-Encoding: xchunked", SMALL), "{chunk}"),
    Trick("chunked and another encoding", ("Transfer-Encoding: chunked, identity", SMALL), "{chunk}"),
    Trick("identity and chunked", ("Transfer-Encoding: identity, chunked",), "0\r\n\r\n{hidden}"),
    Trick("two encodings", (CHUNKED, "Transfer-Encoding: identity", SMALL), "{chunk}"),
    Trick("chunked twice", (CHUNKED, CHUNKED), "0\r\n\r\n{hidden}"),
    Trick("chunked in quotes", ('Transfer-Encoding: "chunked"', SMALL), "{chunk}"),
    Trick("chunked after a vertical tab", ("Transfer-Encoding: \x0bchunked", SMALL), "{chunk}"),
    Trick("a carriage return alone", ("X-A: b\rTransfer-Encoding: chunked", SMALL), "{}\r\n{hidden}"),
    Trick("a line feed alone", ("X-A: b\nTransfer-Encoding: chunked", SMALL), "{chunk}"),
    Trick("a NUL in a header", ("X-A: \x00\r\nTransfer-Encoding: chunked", SMALL), "{chunk}"),
    Trick("a header without a colon", ("Transfer-Encoding", SMALL), "{}\r\n{hidden}"),
    Trick("a chunk size with 0x", (CHUNKED,), "0x4\r\n{}\r\n\r\n0\r\n\r\n{hidden}"),
    Trick("a chunk size with a sign", (CHUNKED,), "+4\r\n{}\r\n\r\n0\r\n\r\n{hidden}"),
    Trick("a negative chunk size", (CHUNKED,), "-1\r\n{hidden}"),
    Trick("a chunk size with a space", (CHUNKED,), "4 \r\n{}\r\n\r\n0\r\n\r\n{hidden}"),
    Trick("a chunk size with an extension", (CHUNKED,), "4;a=b\r\n{}\r\n\r\n0\r\n\r\n{hidden}"),
    Trick("an extension with a line feed", (CHUNKED,), "4;a\n{}\r\n\r\n0\r\n\r\n{hidden}"),
    Trick("a chunk size that overflows", (CHUNKED,), "10000000000000004\r\n{}\r\n\r\n0\r\n\r\n{hidden}"),
    Trick("a chunk size of many zeros", (CHUNKED,), "0" * 40 + "4\r\n{}\r\n\r\n0\r\n\r\n{hidden}"),
    Trick("a chunk that is longer than its size", (CHUNKED,), "2\r\n{}XX0\r\n\r\n{hidden}"),
    Trick("a chunk that ends with a line feed", (CHUNKED,), "2\r\n{}\n0\r\n\r\n{hidden}"),
    Trick("a last chunk without its end", (CHUNKED,), "2\r\n{}\r\n0\r\n{hidden}"),
    Trick("a length in a trailer", (CHUNKED,), "2\r\n{}\r\n0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
    Trick("a body of a GET", (LENGTH,), "{hidden}", method="GET"),
    Trick("a body of a GET in chunks", (CHUNKED,), "{chunk}", method="GET"),
    Trick("an upgrade", ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", LENGTH), "{hidden}"),
    Trick("a length that is hop by hop", ("Connection: close, Content-Length", LENGTH), "{hidden}"),
)


def raw(trick: Trick, path: str, key: str, number: int) -> bytes:
    """The bytes of a trick; what is hidden in them asks for a file of that number."""
    hidden = head(key, "GET", f"/v1/files/{ID}-{number}").decode()
    body = trick.body.replace("{hidden}", hidden).replace("{chunk}", chunk(hidden))
    length = str(len(body))
    headers = [header.replace("{length}", length) for header in trick.headers]
    start = head(key, trick.method, path.format(number=number), JSON, *headers)
    return start + body.replace("{length}", length).encode("latin-1")


def exchange(server: Gunicorn | Nginx, data: bytes) -> list[int]:
    """Send all of it on a connection of its own, and read the status of each answer until the server closes."""
    told = b""
    with server.connect() as connection:
        connection.sendall(data)
        if isinstance(server, Gunicorn):  # it may wait for more; nginx takes this for a client that has gone away
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                told += piece
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", told)]


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a trick: the answers, and which of its requests the gateway saw."""

    answers: list[int]
    outer: bool
    hidden: bool
    last: bool

    @property
    def requests(self) -> int:
        return self.outer + self.hidden + self.last


def tried(server: Gunicorn | Nginx, web: Gunicorn, key: str, path: str, *, first: int) -> list[Seen]:
    """Send all tricks to a server, under numbers from `first` on."""
    answers = []
    for number, trick in enumerate(TRICKS, first):
        last = head(key, "GET", f"/v1/files/file-last-{number}", "Connection: close")
        answers.append(exchange(server, raw(trick, path, key, number) + last))
    end = f"/v1/files/file-end-{first}"
    assert exchange(web, head(key, "GET", end, "Connection: close")) == [404]
    until(lambda: end in web.log)
    seen = set(re.findall(r'"path":"([^"]+)"', web.log))
    return [
        Seen(
            found,
            path.format(number=number) in seen,
            f"/v1/files/{ID}-{number}" in seen,
            f"/v1/files/file-last-{number}" in seen,
        )
        for number, found in enumerate(answers, first)
    ]


# Where nginx takes a body as it comes, and where it first asks about the key.
@pytest.mark.parametrize("path", ["/v1/batches/batch_{number}/retry", "/v1/uploads/upload_{number}/parts"])
def test_no_request_hides_in_another(nginx: Nginx, web: Gunicorn, key: str, path: str) -> None:
    """The gateway gets no more requests than nginx has answered, and both read the same bytes alike or refuse them."""
    through = tried(nginx, web, key, path, first=1000)
    straight = tried(web, web, key, path, first=2000)
    wrong = []
    for trick, behind, alone in zip(TRICKS, through, straight, strict=True):
        stricter = alone if behind.hidden else behind
        is_alike = behind.hidden == alone.hidden or (len(stricter.answers) == 1 and stricter.answers[0] >= 400)
        if behind.requests > len(behind.answers) or not behind.answers or not is_alike:
            wrong.append(f"{trick.name}: behind nginx {behind}, without it {alone}")
    assert wrong == [], "\n".join(wrong)
    assert any(seen.hidden for seen in through)  # what is no trick: a second request after one that is whole
    assert not all(seen.hidden for seen in through)


def test_files_go_through_nginx_both_ways(nginx: Nginx, web: Gunicorn, key: str) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"
    content = bytes(range(256)) * 4096 * 2
    form = {"purpose": (None, "user_data"), "file": ("a.bin", io.BytesIO(content))}
    sent = session.post(f"{nginx.url}/v1/files", files=form, timeout=30)
    assert sent.status_code == 200, sent.text
    url = f"{nginx.url}/v1/files/{sent.json()['id']}/content"
    whole = session.get(url, timeout=30)
    assert hashlib.sha256(whole.content).digest() == hashlib.sha256(content).digest()
    assert "X-Accel-Redirect" not in whole.headers
    part = session.get(url, headers={"Range": "bytes=1000-1003"}, timeout=30)
    assert (part.status_code, part.content) == (206, content[1000:1004])
    for name in ("ETag", "x-request-id", "X-Content-Type-Options", "Content-Disposition"):
        assert part.headers[name], name
    assert session.get(url, headers={"If-None-Match": part.headers["ETag"]}, timeout=30).status_code == 304
    assert "Traceback" not in web.log
    # The location of the blobs is for the gateway alone.
    assert session.get(f"{nginx.url}/_blobs/ab/abcd", timeout=30).status_code == 404
    assert session.get(f"{nginx.url}/_keycheck", timeout=30).status_code == 404


def test_a_stranger_sends_no_body_and_reads_why(nginx: Nginx, web: Gunicorn) -> None:
    """The head alone is enough for the refusal of the gateway; nginx waits for none of the 100 MB."""
    with nginx.connect() as connection:
        connection.sendall(head("sk-bf-nobody-0", "POST", "/v1/files", FORM, "Content-Length: 100000000"))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_api_key"
    assert web.log.count('"event":"file_upload"') == 1


def test_heads_have_a_limit(nginx: Nginx, web: Gunicorn, key: str) -> None:
    """Below those of nginx the gateway refuses, in words that SDKs read; far above them nginx does."""
    good = head(key, "GET", "/v1/files?limit=1", "X-A: " + "b" * 7000, "Connection: close")
    long_line = head(key, "GET", "/v1/files/" + "a" * 9000, "Connection: close")
    long_header = head(key, "GET", "/v1/files", "X-A: " + "b" * 9000, "Connection: close")
    for status, data in ((200, good), (414, long_line), (431, long_header)):
        assert exchange(nginx, data) == exchange(web, data) == [status]
    for huge in (
        head(key, "GET", "/v1/files/" + "a" * 40_000),
        head(key, "GET", "/v1/files", "X-A: " + "b" * 40_000),
        head(key, "GET", "/v1/files", *(f"X-{n}: b" for n in range(10_000))),
    ):
        assert exchange(nginx, huge)[0] in (400, 414, 431, 494)
