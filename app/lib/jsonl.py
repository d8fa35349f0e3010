"""Splits a JSONL stream of any size into lines: the position of each, and its bytes up to a limit."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import accumulate, count
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
_BLANK = frozenset(b" \t\n\r\v\f")
_BLANKS = re.compile(rb"\s++")
# What may surround the content of a line: a byte order mark before it, a CR after it.
AROUND_BYTES = len(BOM) + 1
# Where lines are shorter on the average they are mostly blank, or nonsense.
USUAL_BYTES = 24


class TooManyLinesError(Exception):
    """The stream has more lines than the limit, blank ones included."""


class Line(NamedTuple):
    """A line that is not blank. `number` counts all lines from 1; `offset` and `length` locate the content in bytes.

    The content excludes the line end (LF or CRLF) and a byte order mark. `data` is None if it exceeds the limit.
    """

    number: int
    offset: int
    length: int
    data: bytes | None


_line = partial(tuple.__new__, Line)  # three times as fast as Line(...), from a tuple of all fields


class LineSplitter:
    """Takes a stream piece by piece and yields the lines that each piece completes; blank lines are only counted.

    The result does not depend on how the stream is divided. At most `max_line_bytes` of one line are in memory. With
    `max_lines`, the first line after so many (blank ones included) that is complete raises TooManyLinesError. A stream
    that begins after the first `lines` lines begins at the `offset` of the next one.
    """

    def __init__(self, *, max_line_bytes: int, max_lines: int | None = None, lines: int = 0, offset: int = 0) -> None:
        self._max = max_line_bytes
        self._max_lines = max_lines
        self._number = lines
        self._offset = offset  # of the unfinished line
        self._held = bytearray()
        self._long: _LongLine | None = None

    @property
    def lines(self) -> int:
        """How many lines there were so far, blank ones included."""
        return self._number

    @property
    def held_bytes(self) -> int:
        """Bytes of the unfinished line in memory."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that end within `data`, the next piece of the stream."""
        start = 0
        if self._held or self._long is not None or not self._number:
            start = data.find(b"\n") + 1
            yield from self._each(data[:start] if start else data)
            if not start:
                return
        most = (len(data) - start) // USUAL_BYTES
        pieces = (data[start:] if start else data).split(b"\n", most)
        if len(pieces) > most or not self._are_usual(pieces, data):
            yield from self._each(data[start:])
            return
        self._held += pieces.pop()
        first, self._number = self._number + 1, self._number + len(pieces)
        offsets = list(accumulate([len(piece) + 1 for piece in pieces], initial=self._offset))
        self._offset = offsets[-1]
        yield from map(_line, zip(count(first), offsets, map(len, pieces), pieces, strict=False))

    def _are_usual(self, pieces: list[bytes], data: bytes) -> bool:
        """True when each piece is the content of a line (the last one of a line that is not complete)."""
        return (
            max(map(len, pieces)) <= self._max
            and (self._max_lines is None or self._number + len(pieces) <= self._max_lines)
            and all(pieces[:-1])
            and b"\r" not in data
            and not any(map(bytes.isspace, pieces))
        )

    def _each(self, data: bytes) -> Iterator[Line]:
        """As `feed`, line by line."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._held or self._long is not None:
                self._hold(data[start:end])
                line = self._complete()
            elif data[start] in _BLANK and (blanks_end := self._skip_blanks(data, start)):
                line, end = None, blanks_end - 1
            else:
                line = self._whole(data[start:end])
            if self._max_lines is not None and self._number > self._max_lines:
                raise TooManyLinesError
            if line is not None:
                yield line
            start = end + 1
        if start < len(data):
            self._hold(data[start:])

    def finish(self) -> Iterator[Line]:
        """The last line, if the stream does not end with a newline."""
        if self._held or self._long is not None:
            line = self._complete()
            if line is not None:
                if self._max_lines is not None and self._number > self._max_lines:
                    raise TooManyLinesError
                yield line

    def _skip_blanks(self, data: bytes, start: int) -> int:
        """Count the blank lines that begin at `start`; returns where the next line begins, 0 if there are none."""
        blank = _BLANKS.match(data, start)
        last = data.rfind(b"\n", start, blank.end()) if blank else -1
        if last < 0:
            return 0
        self._number += data.count(b"\n", start, last + 1)
        self._offset += last + 1 - start
        return last + 1

    def _hold(self, piece: bytes) -> None:
        if self._long is not None:
            self._long.add(piece)
            return
        self._held += piece
        if len(self._held) > self._max + AROUND_BYTES:
            start = self._held[: len(BOM)]
            self._long = _LongLine(mark=len(BOM) if self._offset == 0 and start == BOM else 0)
            self._long.add(bytes(self._held[self._long.mark :]))
            self._held = bytearray()

    def _complete(self) -> Line | None:
        if self._long is None:
            raw = bytes(self._held)
            self._held = bytearray()
            return self._whole(raw)
        long, self._long = self._long, None
        self._number += 1
        offset = self._offset + long.mark
        self._offset = offset + long.bytes + 1
        if long.is_blank:
            return None
        return Line(self._number, offset, long.bytes - long.ends_with_cr, None)

    def _whole(self, raw: bytes) -> Line | None:
        self._number += 1
        offset = self._offset
        self._offset += len(raw) + 1
        if self._number == 1 and not offset and raw.startswith(BOM):
            raw = raw[len(BOM) :]
            offset += len(BOM)
        data = raw.removesuffix(b"\r")
        if not data or data.isspace():
            return None
        length = len(data)
        return Line(self._number, offset, length, data if length <= self._max else None)


class _LongLine:
    """A line too long to hold, without its bytes; `mark` is the length of its byte order mark, if it has one."""

    def __init__(self, *, mark: int) -> None:
        self.mark = mark
        self.bytes = 0
        self.is_blank = True
        self.ends_with_cr = False

    def add(self, piece: bytes) -> None:
        if piece:
            self.bytes += len(piece)
            self.is_blank = self.is_blank and piece.isspace()
            self.ends_with_cr = piece.endswith(b"\r")


def lines(chunks: Iterable[bytes], *, max_line_bytes: int, max_lines: int | None = None) -> Iterator[Line]:
    """The lines of a stream that are not blank, with their data up to `max_line_bytes`. As LineSplitter, otherwise."""
    splitter = LineSplitter(max_line_bytes=max_line_bytes, max_lines=max_lines)
    for chunk in chunks:
        yield from splitter.feed(chunk)
    yield from splitter.finish()
