"""Reads one HTTP/1.1 answer from a socket within a deadline and a number of bytes."""

import http.client
import io
import socket
import time
from collections.abc import Callable
from typing import Any, cast

from app.connectors.http.wire import Answer

# Headers and the framing of chunks come on top of the body.
OVERHEAD_BYTES = 2**20
BUFFER_BYTES = 16 * 1024
PIECE_BYTES = 64 * 1024
# Answers up to here are read at once: a line may always hold that much.
FREE_BYTES = 64 * 1024
MAX_HEADERS = 100
MAX_HEADER_BYTES = 64 * 1024
# Headers that say where the answer ends: two that differ could make one answer look like two.
FRAMING = ("content-length", "transfer-encoding")


class OverLimitError(Exception):
    """The answer is larger than the caller wants to hold."""


class NoRoomError(Exception):
    """There was no room for the answer in time."""


def read_answer(
    sock: socket.socket, *, method: str, deadline: float, max_bytes: int, room: Callable[[int, float], bool]
) -> tuple[Answer, bool]:
    """The answer, and whether the connection can carry another call.

    `deadline` is on the monotonic clock and bounds the whole answer, however slowly it drips. `room(bytes, seconds)` is
    asked before so many bytes, more than a small answer has, are read. Raises TimeoutError, OverLimitError,
    NoRoomError, http.client.HTTPException (cut short, or not HTTP) and OSError.
    """
    source = _Source(sock, deadline, max_bytes + OVERHEAD_BYTES)
    response = _Response(cast(Any, source), method=method)
    try:
        response.begin()
        if response.length is not None and response.length > max_bytes:
            raise OverLimitError
        body = _body(response, deadline, max_bytes, room)
        return Answer(response.status, response.fields, body), not response.will_close
    except (ValueError, OverflowError) as error:
        raise http.client.HTTPException("the framing of the answer is wrong") from error
    except MemoryError as error:
        raise OverLimitError from error  # the whole of an absurd chunk size is allocated at once
    finally:
        response.close()


def _body(
    response: http.client.HTTPResponse, deadline: float, max_bytes: int, room: Callable[[int, float], bool]
) -> bytes:
    def need(size: int) -> None:
        if size > 0 and not room(size, deadline - time.monotonic()):
            raise NoRoomError

    if response.length is not None:
        need(response.length if response.length > FREE_BYTES else 0)
        return response.read()
    pieces, count, held = [], 0, FREE_BYTES
    while piece := response.read(PIECE_BYTES):
        count += len(piece)
        if count > max_bytes:
            raise OverLimitError
        if count > held:
            more = min(max(held, count - held), max_bytes - held)
            need(more)
            held += more
        pieces.append(piece)
    return b"".join(pieces)


class _Response(http.client.HTTPResponse):
    """The standard library's, with headers as a dictionary: its parser of e-mail headers takes as long as the rest.

    `fields` are the headers, their names in lower case.
    """

    fields: dict[str, str]

    def begin(self) -> None:
        """Read the head of the answer. Raises http.client.HTTPException."""
        version, self.status, self.reason = self._read_status()  # type: ignore[attr-defined]
        while self.status == http.client.CONTINUE:
            _headers(self.fp)
            version, self.status, self.reason = self._read_status()  # type: ignore[attr-defined]
        if not version.startswith("HTTP/1."):
            raise http.client.UnknownProtocol(version)
        self.version = 10 if version == "HTTP/1.0" else 11
        self.fields = _headers(self.fp)
        self.headers = self.msg = cast(Any, self.fields)
        self.chunked = self.fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = None if self.chunked else _length(self.fields.get("content-length", ""))
        if self.status in (http.client.NO_CONTENT, http.client.NOT_MODIFIED) or self.status < 200:
            self.length = 0
        closes = self._check_close()  # type: ignore[attr-defined]
        self.will_close = closes or (self.length is None and not self.chunked)


def _headers(file: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for _ in range(MAX_HEADERS + 1):
        line = file.readline(MAX_HEADER_BYTES + 1)
        if len(line) > MAX_HEADER_BYTES:
            raise http.client.LineTooLong("header line")
        if line in (b"\r\n", b"\n", b""):
            return found
        text = line.decode("latin-1")
        if text[0] in " \t" and name:  # the value goes on
            found[name] = f"{found[name]} {text.strip()}"
            continue
        name, _colon, value = text.partition(":")
        name, value = name.lower(), value.strip()
        if name in FRAMING and found.get(name, value) != value:
            raise http.client.HTTPException(f"{name} is sent twice")
        found[name] = value
    raise http.client.HTTPException(f"more than {MAX_HEADERS} headers")


def _length(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


class _Source(io.RawIOBase):
    """The bytes of a socket. Each read gets what is left of the deadline and of the byte allowance."""

    def __init__(self, sock: socket.socket, deadline: float, allowance: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._allowance = allowance

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The file that http.client reads a socket through."""
        return io.BufferedReader(self, BUFFER_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        count = self._sock.recv_into(buffer)
        self._allowance -= count
        if self._allowance < 0:
            raise OverLimitError
        return count
