"""The form with a file that is streamed to a provider, and by the command line to the gateway."""

import io
import socket
import threading
import tracemalloc
from typing import Any, Self
from urllib.parse import quote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.formparser import parse_form_data

from app.lib import multipart


def form_of(content: bytes, *, filename: str = "in.jsonl", fields: Any = ()) -> multipart.Form:
    return multipart.form(
        fields,
        file_field="file",
        filename=filename,
        content_type="application/jsonl",
        file_bytes=len(content),
        open_file=lambda: iter([content]),
    )


def parsed(form: multipart.Form) -> tuple[MultiDict[str, str], FileStorage]:
    body = b"".join(form)
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": form.content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    _, fields, files = parse_form_data(environ, stream_factory=lambda **_: io.BytesIO())
    return fields, files["file"]


@given(fields=st.lists(st.tuples(st.text("abc[].é", min_size=1), st.text())), content=st.binary())
def test_fields_and_file_arrive_as_they_are(fields: list[tuple[str, str]], content: bytes) -> None:
    form = form_of(content, fields=fields)

    sent, file = parsed(form)

    assert list(sent.items(multi=True)) == sorted(fields, key=lambda pair: [name for name, _ in fields].index(pair[0]))
    assert (file.filename, file.mimetype, file.read()) == ("in.jsonl", "application/jsonl", content)
    assert len(form) == sum(map(len, form))


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ('a"b', "a%22b"),
        ("a\r\nX-Evil: 1\r\n\r\nb", "a%0D%0AX-Evil: 1%0D%0A%0D%0Ab"),
        ('"; name="purpose', "%22; name=%22purpose"),
        ("", ""),
    ],
)
def test_names_are_escaped_as_browsers_do(name: str, escaped: str) -> None:
    form = form_of(b"x", filename=name, fields=[(name, "value")])

    head = next(iter(form)).decode()

    assert f'; name="{escaped}"\r\n\r\nvalue\r\n' in head
    assert f'; name="file"; filename="{escaped}"\r\nContent-Type: application/jsonl\r\n\r\n' in head


@pytest.mark.parametrize("name", ["übung 數據.txt", "naïve (1) 'x'; \"y\".jsonl"])
def test_names_beyond_ascii_come_in_utf_8_and_in_an_encoding_of_ascii(name: str) -> None:
    form = form_of(b"x", filename=name)

    disposition, _, _ = next(iter(form)).decode().partition("\r\nContent-Type: application/jsonl")

    assert disposition.endswith(f"; filename*=UTF-8''{quote(name, safe='')}")
    assert parsed(form)[1].filename == name
    assert name[0] in disposition


def test_a_form_is_read_as_often_as_it_takes() -> None:
    form = form_of(b"content")

    assert b"".join(form) == b"".join(form)


def test_a_failure_of_the_file_passes_through() -> None:
    def broken() -> Any:
        yield b"a"
        raise OSError("the disk is gone")

    form = multipart.form(
        [], file_field="file", filename="f", content_type="text/plain", file_bytes=2, open_file=broken
    )

    with pytest.raises(OSError, match="the disk is gone"):
        list(form)


class Sink:
    """A server that reads one request of `length` bytes with a head before it, keeps the head, and answers 200."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.head = b""
        self.body_bytes = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as stream:
            while (line := stream.readline()) not in (b"\r\n", b""):
                self.head += line
            while self.body_bytes < self._length and (data := stream.read1(2**16)):
                self.body_bytes += len(data)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_requests_sends_it_with_a_length_and_without_a_copy() -> None:
    chunk, chunks = b"x" * 2**16, 512
    form = multipart.form(
        [("purpose", "batch")],
        file_field="file",
        filename="large.jsonl",
        content_type="application/jsonl",
        file_bytes=len(chunk) * chunks,
        open_file=lambda: (chunk for _ in range(chunks)),
    )
    with Sink(len(form)) as sink:
        tracemalloc.start()
        response = requests.post(sink.url, data=form, headers={"Content-Type": form.content_type}, timeout=30)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert response.status_code == 200
    assert f"Content-Length: {len(form)}\r\n".encode() in sink.head
    assert sink.body_bytes == len(form)
    assert peak < 4 * 2**20
