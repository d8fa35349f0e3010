"""Bytes of blobs from one blob store to another, each checked against its SHA-256."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from app.blobs import BlobError, BlobMissingError, BlobStore

THREADS = 4
MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """A blob to be copied from `store`, where it is called `name`. `sha256` is None if nobody hashed it."""

    store: BlobStore
    name: str
    key: str
    bytes: int
    sha256: str | None


class DamagedError(BlobError):
    """The bytes are not those that the row or the backup describes."""


def copy_all(
    target: BlobStore, wanted: Iterator[Wanted], on_copied: Callable[[int], None]
) -> Iterator[tuple[str, str]]:
    """Copy blobs, a few at a time; yields key and SHA-256 of each, in the order of `wanted`.

    `on_copied` gets the size of each blob that is there. Blobs that `target` has already, with the right bytes, are not
    written again. Raises BlobError.
    """
    with ThreadPoolExecutor(THREADS, thread_name_prefix="blobs") as threads:
        waiting = []
        for blob in wanted:
            waiting.append((blob, threads.submit(_copy, target, blob)))
            if len(waiting) >= MAX_WAITING:
                first, copied = waiting.pop(0)
                yield first.key, copied.result()
                on_copied(first.bytes)
        for blob, copied in waiting:
            yield blob.key, copied.result()
            on_copied(blob.bytes)


def _copy(target: BlobStore, blob: Wanted) -> str:
    found = _present(target, blob)
    if found is not None:
        return found
    target.delete(blob.key)  # what an attempt that was killed has left
    writer = target.open_write(blob.key)
    try:
        summed, size = hashlib.sha256(), 0
        for data in blob.store.stream(blob.name):
            summed.update(data)
            size += len(data)
            writer.write(data)
        digest = summed.hexdigest()
        _compare(blob, size, digest)
        writer.commit()
    except BaseException:
        writer.abort()
        raise
    return digest


def _compare(blob: Wanted, size: int, digest: str) -> None:
    if size != blob.bytes or blob.sha256 not in (None, digest):
        raise DamagedError(
            f"Blob {blob.key} has {size} bytes with the SHA-256 {digest}, but {blob.bytes} bytes with "
            f"{blob.sha256 or 'any SHA-256'} were expected."
        )


def _present(target: BlobStore, blob: Wanted) -> str | None:
    """The SHA-256 of a blob that is in `target` already, and as it should be."""
    summed, size = hashlib.sha256(), 0
    try:
        for data in target.stream(blob.key):
            summed.update(data)
            size += len(data)
    except BlobMissingError:
        return None
    digest = summed.hexdigest()
    return digest if size == blob.bytes and blob.sha256 in (None, digest) else None
