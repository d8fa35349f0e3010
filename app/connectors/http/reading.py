"""Reading one HTTP/1.1 answer from a socket within a deadline and a number of bytes."""

import http.client
import io
import socket
import time
from collections.abc import Mapping
from typing import Any, cast

# Headers and the framing of chunks come on top of the body.
OVERHEAD_BYTES = 2**20
BUFFER_BYTES = 16 * 1024


class AnswerTooLargeError(Exception):
    """The answer is larger than the caller wants to hold."""


def read_answer(
    sock: socket.socket, *, method: str, deadline: float, max_bytes: int
) -> tuple[int, Mapping[str, str], bytes, bool]:
    """Status, headers (names in lower case), body, and whether the connection can carry another call.

    `deadline` is on the monotonic clock and bounds the whole answer, however slowly it drips. Raises
    TimeoutError, AnswerTooLargeError, http.client.HTTPException (cut, or not HTTP) and OSError.
    """
    source = _Source(sock, deadline, max_bytes + OVERHEAD_BYTES)
    response = http.client.HTTPResponse(cast(Any, source), method=method)
    try:
        response.begin()
        if response.length is not None and response.length > max_bytes:
            raise AnswerTooLargeError
        body = response.read()
        if len(body) > max_bytes:
            raise AnswerTooLargeError
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status, headers, body, not response.will_close
    except (ValueError, OverflowError) as error:
        raise http.client.HTTPException("the framing of the answer is wrong") from error
    except MemoryError as error:
        raise AnswerTooLargeError from error  # an absurd chunk size is asked from the allocator at once
    finally:
        response.close()


def open_answer(sock: socket.socket, *, method: str, deadline: float, silence_s: float) -> http.client.HTTPResponse:
    """An answer whose head is here by `deadline`; its body is read piece by piece, each within `silence_s`.

    Only the body of a 2xx may take longer than `deadline`: an error is no download. Raises as `read_answer` does, and
    so does reading from it. The caller closes it.
    """
    source = _Source(sock, deadline, None)
    response = http.client.HTTPResponse(cast(Any, source), method=method)
    try:
        response.begin()
    except BaseException as error:
        response.close()
        if isinstance(error, ValueError | OverflowError):
            raise http.client.HTTPException("the framing of the answer is wrong") from error
        raise
    if 200 <= response.status < 300:
        source.be_patient(silence_s)
    return response


class _Source(io.RawIOBase):
    """Bytes of a socket. Each read gets what is left of the deadline and of the byte allowance, if there is one."""

    def __init__(self, sock: socket.socket, deadline: float, allowance: int | None) -> None:
        self._sock = sock
        self._deadline = deadline
        self._allowance = allowance
        self._silence_s: float | None = None

    def be_patient(self, silence_s: float) -> None:
        """From now on only silence ends the reading, not the time that it takes in all."""
        self._silence_s = silence_s

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self, BUFFER_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic() if self._silence_s is None else self._silence_s
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        count = self._sock.recv_into(buffer)
        if self._allowance is not None:
            self._allowance -= count
            if self._allowance < 0:
                raise AnswerTooLargeError
        return count
