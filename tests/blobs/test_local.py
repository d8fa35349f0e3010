"""What is specific to blobs on the local disk."""

import os
from pathlib import Path

import pytest

from app.blobs import BlobFullError, BlobStore, LocalBlobs

KEY = "ab" * 20


def put(store: BlobStore, data: bytes, key: str = KEY) -> None:
    writer = store.open_write(key)
    writer.write(data)
    writer.commit()


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
