"""What every blob store can do. Keys come from the gateway, never from a request."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

BUFFER_BYTES = 256 * 1024


class BlobError(Exception):
    """The store failed; the cause is chained."""


class BlobMissingError(BlobError):
    """No bytes under that key."""


class BlobFullError(BlobError):
    """The store has no room left."""


class BlobWriter(Protocol):
    """Bytes on their way in; invisible under their key until `commit` returns."""

    def write(self, data: bytes | memoryview) -> None: ...

    def commit(self) -> None:
        """Make the bytes durable and visible under the key, or raise BlobError."""
        ...

    def abort(self) -> None:
        """Leave nothing behind. Safe after any failure, and after `commit` does nothing."""
        ...


class BlobReader(Protocol):
    """Random access to one committed blob; safe to use from one thread at a time."""

    def read(self, offset: int, length: int) -> bytes: ...

    def close(self) -> None: ...


class BlobStore(Protocol):
    """One place for bytes. All methods may be called from many threads and raise only BlobError."""

    backend: str  # `storage_backend` on the wire: local, s3, gcs, azure
    url: str  # what tells this store from another; kept in blobs.store

    def open_write(self, key: str) -> BlobWriter: ...

    def open_read(self, key: str) -> BlobReader: ...

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from `offset` (to the end, or `length` of them) in buffers of at most BUFFER_BYTES."""
        ...

    def delete(self, key: str) -> None:
        """Remove the blob and anything half-written under its key; a missing one is no error."""
        ...

    def path(self, key: str) -> Path | None:
        """Where a web server on this machine finds the bytes, if anywhere."""
        ...

    def check(self) -> None:
        """Raise BlobError unless bytes can be written, read back and deleted."""
        ...
