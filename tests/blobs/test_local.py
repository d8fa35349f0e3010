"""The contract of every blob store, and what is specific to the local disk."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.blobs import BlobError, BlobFullError, BlobMissingError, BlobStore, LocalBlobs, open_store
from tests.support.dropping_blobs import DroppingBlobs

KEY = "ab" * 20


@pytest.fixture(params=[LocalBlobs, DroppingBlobs], ids=["local", "dropping"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    make: Callable[[Path], BlobStore] = request.param
    return make(tmp_path / "blobs")


def put(store: BlobStore, data: bytes, key: str = KEY) -> None:
    writer = store.open_write(key)
    writer.write(data)
    writer.commit()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_blob_is_read_whole_and_in_part(store: BlobStore) -> None:
    data = os.urandom(700_000)
    put(store, data)
    assert b"".join(store.stream(KEY)) == data
    assert b"".join(store.stream(KEY, offset=300_000, length=5)) == data[300_000:300_005]
    reader = store.open_read(KEY)
    assert reader.read(699_990, 100) == data[-10:]
    reader.close()


def test_a_blob_is_invisible_before_commit(store: BlobStore) -> None:
    writer = store.open_write(KEY)
    writer.write(b"half")
    with pytest.raises(BlobMissingError):
        store.open_read(KEY)
    writer.abort()
    with pytest.raises(BlobMissingError):
        store.open_read(KEY)


def test_abort_after_commit_keeps_the_bytes(store: BlobStore) -> None:
    writer = store.open_write(KEY)
    writer.write(b"whole")
    writer.commit()
    writer.abort()
    assert b"".join(store.stream(KEY)) == b"whole"


def test_delete_removes_complete_and_partial_blobs_and_can_be_repeated(store: BlobStore, tmp_path: Path) -> None:
    put(store, b"x")
    half = store.open_write("cd" * 20)
    half.write(b"half")
    for key in (KEY, "cd" * 20, "ef" * 20):
        store.delete(key)
        store.delete(key)
    half.abort()
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_a_stream_that_is_never_read_closes_its_file(store: BlobStore) -> None:
    put(store, b"x")
    before = open_files()
    stream = store.stream(KEY)
    stream.close()  # type: ignore[attr-defined]
    del stream
    assert open_files() == before


def test_a_blob_shorter_than_expected_is_an_error(store: BlobStore) -> None:
    put(store, b"abc")
    with pytest.raises(BlobError, match="2 bytes shorter"):
        list(store.stream(KEY, length=5))


def test_check_passes_for_a_working_store_only(store: BlobStore, tmp_path: Path) -> None:
    store.check()
    (tmp_path / "file").touch()
    with pytest.raises(BlobError):
        LocalBlobs(tmp_path / "file").check()


def test_bytes_are_synced_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, rename = os.fsync, os.rename

    def recording_fsync(descriptor: int) -> None:
        is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")
        order.append("sync folder" if is_folder else "sync bytes")
        fsync(descriptor)

    def recording_rename(source: Path, target: Path) -> None:
        order.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(os, "rename", recording_rename)
    put(LocalBlobs(tmp_path / "blobs"), b"x")
    assert order == ["sync bytes", "rename", "sync folder", "sync folder"]


def test_a_full_disk_raises_blob_full_error(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path)
    writer = store.open_write(KEY)
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), writer._file.fileno())  # the writer's file is now on a full disk
        with pytest.raises(BlobFullError):
            writer.write(b"x" * 2**20)
            writer.commit()
        writer.abort()


def test_only_file_urls_open_a_store(tmp_path: Path) -> None:
    assert isinstance(open_store(tmp_path.as_uri()), LocalBlobs)
    for url in ("s3://bucket", "/var/blobs", "file://"):
        with pytest.raises(ValueError, match="BATCHGATE_BLOB_URL"):
            open_store(url)
