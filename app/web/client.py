"""The socket of a client, with limits on its silence and on its pace."""

import errno
import socket
import struct
import time
from typing import Any

from gunicorn.http.errors import ParseException

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# How much of a body that nobody reads is taken in to keep the connection.
REST_BYTES = 64 * 1024
DISCARD_BYTES = 256 * 1024
# What is discarded lands here, whoever sent it.
_DISCARDED = bytearray(DISCARD_BYTES)


class Pace:
    """Whether a client keeps a pace: `silence_s` of waiting for it are free, and bytes earn more, up to as much again.

    So a burst buys no long silence later, and a slow start costs nothing once the client has caught up.
    """

    __slots__ = ("_bytes_per_s", "_left_s", "_silence_s")

    def __init__(self, *, silence_s: float, bytes_per_s: int) -> None:
        self._silence_s = silence_s
        self._bytes_per_s = bytes_per_s
        self._left_s = silence_s

    def begin(self) -> None:
        """Forget what was before: a new request begins."""
        self._left_s = self._silence_s

    def keeps_up(self, waited_s: float, count: int) -> bool:
        """False once the process has waited too long for the bytes that came; `count` came after `waited_s`."""
        if not self._silence_s or not self._bytes_per_s:
            return True
        self._left_s += count / self._bytes_per_s - waited_s
        if self._left_s > self._silence_s:
            self._left_s = self._silence_s
        return self._left_s > 0


class Client(socket.socket):
    """A client's connection. Only the time that a thread waits for the client counts, never the gateway's own.

    A client that stalls or trickles while it sends its request looks as if it had closed the connection, and
    `timed_out` is true. One that stalls or trickles while it reads the response gets its connection reset.
    """

    def __init__(self, connection: socket.socket, *, silence_s: float, bytes_per_s: int) -> None:
        super().__init__(fileno=connection.detach())
        whole_s = int(silence_s)
        timeout = struct.pack("ll", whole_s, int((silence_s - whole_s) * 1_000_000))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self.timed_out = False
        self.awaits_continue = False
        self._never_waits = False
        self._pace = Pace(silence_s=silence_s, bytes_per_s=bytes_per_s)

    def begin(self, *, awaits_continue: bool) -> None:
        """A request begins. With `awaits_continue`, its body comes only after the gateway asked for it."""
        self.awaits_continue = awaits_continue
        self._pace.begin()

    def recv(self, *args: Any) -> bytes:
        if self.timed_out:
            return b""
        if self._never_waits:
            return super().recv(args[0], socket.MSG_DONTWAIT)
        if self.awaits_continue:
            self.awaits_continue = False
            super().sendall(CONTINUE)
        begun = time.monotonic()
        try:
            data = super().recv(*args)
        except BlockingIOError:
            self.timed_out = True
            return b""
        if data and not self._pace.keeps_up(time.monotonic() - begun, len(data)):
            self.timed_out = True
            return b""
        return data

    def has_rest(self, body: Any) -> bool:
        """Whether all of the request's `body` that was not read yet has arrived, and is small. It is discarded."""
        if self.awaits_continue or self.timed_out:
            return False
        self._never_waits = True
        try:
            return any(not body.read(REST_BYTES // 8) for _ in range(9))
        except (OSError, ParseException):
            return False
        finally:
            self._never_waits = False

    def sendall(self, data: Any, *flags: int) -> None:
        left = memoryview(data)
        while left:
            begun = time.monotonic()
            try:
                sent = self.send(left, *flags)
            except BlockingIOError as error:
                raise ConnectionResetError(errno.ECONNRESET, "the client stopped reading") from error
            left = left[sent:]
            if left and not self._pace.keeps_up(time.monotonic() - begun, sent):
                raise ConnectionResetError(errno.ECONNRESET, "the client reads too slowly")

    def arrived(self) -> bytes | None:
        """What has arrived, without waiting: None if nothing has, empty once the client has closed or reset."""
        try:
            return super().recv(64 * 1024)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def discard(self) -> int | None:
        """As `arrived`, but the number of bytes, which are gone."""
        try:
            return self.recv_into(_DISCARDED)
        except BlockingIOError:
            return None
        except OSError:
            return 0
