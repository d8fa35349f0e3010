"""Several stores as one: new blobs go to the default store, others are where their rows say."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from app.blobs.base import BlobError, BlobMissingError, BlobReader, BlobStore, BlobWriter
from app.blobs.local import LocalBlobs

FOLDER = "file:"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a blob is: the URL of its store, and its name there, which differs from its key after a move."""

    store: str
    name: str


class Stores:
    """The default store and others, behind the interface of one.

    `locate` returns where the blob with a key is, None if there is none. While there is one store and nothing was
    moved, it is only called for blobs that are missing.
    """

    def __init__(
        self, default: BlobStore, others: Sequence[BlobStore], locate: Callable[[str], Location | None]
    ) -> None:
        self.default = default
        self.backend = default.backend
        self.url = default.url
        self.commits_late = default.commits_late
        self.all = (default, *others)
        self._locate = locate
        self._asks_first = bool(others)

    def open_write(self, key: str) -> BlobWriter:
        return self.default.open_write(key)

    def open_read(self, key: str) -> BlobReader:
        return _Reader(self, key)

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        return _Stream(self, key, offset, length)

    def delete(self, key: str) -> None:
        self.default.delete(key)

    def path(self, key: str) -> Path | None:
        # A web server knows one folder.
        if sum(isinstance(store, LocalBlobs) for store in self.all) != 1:
            return None
        store, name = self._find(key)
        return store.path(name)

    def at(self, url: str) -> BlobStore:
        for store in self.all:
            if store.url == url:
                return store
        # A folder may have been given another name since, as when a volume is mounted elsewhere.
        folders = [store for store in self.all if store.url.startswith(FOLDER)]
        if url.startswith(FOLDER) and folders:
            return folders[0]
        raise BlobError(f"These bytes are in {url}, which this process does not know: add it to BATCHGATE_BLOB_STORES.")

    def signed_url(self, key: str, *, seconds: int, headers: Mapping[str, str]) -> str | None:
        store, name = self._find(key)
        return store.signed_url(name, seconds=seconds, headers=headers)

    def free_bytes(self) -> int | None:
        return self.default.free_bytes()

    def check(self) -> None:
        self.default.check()

    def following(self, key: str, read: Callable[[BlobStore, str], T]) -> T:
        """`read(store, name)` where the blob is; once more if it was moved meanwhile. Raises what `read` raises."""
        store, name = self._find(key)
        try:
            return read(store, name)
        except BlobMissingError:
            location = self._locate(key)
            if location is None:
                raise
            moved_to = self.at(location.store)
            if (moved_to, location.name) == (store, name):
                raise
            self._asks_first = True
            return read(moved_to, location.name)

    def _find(self, key: str) -> tuple[BlobStore, str]:
        location = self._locate(key) if self._asks_first else None
        return (self.default, key) if location is None else (self.at(location.store), location.name)


class _Reader:
    """Reads a blob that may be moved while it is open."""

    def __init__(self, stores: Stores, key: str) -> None:
        self._stores = stores
        self._key = key
        self._reader = self._open()

    def read(self, offset: int, length: int) -> bytes:
        try:
            return self._reader.read(offset, length)
        except BlobMissingError:
            self._reader = self._open()
            return self._reader.read(offset, length)

    def close(self) -> None:
        self._reader.close()

    def _open(self) -> BlobReader:
        return self._stores.following(self._key, lambda store, name: store.open_read(name))


class _Stream:
    """Streams a blob that may be moved meanwhile."""

    def __init__(self, stores: Stores, key: str, offset: int, length: int | None) -> None:
        self._stores = stores
        self._key = key
        self._offset = offset
        self._remaining = length
        self._source = self._open()

    def __iter__(self) -> "_Stream":
        return self

    def __next__(self) -> bytes:
        try:
            data = next(self._source)
        except BlobMissingError:
            self._source = self._open()
            data = next(self._source)
        self._offset += len(data)
        if self._remaining is not None:
            self._remaining -= len(data)
        return data

    def close(self) -> None:
        """Close the stream within. Safe to call twice."""
        self._source.close()  # type: ignore[attr-defined]

    def _open(self) -> Iterator[bytes]:
        def opened(store: BlobStore, name: str) -> Iterator[bytes]:
            return store.stream(name, offset=self._offset, length=self._remaining)

        return self._stores.following(self._key, opened)
