"""A file of gigabytes in and out through gunicorn: the same bytes, and no more memory than for a small one."""

import hashlib
import http.client
import json
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from app.services.access import keys
from app.services.gateway import Gateway
from bench.processes import Web, family, peak_bytes
from tests.e2e.soak.conftest import MIB, Scale, tell
from tests.support.forms import BOUNDARY, CONTENT_TYPE

pytestmark = pytest.mark.soak

MOST_GROWTH_BYTES = 64 * MIB
BLOCK = MIB
BASE = random.Random(7).randbytes(BLOCK - 8)
TIMEOUT_S = 600


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["big.bin", "big.jsonl"])
def test_a_big_file_goes_in_and_out_without_memory(
    gateway: Gateway, environment: dict[str, str], tmp_path: Path, name: str, scale: Scale
) -> None:
    key = keys.create(gateway, project="alpha", name="soak").key
    with Web("wsgi:app", environment=environment, log=tmp_path / "web.log") as web:
        for _ in range(8):  # both web processes load what they need
            _download(web.url, _upload(web.url, BLOCK, key=key, name=name)[0], key=key)
        processes = family(web.pid)
        before = peak_bytes(processes)
        file_id, sha256 = _upload(web.url, scale.big_bytes, key=key, name=name)
        assert _download(web.url, file_id, key=key) == (scale.big_bytes, sha256)
        _assert_ranges(web.url, file_id, scale.big_bytes, key=key, name=name)
        _delete(web.url, file_id, key=key)
        growth = peak_bytes(processes) - before
        assert family(web.pid) == processes  # nobody was replaced by a fresh one
    tell(f"\n{name}: {scale.big_bytes / MIB:.0f} MiB, peak memory +{growth / MIB:.1f} MiB")
    assert growth < MOST_GROWTH_BYTES


def _block(number: int, name: str) -> bytes:
    """Bytes that tell where they are from; those of a `.jsonl` are 256 lines, none of them JSON."""
    data = b"%08x" % number + BASE
    if name.endswith(".jsonl"):
        return data.translate(bytes(32 if byte == 10 else byte for byte in range(256)))[: BLOCK - 1] + b"\n"
    return data


def _upload(url: str, size: int, *, key: str, name: str) -> tuple[str, str]:
    """(id, sha256) of a file of `size` bytes, a whole number of blocks."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    digest = hashlib.sha256()

    def body() -> Iterator[bytes]:
        yield head
        for number in range(size // BLOCK):
            block = _block(number, name)
            digest.update(block)
            yield block
        yield tail

    headers = {"Authorization": f"Bearer {key}", "Content-Type": CONTENT_TYPE}
    headers["Content-Length"] = str(len(head) + size + len(tail))
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S)) as connection:
        connection.request("POST", "/v1/files", body=body(), headers=headers)
        answer = connection.getresponse()
        text = answer.read()
    assert answer.status == 200, text
    return str(json.loads(text)["id"]), digest.hexdigest()


def _download(url: str, file_id: str, *, key: str) -> tuple[int, str]:
    """(bytes, sha256) of the content."""
    digest, size = hashlib.sha256(), 0
    headers = {"Authorization": f"Bearer {key}"}
    with requests.get(f"{url}/v1/files/{file_id}/content", headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        assert answer.status_code == 200
        for data in answer.iter_content(MIB):
            digest.update(data)
            size += len(data)
    return size, digest.hexdigest()


def _delete(url: str, file_id: str, *, key: str) -> None:
    """Tests keep their folders for a while; gigabytes need not stay in them."""
    answer = requests.delete(f"{url}/v1/files/{file_id}", headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT_S)
    assert answer.json()["deleted"] is True


def _assert_ranges(url: str, file_id: str, size: int, *, key: str, name: str) -> None:
    for first, last in (
        (0, 0),
        (0, 99),
        (BLOCK - 5, BLOCK + 5),
        (size // 2 - 3, size // 2 + 70_000),
        (size - 7, size - 1),
    ):
        headers = {"Authorization": f"Bearer {key}", "Range": f"bytes={first}-{last}"}
        answer = requests.get(f"{url}/v1/files/{file_id}/content", headers=headers, timeout=TIMEOUT_S)
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
        blocks = b"".join(_block(number, name) for number in range(first // BLOCK, last // BLOCK + 1))
        start = first % BLOCK
        assert answer.content == blocks[start : start + last - first + 1]
