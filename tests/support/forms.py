"""Multipart bodies byte by byte, for what no client library would send."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

BOUNDARY = "----boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, data: bytes, *, filename: str | None = None, headers: Sequence[str] = ()) -> bytes:
    """One part with its border in front; `filename` goes out as it is."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    head = "\r\n".join([f"--{BOUNDARY}", disposition, *headers])
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"


def end() -> bytes:
    """The border that ends a body."""
    return f"--{BOUNDARY}--\r\n".encode()


def form(*parts: bytes) -> bytes:
    """A whole body."""
    return b"".join(parts) + end()


class Endless(io.RawIOBase):
    """A long body that is never whole in memory."""

    def __init__(self, head: bytes, line: bytes, times: int, tail: bytes) -> None:
        self.size = len(head) + len(line) * times + len(tail)
        self._pieces: Iterator[bytes] = iter([head, *[line] * times, tail])
        self._rest = b""

    @property
    def environ(self) -> dict[str, Any]:
        """What makes a WSGI request carry it."""
        return {"wsgi.input": self, "CONTENT_TYPE": CONTENT_TYPE, "CONTENT_LENGTH": str(self.size)}

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._pieces, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
