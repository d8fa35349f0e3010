"""Reads one HTTP/1.1 answer from a socket within a deadline and a number of bytes."""

import http.client
import io
import re
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
# What a small answer has that needs no second look: a body is allowed, and the connection stays open.
USUAL_START = re.compile(r"HTTP/1\.1 (?!204|304)[2-5][0-9][0-9](?: |$)")
UNUSUAL = ("connection", "transfer-encoding")


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
    first = source.look()
    small = _small_answer(first) if len(first) <= max_bytes else None
    if small is not None:
        return small, True
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


def wait_until(sock: socket.socket, deadline: float) -> None:
    """Let the next call on the socket end at the deadline, or at most a hundredth of the time left later.

    Each change is a system call, and one line after the other has the same time.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    limit = sock.gettimeout()
    if limit is None or not left <= limit <= left * 1.01:
        sock.settimeout(left * 1.001)


def _small_answer(data: bytes) -> Answer | None:
    """The answer that `data` is, if it is all of one in the usual form; whatever else it may be, http.client reads.

    http.client takes as long for an answer as all else that a line needs of the network.
    """
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    if not USUAL_START.match(start) or len(lines) > MAX_HEADERS or b"\n" in head.replace(b"\r\n", b""):
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name[0] in " \t" or name in headers or name in UNUSUAL:
            return None
        headers[name] = value.strip()
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()) or int(length) != len(body):
        return None
    return Answer(int(start[9:12]), headers, body)


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
        self._first = b""

    def look(self) -> bytes:
        """What comes first; it is still to be read."""
        wait_until(self._sock, self._deadline)
        self._first = self._sock.recv(BUFFER_BYTES)
        self._allowance -= len(self._first)
        return self._first

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The file that http.client reads a socket through."""
        return io.BufferedReader(self, BUFFER_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._first:
            count = min(len(buffer), len(self._first))
            buffer[:count], self._first = self._first[:count], self._first[count:]
            return count
        wait_until(self._sock, self._deadline)
        count = self._sock.recv_into(buffer)
        self._allowance -= count
        if self._allowance < 0:
            raise OverLimitError
        return count
