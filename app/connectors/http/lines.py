"""The fast path for lines: POST of a JSON body, and nothing else.

A batch sends its lines by the ten thousands from 64 threads, and the CPU that each takes is what bounds them all. On
urllib3's connections, with small answers parsed here, a call takes 0.06 ms of CPU; with the standard library's parser
0.09 ms, with urllib3's pool 0.28 ms, and with a session of requests 0.45 ms. Everything else goes through `transport`,
on requests.

Proxies and credentials of the environment are never used, and no redirect is followed.
"""

import http.client
import os
import select
import socket
import ssl
import time
import weakref
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import urllib3.exceptions
from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection

from app.connectors.contract.base import always_room
from app.connectors.http import failures
from app.connectors.http.auth import HeaderAuth
from app.connectors.http.reading import NoRoomError, OverLimitError, read_answer, wait_until
from app.connectors.http.remote import Remote
from app.connectors.http.wire import COMMON_HEADERS, MAX_ANSWER_BYTES, MAX_IDLE_S, Answer, check_headers, tls_context
from app.lib.threads import cuts

# Up to here head and body leave in one packet train; above, joining them would copy too much.
JOINED_BYTES = 64 * 1024


class LineClient:
    """Lines of one account; safe to share between threads and over a fork."""

    def __init__(
        self,
        remote: Remote,
        *,
        connect_timeout_s: float = 10.0,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        max_idle: int = 64,
    ) -> None:
        parts = urlsplit(remote.base_url)
        self.remote = remote
        self._where = f"{parts.scheme}://{parts.netloc}"
        self._host, self._port = parts.hostname or "", parts.port
        self._host_header = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._tls = tls_context() if parts.scheme == "https" else None
        self._connect_timeout_s = connect_timeout_s
        self._max_answer_bytes = max_answer_bytes
        self._max_idle = max_idle
        fixed = remote.auth.headers if isinstance(remote.auth, HeaderAuth) else {}
        # Other authorisations are called for each line: they change with time, or sign it.
        self._auth = None if isinstance(remote.auth, HeaderAuth) else remote.auth
        self._fixed = _lines({"Host": parts.netloc, **COMMON_HEADERS, **remote.headers, **fixed})
        # What all lines of a path have in common, up to the length of the body.
        self._heads: dict[str, bytes] = {}
        # Last in, first out, so that few connections stay warm; list.append and list.pop are atomic.
        self._idle: list[tuple[float, HTTPConnection]] = []
        self._pid = os.getpid()
        weakref.finalize(self, _close_all, self._idle)

    def post(
        self,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        room: Callable[[int, float], bool] = always_room,
    ) -> Answer:
        """POST a JSON body to the base URL + `path`. Every status is an answer; one that is no 2xx has no secrets.

        `room` (see LineCall) is asked before a large answer is read. Sent once; only when a kept connection turns out
        to be closed before it took a byte, another one is used. Raises OverloadedError (refused, unreachable),
        UpstreamTimeoutError, UpstreamServerError (reset, cut short, too large, not HTTP), and what the authorisation
        raises; none repeats a secret. `app.lib.threads.cuts` ends it from elsewhere.
        """
        with self.remote.redaction.in_errors():
            deadline = time.monotonic() + timeout_s
            return self.remote.readable(self._exchange(path, body, headers or {}, deadline, room))

    def close(self) -> None:
        """Close idle connections. The client stays usable."""
        _close_all(self._idle)

    def _exchange(
        self, path: str, body: bytes, headers: Mapping[str, str], deadline: float, room: Callable[[int, float], bool]
    ) -> Answer:
        head = self._head(path, body, headers)
        connection = self._kept() or self._connected(deadline)
        reusable = False
        cut = cuts.current()
        try:
            if cut is not None:
                cut.use(connection.sock)
            self._send(connection, head, body, deadline)
            answer, reusable = read_answer(
                connection.sock, method="POST", deadline=deadline, max_bytes=self._max_answer_bytes, room=room
            )
            return answer
        except OverLimitError as error:
            raise failures.too_large(self._where, self._max_answer_bytes) from error
        except NoRoomError as error:
            raise failures.no_room(self._where) from error
        except (OSError, http.client.HTTPException) as error:
            raise failures.broken(self._where, error) from error
        finally:
            if cut is not None:
                cut.use(None)  # from now on the connection may serve another line
            if reusable and len(self._idle) < self._max_idle:
                self._idle.append((time.monotonic(), connection))
            else:
                connection.close()

    def _head(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        if self._auth is None and not headers:
            head = self._heads.get(path)
            if head is None:
                fixed = f"{self._fixed}Content-Type: application/json\r\nContent-Length: "
                head = self._heads[path] = f"POST {self._prefix}{path} HTTP/1.1\r\n{fixed}".encode("latin-1")
            return b"%b%d\r\n\r\n" % (head, len(body))
        own = {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}
        if self._auth is not None:
            request = PreparedRequest()
            request.method, request.url, request.body = "POST", f"{self._where}{self._prefix}{path}", body
            request.headers = CaseInsensitiveDict({"Host": self._host_header, **own})
            own = {name: value for name, value in self._auth(request).headers.items() if name != "Host"}
        return f"POST {self._prefix}{path} HTTP/1.1\r\n{self._fixed}{_lines(own)}\r\n".encode("latin-1")

    def _kept(self) -> HTTPConnection | None:
        if self._pid != os.getpid():
            # The parent's connections must not be shared; closing ends only this process's hold on them.
            self.close()
            self._pid = os.getpid()  # last, so that no other thread takes one of them meanwhile
        while True:
            try:
                since, connection = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - since < MAX_IDLE_S and _is_quiet(connection.sock):
                return connection
            connection.close()

    def _connected(self, deadline: float) -> HTTPConnection:
        connection: HTTPConnection
        if self._tls:
            connection = HTTPSConnection(self._host, self._port or 443, ssl_context=self._tls)
        else:
            connection = HTTPConnection(self._host, self._port or 80)
        self._connect(connection, deadline)
        return connection

    def _connect(self, connection: HTTPConnection, deadline: float) -> None:
        connection.timeout = min(self._connect_timeout_s, deadline - time.monotonic())
        if connection.timeout <= 0:
            raise failures.no_time_left()
        try:
            connection.connect()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            connection.close()
            raise failures.not_connected(self._where, error, timeout_s=self._connect_timeout_s) from error

    def _send(self, connection: HTTPConnection, head: bytes, body: bytes, deadline: float) -> None:
        first, rest = (head + body, b"") if len(body) <= JOINED_BYTES else (head, body)
        try:
            taken = _begin(_socket(connection, deadline), first)
        except (BrokenPipeError, ConnectionResetError, ConnectionAbortedError):
            # A kept connection that closed in this instant. No byte was taken, so sending again is safe.
            connection.close()
            self._connect(connection, deadline)
            if (cut := cuts.current()) is not None:
                cut.use(connection.sock)
            taken = 0
        try:
            if taken < len(first):
                _socket(connection, deadline).sendall(memoryview(first)[taken:])
            if rest:
                _socket(connection, deadline).sendall(rest)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server may have answered (413, 401) without reading to the end: the answer decides.


def _lines(headers: Mapping[str, str]) -> str:
    check_headers(headers)
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


def _close_all(idle: list[tuple[float, HTTPConnection]]) -> None:
    while idle:
        idle.pop()[1].close()


def _socket(connection: HTTPConnection, deadline: float) -> socket.socket:
    sock: socket.socket = connection.sock
    wait_until(sock, deadline)
    return sock


def _begin(sock: socket.socket, data: bytes) -> int:
    """Send what the socket takes of `data`; returns how much.

    An idle connection takes what fits its buffer at once. `send` would ask first whether it does.
    """
    if isinstance(sock, ssl.SSLSocket):
        return sock.send(data)
    try:
        return os.write(sock.fileno(), data)
    except BlockingIOError:
        return 0


def _is_quiet(sock: socket.socket) -> bool:
    """True of an open connection on which nothing has come: neither its end nor what nobody asked for."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)
