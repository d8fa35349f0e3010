"""Reading one object: at random by blocks that are kept for a while, or whole as a stream that survives a cut."""

from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError

from app.blobs.base import BUFFER_BYTES, BlobError, BlobMissingError
from app.blobs.blocks import BLOCK_BYTES
from app.blobs.failures import is_out_of_range

if TYPE_CHECKING:
    from app.blobs.objects import ObjectBlobs

# So often a stream goes on after a failure without having had a byte in between.
MAX_FRUITLESS = 3


class ObjectReader:
    """Random access for any number of threads."""

    def __init__(self, blobs: "ObjectBlobs", name: str) -> None:
        self._blobs = blobs
        self._name = name
        self._size = self._open()

    def read(self, offset: int, length: int) -> bytes:
        stop = min(offset + length, self._size)
        if offset >= stop:
            return b""
        if stop - offset > BLOCK_BYTES:
            return self._fetch(offset, stop)
        first, last = offset // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES
        data = (
            b"".join(self._block(number) for number in range(first, last + 1)) if last > first else self._block(first)
        )
        start = offset - first * BLOCK_BYTES
        return data[start : start + stop - offset]

    def close(self) -> None:
        """Nothing is held open."""

    def _open(self) -> int:
        """The size. The first block comes with it, since it is mostly what is read next."""
        with self._blobs.errors(self._name, reading=True):
            try:
                found = obstore.get(self._blobs.client, self._name, options={"range": (0, BLOCK_BYTES)})
            except BaseError as error:
                if not is_out_of_range(error):
                    raise
                return obstore.head(self._blobs.client, self._name)["size"]  # an empty object has no ranges
            self._blobs.blocks.put((self._name, 0), found.bytes().to_bytes())
            return found.meta["size"]

    def _block(self, number: int) -> bytes:
        start = number * BLOCK_BYTES
        stop = min(start + BLOCK_BYTES, self._size)
        return self._blobs.blocks.get((self._name, number), lambda: self._fetch(start, stop))

    def _fetch(self, start: int, stop: int) -> bytes:
        with self._blobs.errors(self._name, reading=True):
            data = obstore.get_range(self._blobs.client, self._name, start=start, end=stop).to_bytes()
        if len(data) != stop - start:
            raise BlobError(f"{self._name}: the store returned {len(data)} bytes instead of {stop - start}.")
        return data


class ObjectStream:
    """Streams one object in buffers. When the connection is cut, it goes on from where it was."""

    def __init__(self, blobs: "ObjectBlobs", name: str, offset: int, length: int | None) -> None:
        self._blobs = blobs
        self._name = name
        self._offset = offset
        self._remaining = length
        self._fruitless = 0
        self._rest = memoryview(b"")
        self._source: Any = self._open()

    def __iter__(self) -> "ObjectStream":
        return self

    def __next__(self) -> bytes:
        if len(self._rest) < BUFFER_BYTES and (data := self._next()):
            # Whole buffers but for the last one: what is left of one piece, and the beginning of the next.
            head, self._rest = bytes(self._rest), memoryview(data)
            if head:
                data, self._rest = head + self._rest[: BUFFER_BYTES - len(head)], self._rest[BUFFER_BYTES - len(head) :]
                return data
        if not self._rest:
            raise StopIteration
        data, self._rest = bytes(self._rest[:BUFFER_BYTES]), self._rest[BUFFER_BYTES:]
        return data

    def close(self) -> None:
        """Drop the connection. Safe to call twice."""
        self._source = None
        self._rest = memoryview(b"")

    def _next(self) -> bytes:
        """The next piece, nothing at the end."""
        while True:
            if self._source is None or self._remaining == 0:
                self._source = None
                return b""
            try:
                with self._blobs.errors(self._name, reading=True):
                    data = next(self._source, None)
            except BlobMissingError:
                self.close()
                raise
            except BlobError as error:
                self._go_on(error)
                continue
            if data is not None:
                return self._counted(data)
            self._source = None
            if self._remaining:
                raise BlobError(f"The blob is {self._remaining} bytes shorter than expected.")

    def _counted(self, data: bytes) -> bytes:
        self._fruitless = 0
        self._offset += len(data)
        if self._remaining is not None:
            self._remaining -= len(data)
        return data

    def _go_on(self, error: BlobError) -> None:
        self._fruitless += 1
        if self._fruitless > MAX_FRUITLESS:
            self.close()
            raise error
        self._source = self._open()

    def _open(self) -> Any:
        """The library's stream of the rest; None when there is nothing to read."""
        options: Any = {}
        if self._remaining is not None:
            options = {"range": (self._offset, self._offset + self._remaining)}
        elif self._offset:
            options = {"range": {"offset": self._offset}}
        with self._blobs.errors(self._name, reading=True):
            try:
                if self._remaining == 0:
                    obstore.head(self._blobs.client, self._name)
                    return None
                found = obstore.get(self._blobs.client, self._name, options=options)
            except BaseError as error:
                if not is_out_of_range(error):
                    raise
                size = obstore.head(self._blobs.client, self._name)["size"]
                if not options or self._offset < size:
                    raise
                return iter(())  # it ends before this range
            return found.stream(min_chunk_size=BUFFER_BYTES)
