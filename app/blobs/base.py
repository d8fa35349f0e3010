"""The interface of blob stores. The gateway generates the keys; they never come from a request."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

BUFFER_BYTES = 256 * 1024


class BlobError(Exception):
    """The store failed; the cause is chained."""


class BlobMissingError(BlobError):
    """The key does not exist."""


class BlobFullError(BlobError):
    """The store has no space left."""


class BlobWriter(Protocol):
    """Writes one blob, which stays invisible until `commit` returns."""

    def write(self, data: bytes | memoryview) -> None: ...

    def commit(self) -> None:
        """Make the blob durable and visible, or raise BlobError."""
        ...

    def abort(self) -> None:
        """Discard the blob. Safe after any failure; does nothing after `commit`."""
        ...


class BlobReader(Protocol):
    """Random access to a committed blob, also for several threads at once."""

    def read(self, offset: int, length: int) -> bytes: ...

    def close(self) -> None: ...


class BlobStore(Protocol):
    """A blob store. Thread-safe; methods raise only BlobError."""

    backend: str  # `storage_backend` on the wire: local, s3, gcs, azure
    url: str  # identifies this store; recorded in blobs.store
    commits_late: bool  # whether a commit that failed may take effect later

    def open_write(self, key: str) -> BlobWriter: ...

    def open_read(self, key: str) -> BlobReader: ...

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Stream `length` bytes from `offset` (None: to the end), in buffers of at most BUFFER_BYTES."""
        ...

    def delete(self, key: str) -> None:
        """Delete the blob and any partial write under its key. A missing blob is not an error."""
        ...

    def at(self, url: str) -> "BlobStore":
        """The store that rows call `url`. Raises BlobError when this process has no such store."""
        ...

    def path(self, key: str) -> Path | None:
        """Return the path from which a local web server can serve the blob, or None."""
        ...

    def signed_url(self, key: str, *, seconds: int, headers: Mapping[str, str]) -> str | None:
        """A URL with which anybody can GET the blob for a while, answered with `headers`; None where there is none."""
        ...

    def free_bytes(self) -> int | None:
        """The space that is left, 0 also when no more files fit; None if the store has no limit. Raises BlobError."""
        ...

    def check(self) -> None:
        """Raise BlobError unless a blob can be written, read back and deleted, in the store that it was at first."""
        ...
