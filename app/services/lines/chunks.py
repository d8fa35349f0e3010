"""Answers where they were first written down: chunk blobs, the latest few of them open."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Self

from app.blobs import BlobError, BlobReader
from app.services.gateway import Gateway

OPEN_READERS = 32
PIECE_BYTES = 256 * 1024


class ChunkReaders:
    """Reads answers by the place that their lines have in SQL; closes what it opened at the end of its block."""

    def __init__(self, gateway: Gateway) -> None:
        self._store = gateway.blobs
        self._open: OrderedDict[str, BlobReader] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def read(self, key: str, offset: int, length: int) -> bytes:
        """One answer, whole. Raises BlobError when it is not there."""
        return b"".join(self.pieces(key, offset, length))

    def pieces(self, key: str, offset: int, length: int) -> Iterator[bytes]:
        """One answer in pieces of at most PIECE_BYTES. Raises BlobError when it is not there."""
        reader = self._reader(key)
        end = offset + length
        while offset < end:
            data = reader.read(offset, min(PIECE_BYTES, end - offset))
            if not data:
                raise BlobError(f"blob {key} ends before {end}")
            yield data
            offset += len(data)

    def _reader(self, key: str) -> BlobReader:
        reader = self._open.get(key)
        if reader is not None:
            self._open.move_to_end(key)
            return reader
        if len(self._open) >= OPEN_READERS:
            self._open.popitem(last=False)[1].close()
        reader = self._open[key] = self._store.open_read(key)
        return reader
