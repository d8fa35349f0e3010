"""Connections that know the call they serve, so that its deadline can end it from another thread.

urllib3's pools make these (`ConnectionCls`) and ask them whether they can still be used (`is_connected`).
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from app.connectors.contract.errors import UpstreamError, UpstreamServerError
from app.connectors.contract.objects import Payload
from app.connectors.http import failures
from app.connectors.http.watchdog import WATCHDOG, Deadline
from app.connectors.http.wire import MAX_IDLE_S

# One write has to end within the silence limit, so a write is small.
WRITE_BYTES = 64 * 1024

# Opens a socket to a host and port, within seconds.
Connect = Callable[[str, int, float | None], socket.socket]


class Call:
    """One call while it runs: its limits, its socket, and why another thread ended it.

    `fresh` calls take a new connection, so that a stale one never meets what makes something. `streams` is for bodies
    that stream out: while they do, only silence ends the call.
    """

    def __init__(self, timeout_s: float, *, silence_s: float, fresh: bool, streams: bool = False) -> None:
        self.silence_s = silence_s
        self.fresh = fresh
        self.connect_error: Exception | None = None
        self._timeout_s = timeout_s
        self._streams = streams
        self._socket: socket.socket | None = None
        self._why = ""
        self._deadline: Deadline | None = None
        self._set_deadline()

    def cancel(self) -> None:
        """End the call from any thread; whoever waits for it gets an UpstreamError."""
        self._end("cancelled")

    def error(self, where: str) -> UpstreamError | None:
        """The error of a call that was ended; None for one that was not."""
        if self._why == "cancelled":
            return UpstreamServerError(f"The call to {where} was cancelled.", code="cancelled")
        return failures.timed_out(where) if self._why else None

    def use(self, sock: socket.socket) -> None:
        """Run on `sock` from now on."""
        self._socket = sock
        if self._why:
            _shut(sock)

    def sending(self) -> None:
        """The body goes out."""
        if self._streams:
            self._drop_deadline()

    def waiting(self) -> None:
        """The body has gone out, or the server took no more of it."""
        if self._streams:
            self._set_deadline()

    def be_patient(self) -> None:
        """From now on only silence ends the call."""
        self._drop_deadline()
        if self._socket is not None:
            self._socket.settimeout(self.silence_s)

    def finish(self) -> None:
        """The call is over: its connection may serve another."""
        self._drop_deadline()
        self._socket = None

    def _set_deadline(self) -> None:
        self._deadline = WATCHDOG.start(time.monotonic() + self._timeout_s, self._expire)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            WATCHDOG.cancel(self._deadline)
            self._deadline = None

    def _expire(self) -> None:
        self._end("timeout")

    def _end(self, why: str) -> None:
        self._why = self._why or why
        # The connection may have gone back to its pool in this instant. Only a call that may be repeated can have it
        # then: all others open a socket of their own.
        if self._socket is not None:
            _shut(self._socket)


class Upload:
    """A payload as the body of a request. `error` is what reading it raised; requests and urllib3 would wrap it."""

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self.error: BaseException | None = None
        self.is_complete = False

    def __iter__(self) -> Iterator[memoryview]:
        try:
            yield from self._pieces()
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise
        self.is_complete = True

    def _pieces(self) -> Iterator[memoryview]:
        left = self.payload.length
        for data in self.payload.open():
            left -= len(data)
            if left < 0:
                break
            piece = memoryview(data)
            for start in range(0, len(piece), WRITE_BYTES):
                yield piece[start : start + WRITE_BYTES]
        if left:
            raise failures.bad_payload()


class _Current(threading.local):
    """The call that this thread makes: what urllib3 calls back does not take it as an argument."""

    call: Call | None = None


CURRENT = _Current()


class WatchedSocket(ssl.SSLSocket):
    """A TLS socket whose call can be ended during the handshake, when the connection does not have it yet."""

    def do_handshake(self, block: bool = False) -> None:
        """Handshake."""
        if CURRENT.call is not None:
            CURRENT.call.use(self)
        super().do_handshake(block)


class _Watched(HTTPConnection):
    """What both kinds of connections do besides urllib3's."""

    _call: Call | None = None
    _used_at = 0.0
    # Part of a body is missing, so the server would take the next request for the rest of it.
    _is_spoilt = False

    @property
    def is_connected(self) -> bool:
        """Whether the next call may use the socket; if not, the pool closes it and connects again."""
        call = CURRENT.call
        idle_s = time.monotonic() - self._used_at
        usable = not self._is_spoilt and idle_s < MAX_IDLE_S and (call is None or not call.fresh)
        return usable and super().is_connected

    def connect(self) -> None:
        """Connect; a failure means that nothing was sent."""
        try:
            super().connect()
        except Exception as error:
            if CURRENT.call is not None:
                CURRENT.call.connect_error = error
            raise
        self._is_spoilt = False

    def request(self, *args: Any, **named: Any) -> None:
        """Send a request. urllib3 would bound each write by the time to connect."""
        self._call = call = CURRENT.call
        assert call is not None  # noqa: S101 - for mypy
        if self.sock is None:
            self.connect()
        call.use(self.sock)
        call.sending()
        self.timeout = call.silence_s
        super().request(*args, **named)

    def send(self, data: Any) -> None:
        """Send bytes. A server may answer (413, 401) without reading to the end: the answer decides."""
        try:
            super().send(data)
        except OSError as error:
            self._is_spoilt = True
            if isinstance(error, TimeoutError) and not super().is_connected:
                raise BrokenPipeError from error  # there is something to read, which is how urllib3 goes on
            raise

    def getresponse(self) -> Any:
        """The head of the answer."""
        call, self._call = self._call, None
        if call is not None:
            call.waiting()
        response = super().getresponse()
        self._used_at = time.monotonic()
        return response


class _Plain(_Watched):
    pass


class _Tls(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


POOLS = {"http": _PlainPool, "https": _TlsPool}


def pools_by(connect: Connect) -> dict[str, type[HTTPConnectionPool]]:
    """As POOLS, of connections whose sockets `connect` opens; host and port are all that it gets of a URL."""

    class Opened:
        """Opens the socket, and leaves the rest (TLS, the host's name) as it is."""

        host: str
        port: int
        timeout: Any
        _dns_host: str

        def _new_conn(self) -> socket.socket:
            try:
                return connect(self._dns_host, self.port, self.timeout)
            except socket.gaierror as error:
                raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
            except TimeoutError as error:
                raise ConnectTimeoutError(self, "Connecting timed out.") from error
            except OSError as error:
                raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]

    class Plain(Opened, _Plain):
        pass

    class Tls(Opened, _Tls):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _shut(sock: socket.socket) -> None:
    """Wake whoever reads or writes. SSLSocket's own `shutdown` would drop the TLS state under the reader."""
    with suppress(OSError):  # closed meanwhile
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
