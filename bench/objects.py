"""Files through gunicorn into and out of a real S3 server, compared with a bare loop of the library that both use."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from bench.processes import Web
from bench.report import Report
from bench.store import Store
from tests.support import stored
from tests.support.forms import BOUNDARY, CONTENT_TYPE
from tests.support.seaweed import ACCESS_KEY_ID, REGION, SECRET, Seaweed

MIB = 2**20
BLOCK_BYTES = 256 * 1024
PART_BYTES, PARTS = 5 * MIB, 2
TARGET = (">=", 0.8)
TIMEOUT_S = 600


def run(report: Report, *, quick: bool) -> None:
    """Send and fetch the same file both ways in alternating rounds, and compare the medians of their rates."""
    uploads, downloads, size = (3, 9, 32 * MIB) if quick else (5, 25, 128 * MIB)
    with ExitStack() as stack:
        address = stack.enter_context(Seaweed()).address()
        store = stack.enter_context(Store(LOCAL_BASE_URL="http://127.0.0.1:9/v1", **stored.settings(address)))
        web = stack.enter_context(Web("wsgi:app", environment=store.environment, log=store.home / "web.log"))
        bare = _bare(address.bucket, address.endpoint)
        client = _Client(web.url, store.key)
        file_id, name = client.put(size), "bare"
        _put(bare, name, size)
        for _ in range(2):  # both web processes open their store
            client.get(file_id, size)
        for label, rounds, through, direct in (
            ("upload", uploads, lambda: client.put(size), lambda: _put(bare, name, size)),
            ("download", downloads, lambda: client.get(file_id, size), lambda: _get(bare, name, size)),
        ):
            pairs = [(_rate(through, size), _rate(direct, size)) for _ in range(rounds)]
            values = [median(pair[side] for pair in pairs) for side in (0, 1)]
            report.add(f"{label} of {size // MIB} MiB", values[0], "MiB/s", baseline=values[1], target=TARGET)


def _rate(act: Callable[[], object], size: int) -> float:
    started = time.perf_counter()
    act()
    return size / MIB / (time.perf_counter() - started)


def _blocks(size: int) -> Iterator[bytes]:
    block = bytes(range(256)) * (BLOCK_BYTES // 256)
    for _ in range(size // BLOCK_BYTES):
        yield block


class _Client:
    """Uploads and downloads as a client does that keeps its connection."""

    def __init__(self, url: str, key: str) -> None:
        self._host = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {key}"}

    def put(self, size: int) -> str:
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n'
        ).encode()
        tail = f"\r\n--{BOUNDARY}--\r\n".encode()

        def body() -> Iterator[bytes]:
            yield head
            yield from _blocks(size)
            yield tail

        length = str(len(head) + size + len(tail))
        headers = {**self._headers, "Content-Type": CONTENT_TYPE, "Content-Length": length}
        with closing(http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)) as connection:
            connection.request("POST", "/v1/files", body=body(), headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        if answer.status != 200:
            raise RuntimeError(text.decode())
        file_id: str = json.loads(text)["id"]
        return file_id

    def get(self, file_id: str, size: int) -> None:
        with closing(http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)) as connection:
            connection.request("GET", f"/v1/files/{file_id}/content", headers=self._headers)
            answer = connection.getresponse()
            received = 0
            while data := answer.read(BLOCK_BYTES):
                received += len(data)
        _check(received, size)


def _bare(bucket: str, endpoint: str) -> Any:
    return S3Store(
        bucket,
        config={
            "endpoint": endpoint,
            "region": REGION,
            "access_key_id": ACCESS_KEY_ID,
            "secret_access_key": SECRET,
            "virtual_hosted_style_request": False,
        },
        client_options={"allow_http": True},
    )


def _put(store: Any, name: str, size: int) -> None:
    writer = obstore.open_writer(store, name, buffer_size=PART_BYTES, max_concurrency=PARTS)
    for block in _blocks(size):
        writer.write(block)
    writer.close()


def _get(store: Any, name: str, size: int) -> None:
    _check(sum(len(data) for data in obstore.get(store, name).stream(min_chunk_size=BLOCK_BYTES)), size)


def _check(received: int, size: int) -> None:
    if received != size:
        raise RuntimeError(f"{received} bytes of {size}")
