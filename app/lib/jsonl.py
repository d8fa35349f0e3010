"""Lines of a JSONL stream, whatever its size: where each lies, and its bytes if they are not too many."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """`number` counts physical lines from 1; `offset` and `length` locate the content in the stream.

    `data` is None when the line is longer than was asked for.
    """

    number: int
    offset: int
    length: int
    data: bytes | None


class LineSplitter:
    """Fed with pieces of the stream, gives the lines they complete; blank ones are left out."""

    def __init__(self, *, max_line_bytes: int) -> None:
        self._max = max_line_bytes
        self._number = 0
        self._offset = 0  # of the line that is being collected
        self._length = 0
        self._pieces: list[bytes] = []
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """Lines that end within `data`."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._pieces or self._too_long:
                self._collect(data[start : end + 1])
                line = self._complete()
            else:
                line = self._whole(data[start : end + 1])
            if line is not None:
                yield line
            start = end + 1
        if start < len(data):
            self._collect(data[start:])

    def finish(self) -> Iterator[Line]:
        """The last line, when no newline ends it."""
        if self._pieces or self._too_long:
            line = self._complete()
            if line is not None:
                yield line

    def _collect(self, piece: bytes) -> None:
        self._length += len(piece)
        # Two bytes more than the content may be its line end.
        if self._too_long or self._length > self._max + 2:
            self._too_long = True
            self._pieces.clear()
        else:
            self._pieces.append(piece)

    def _complete(self) -> Line | None:
        if not self._too_long:
            raw = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces = []
            self._length = 0
            return self._whole(raw)
        self._number += 1
        line = Line(self._number, self._offset, self._length, None)
        self._offset += self._length
        self._length = 0
        self._too_long = False
        return line

    def _whole(self, raw: bytes) -> Line | None:
        self._number += 1
        offset = self._offset
        self._offset += len(raw)
        if self._number == 1 and raw.startswith(BOM):
            raw = raw[len(BOM) :]
            offset += len(BOM)
        data = raw.rstrip(b"\r\n")
        if not data or data.isspace():
            return None
        return Line(self._number, offset, len(data), data if len(data) <= self._max else None)


def lines(chunks: Iterable[bytes], *, max_line_bytes: int) -> Iterator[Line]:
    """Every line of a stream of pieces that is not blank, with its data up to `max_line_bytes`."""
    splitter = LineSplitter(max_line_bytes=max_line_bytes)
    for chunk in chunks:
        yield from splitter.feed(chunk)
    yield from splitter.finish()
