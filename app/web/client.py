"""The socket of a client, with limits on its silence and on its pace."""

import errno
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from gunicorn.http.errors import ParseException

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# How much of a body that nobody reads is taken in to keep the connection.
REST_BYTES = 64 * 1024
# How long a thread waits for a client before it looks whether others wait for the thread.
LOOK_S = 1.0
# What a client must keep up with while they do.
PRESSED_SILENCE_S = 5.0
PRESSED_BYTES_PER_S = 64 * 1024
DISCARD_BYTES = 256 * 1024
# What is discarded lands here, whoever sent it.
_DISCARDED = bytearray(DISCARD_BYTES)


class Pace:
    """Whether a client keeps a pace: `silence_s` of waiting for it are free, and bytes earn more, up to as much again.

    So a burst buys no long silence later, and a slow start costs nothing once the client has caught up. Without
    `bytes_per_s`, any byte will do; without `silence_s`, none is needed.
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
        if not self._silence_s:
            return True
        earned_s = count / self._bytes_per_s if self._bytes_per_s else count * self._silence_s
        self._left_s = min(self._left_s - waited_s + earned_s, self._silence_s)
        return self._left_s > 0


class Client(socket.socket):
    """A client's connection. Only the time that a thread waits for the client counts, never the gateway's own.

    A client that stalls or trickles while it sends its request looks as if it had closed the connection, and
    `timed_out` is true. One that stalls or trickles while it reads the response gets its connection reset. While
    `is_pressed`, which says that others wait for a thread, clients have to be faster.
    """

    def __init__(
        self, connection: socket.socket, *, silence_s: float, bytes_per_s: int, is_pressed: Callable[[], bool]
    ) -> None:
        super().__init__(fileno=connection.detach())
        wait_s = min(silence_s or LOOK_S, LOOK_S)
        timeout = struct.pack("ll", int(wait_s), int(wait_s % 1 * 1_000_000))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self.timed_out = False
        self.awaits_continue = False
        self._never_waits = False
        self._is_pressed = is_pressed
        self._pace = Pace(silence_s=silence_s, bytes_per_s=bytes_per_s)
        self._pressed_pace = Pace(silence_s=PRESSED_SILENCE_S, bytes_per_s=PRESSED_BYTES_PER_S)

    def begin(self, *, awaits_continue: bool) -> None:
        """A request begins. With `awaits_continue`, its body comes only after the gateway asked for it."""
        self.awaits_continue = awaits_continue
        self._pace.begin()
        self._pressed_pace.begin()

    def recv(self, *args: Any) -> bytes:
        if self._never_waits:
            return super().recv(args[0], socket.MSG_DONTWAIT)
        if self.awaits_continue:
            self.awaits_continue = False
            self.sendall(CONTINUE)
        while not self.timed_out:
            begun = time.monotonic()
            try:
                data = super().recv(*args)
            except BlockingIOError:
                data = None
            if data == b"":
                return data
            if self._keeps_up(time.monotonic() - begun, len(data or b"")):
                if data:
                    return data
            else:
                self.timed_out = True
        return b""

    def sendall(self, data: Any, *flags: int) -> None:
        left = memoryview(data)
        while left:
            begun = time.monotonic()
            try:
                sent = self.send(left, *flags)
            except BlockingIOError:
                if self.getblocking():
                    sent = 0
                else:
                    raise
            left = left[sent:]
            if left and not self._keeps_up(time.monotonic() - begun, sent):
                raise ConnectionResetError(errno.ECONNRESET, "the client does not read, or too slowly")

    def _keeps_up(self, waited_s: float, count: int) -> bool:
        keeps_up = self._pace.keeps_up(waited_s, count)
        keeps_up_pressed = self._pressed_pace.keeps_up(waited_s, count)
        return keeps_up and (keeps_up_pressed or not self._is_pressed())

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
