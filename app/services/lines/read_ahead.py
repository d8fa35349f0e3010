"""Reading the lines of a batch one after the other, with few calls to the blob store."""

from app.blobs import BlobReader

# A batch that is open holds so much of its input.
AHEAD_BYTES = 32 * 1024


class ReadAhead:
    """Reads more than it is asked for: the lines that are sent next follow. Safe to share between threads."""

    def __init__(self, reader: BlobReader) -> None:
        self._reader = reader
        self._held = (0, b"")  # from where on, and what is there; replaced as a whole

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on. Raises BlobError."""
        start, data = self._held
        if start <= offset and offset + length <= start + len(data):
            return data[offset - start : offset - start + length]
        if length * 2 > AHEAD_BYTES:
            return self._reader.read(offset, length)
        data = self._reader.read(offset, AHEAD_BYTES)
        self._held = (offset, data)
        return data[:length]

    def close(self) -> None:
        """Close the blob."""
        self._reader.close()
