"""Object stores that are away, slow, full, or refuse: what is raised, after how long, and what it never says."""

import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, Response, request

from app.blobs import Address, BlobError, BlobFullError, BlobMissingError, BlobStore, open_store
from app.blobs.base import BUFFER_BYTES
from tests.support.seaweed import ACCESS_KEY_ID, Seaweed
from tests.support.server import LiveServer

KEY = "ab" * 20
SECRET = "canary-secret-of-the-store"


def put(store: BlobStore, data: bytes) -> None:
    writer = store.open_write(KEY)
    writer.write(data)
    writer.commit()


def read(store: BlobStore) -> bytes:
    return b"".join(store.stream(KEY))


CALLS: dict[str, Callable[[BlobStore], Any]] = {
    "put": lambda store: put(store, b"x"),
    "put in parts": lambda store: put(store, b"x" * 6 * 2**20),
    "read": read,
    "read at random": lambda store: store.open_read(KEY).read(0, 1),
    "delete": lambda store: store.delete(KEY),
    "check": lambda store: store.check(),
}


@contextmanager
def answering(view: Callable[[str], Response]) -> Iterator[BlobStore]:
    """An S3 server whose every answer is that of `view(path)`."""
    app = Flask(__name__)
    methods = ["GET", "PUT", "POST", "DELETE"]
    app.add_url_rule("/<path:path>", view_func=lambda path: view(path), methods=methods)
    with LiveServer(app) as server:
        yield open_store(Address("s3://bucket/p", server.url, "us-east-1", key_id="AKIACANARY", secret=SECRET))


def refusing(status: int, body: str) -> Callable[[str], Response]:
    return lambda _path: Response(body, status, mimetype="application/xml")


@pytest.mark.parametrize("call", CALLS)
def test_nobody_listening_is_a_blob_error(call: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    store = open_store(Address("s3://bucket/p", url, key_id="k", secret=SECRET))
    with pytest.raises(BlobError) as raised:
        CALLS[call](store)
    assert not isinstance(raised.value, BlobMissingError)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("call", CALLS)
def test_what_a_server_repeats_of_a_refused_request_is_not_said(call: str) -> None:
    body = (
        "<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match.</Message>"
        "<AWSAccessKeyId>AKIACANARY</AWSAccessKeyId><StringToSign>canary-to-sign</StringToSign>"
        "<SignatureProvided>canary-signature</SignatureProvided></Error>"
    )
    with answering(refusing(403, body)) as store, pytest.raises(BlobError, match="refuses the credentials") as raised:
        CALLS[call](store)
    assert "It does not match." in str(raised.value)
    assert "canary" not in str(raised.value).lower()
    assert raised.value.__cause__ is None


def test_a_signed_url_is_not_said() -> None:
    text = "<Error><Message>GET /x?sv=1&amp;sig=canary%3D&amp;X-Amz-Signature=canary</Message></Error>"
    with answering(refusing(400, text)) as store, pytest.raises(BlobError) as raised:
        read(store)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(("status", "code"), [(507, "XMinioStorageFull"), (403, "QuotaExceeded")])
def test_a_store_without_room_is_full(status: int, code: str) -> None:
    with answering(refusing(status, f"<Error><Code>{code}</Code></Error>")) as store, pytest.raises(BlobFullError):
        put(store, b"x")


def test_a_bucket_that_does_not_exist_is_no_missing_blob() -> None:
    text = "<Error><Code>NoSuchBucket</Code></Error>"
    with answering(refusing(404, text)) as store, pytest.raises(BlobError, match="NoSuchBucket") as raised:
        put(store, b"x")
    assert not isinstance(raised.value, BlobMissingError)


def test_wrong_keys_are_refused_and_named_as_such(seaweed: Seaweed) -> None:
    store = open_store(replace(seaweed.address(), secret=SECRET))
    with pytest.raises(BlobError, match="refuses the credentials") as raised:
        put(store, b"x")
    assert ACCESS_KEY_ID not in str(raised.value)


def test_nothing_is_ever_overwritten(seaweed: Seaweed) -> None:
    store = open_store(seaweed.address())
    put(store, b"first")
    with pytest.raises(BlobError):
        put(store, b"second")
    assert read(store) == b"first"
    put(store, b"first")  # the same bytes: a request that was repeated because its answer was lost


def test_a_download_that_is_cut_goes_on_where_it_was() -> None:
    data = bytes(range(256)) * 20_000
    ranges: list[str] = []

    def view(_path: str) -> Response:
        span = request.headers.get("Range", f"bytes=0-{len(data) - 1}")
        ranges.append(span)
        start = int(span.removeprefix("bytes=").partition("-")[0])
        headers = {
            "Content-Length": str(len(data) - start),
            "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}",
            "ETag": '"x"',
            "Last-Modified": "Mon, 30 Nov 2026 09:00:00 GMT",
        }

        def body() -> Iterator[bytes]:
            yield data[start : start + 1_000_000]
            if start + 1_000_000 < len(data):
                raise ConnectionResetError

        return Response(body(), 206 if "Range" in request.headers else 200, headers=headers)

    with answering(view) as store:
        assert b"".join(store.stream(KEY, length=len(data))) == data
    assert len(ranges) > len(data) // 1_000_000


def test_a_block_is_fetched_once_for_all_who_want_it() -> None:
    fetched: list[str] = []
    data = b"x" * 100_000

    def view(_path: str) -> Response:
        fetched.append(request.headers["Range"])
        headers = {
            "Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}",
            "ETag": '"x"',
            "Last-Modified": "Mon, 30 Nov 2026 09:00:00 GMT",
        }
        return Response(data, 206, headers=headers)

    with answering(view) as store:
        reader = store.open_read(KEY)
        threads = [threading.Thread(target=reader.read, args=(start, 100)) for start in range(0, 100_000, 10_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(fetched) == 1


@pytest.mark.parametrize(("uploads", "most"), [(1, 17), (4, 32)])
def test_uploads_hold_few_parts(seaweed: Seaweed, uploads: int, most: int) -> None:
    # The library keeps the very bytes that it is given until they are stored, so Python counts them.
    store = open_store(seaweed.address())

    def upload(number: int) -> None:
        writer = store.open_write(f"{number:02}" * 20)
        for _ in range(11 * 2**20 // BUFFER_BYTES):
            writer.write(bytearray(BUFFER_BYTES))
        writer.commit()

    tracemalloc.start()
    try:
        with ThreadPoolExecutor(uploads) as pool:
            list(pool.map(upload, range(uploads)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= most * 2**20
