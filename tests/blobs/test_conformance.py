"""The contract of every blob store, over the disk, S3, Google Cloud Storage and Azure."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from app.blobs import BlobError, BlobMissingError, BlobStore
from app.blobs.base import BUFFER_BYTES
from tests.blobs import servers
from tests.blobs.servers import Kind

KEY = "ab" * 20
UNREAD = 30
MIB = 2**20


@pytest.fixture(params=servers.KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with servers.opened(request.param, request, tmp_path / "blobs") as found:
        yield found


@pytest.fixture
def store(kind: Kind) -> BlobStore:
    return kind.store


def put(store: BlobStore, data: bytes, key: str = KEY) -> None:
    writer = store.open_write(key)
    for start in range(0, len(data), BUFFER_BYTES):
        writer.write(memoryview(data)[start : start + BUFFER_BYTES])
    writer.commit()


def noise(size: int) -> bytes:
    """Bytes of which no part is like another, the same ones for the same size."""
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, BUFFER_BYTES, 700_000, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 23 * MIB])
def test_a_blob_is_read_as_it_was_written(kind: Kind, size: int) -> None:
    data = noise(size)
    put(kind.store, data)
    buffers = list(kind.store.stream(KEY))
    assert b"".join(buffers) == data
    assert all(len(buffer) == BUFFER_BYTES for buffer in buffers[:-1])
    assert all(0 < len(buffer) <= BUFFER_BYTES for buffer in buffers)
    assert list(kind.names()) == [KEY]


def test_ranges_are_streamed(store: BlobStore) -> None:
    data = noise(MIB)
    put(store, data)
    spans = [(0, 0), (0, 1), (5, 300_000), (300_000, 5), (MIB - 1, 1), (0, MIB), (MIB, 0)]
    for offset, length in spans:
        assert b"".join(store.stream(KEY, offset=offset, length=length)) == data[offset : offset + length]
    for offset in (0, 1, MIB - 1, MIB):
        assert b"".join(store.stream(KEY, offset=offset)) == data[offset:]


def test_any_place_can_be_read(store: BlobStore) -> None:
    data = noise(3 * MIB + 17)
    put(store, data)
    reader = store.open_read(KEY)
    spans = [(0, 10), (524_280, 20), (1, 2 * MIB), (len(data) - 5, 100), (len(data), 5), (len(data) + 9, 5), (7, 0)]
    for offset, length in spans:
        assert reader.read(offset, length) == data[offset : offset + length]
    reader.close()


def test_threads_share_a_reader(store: BlobStore) -> None:
    data = noise(2 * MIB)
    put(store, data)
    reader = store.open_read(KEY)
    wrong: list[int] = []

    def read(number: int) -> None:
        for offset in range(number * 1000, len(data), 97_001):
            if reader.read(offset, 500) != data[offset : offset + 500]:
                wrong.append(offset)

    threads = [Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader.close()
    assert wrong == []


def test_a_blob_is_invisible_before_commit(store: BlobStore) -> None:
    for size in (4, 6 * MIB):
        writer = store.open_write(KEY)
        writer.write(noise(size))
        for look in (store.open_read, store.stream):
            with pytest.raises(BlobMissingError):
                look(KEY)
        writer.abort()
        writer.abort()
        with pytest.raises(BlobMissingError):
            store.open_read(KEY)


def test_what_was_aborted_leaves_nothing_behind(kind: Kind) -> None:
    for size in (4, 11 * MIB):
        writer = kind.store.open_write(KEY)
        for _ in range(0, size, MIB):
            writer.write(noise(min(size, MIB)))
        writer.abort()
    assert list(kind.names()) == []
    assert kind.unfinished is None or list(kind.unfinished()) == []


def test_abort_after_commit_keeps_the_bytes(store: BlobStore) -> None:
    for key, size in (("ab" * 20, 5), ("cd" * 20, 6 * MIB)):
        writer = store.open_write(key)
        writer.write(noise(size))
        writer.commit()
        writer.abort()
        assert b"".join(store.stream(key)) == noise(size)


def test_delete_can_be_repeated(kind: Kind) -> None:
    put(kind.store, b"x")
    for key in (KEY, "cd" * 20):
        kind.store.delete(key)
        kind.store.delete(key)
    assert list(kind.names()) == []


def test_a_stream_that_is_never_read_holds_nothing(store: BlobStore) -> None:
    put(store, noise(MIB))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(UNREAD):
        stream = store.stream(KEY)
        stream.close()  # type: ignore[attr-defined]
        stream.close()  # type: ignore[attr-defined]
        assert list(stream) == []
        del stream
    # Connections are kept for the next call, a few of them, and a server in this process has their other ends.
    assert len(os.listdir("/proc/self/fd")) < before + UNREAD // 2


def test_a_blob_shorter_than_expected_is_an_error(store: BlobStore) -> None:
    put(store, b"abc")
    with pytest.raises(BlobError, match="2 bytes shorter"):
        list(store.stream(KEY, length=5))
    with pytest.raises(BlobError, match="5 bytes shorter"):
        list(store.stream(KEY, offset=3, length=5))


def test_what_is_missing_is_missing_at_once(store: BlobStore) -> None:
    for length in (None, 0, 5):
        with pytest.raises(BlobMissingError):
            store.stream(KEY, length=length)
    with pytest.raises(BlobMissingError):
        store.open_read(KEY)


def test_check_leaves_nothing_behind(kind: Kind) -> None:
    for _ in range(2):
        kind.store.check()
    assert list(kind.names()) == []
