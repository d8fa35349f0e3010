"""gunicorn's threaded worker, with slow clients kept away from its threads.

A thread gets a connection when the head of a request is complete, and gives it back with the answer. Everything
before and after is done by the main thread, which never waits for one client, and within bounds.
"""

import errno
import itertools
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from app import logs
from app.api.context import EXTENSION
from app.api.health import probe_of
from app.errors import GatewayError, InvalidRequestError, RequestTimeoutError, envelope
from app.lib import ids, json
from app.services.health import Probe
from app.services.metrics import server
from app.settings import from_environment
from app.web.client import Client
from app.web.head import MAX_HEAD_BYTES, Head

# Parse errors without an entry are 400.
STATUSES = {errors.LimitRequestLine: 414, errors.LimitRequestHeaders: 431, errors.ExpectationFailed: 417}
# Faults of the gateway or its operator, not of the client.
SERVER_FAULTS = (errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
NOTHING_TO_ACCEPT = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)
# What a client may still send after its last answer. Closed at once, it would get a reset instead of the answer.
CLOSING_S = 5.0
STOPPING_CLOSING_S = 1.0
CLOSING_BYTES = 64 * 2**20
SPARE_FILES = 16
WARNING_S = 60.0


class Worker(ThreadWorker):
    """gunicorn's threaded worker, in which only complete heads, and bodies of known callers, take a thread's time."""

    wsgi: Any

    def init_process(self) -> None:
        settings = from_environment()
        self._log = logs.get_logger()
        self._head_s = min(settings.client_head_s, settings.client_silence_s or settings.client_head_s)
        self._silence_s = settings.client_silence_s
        self._bytes_per_s = settings.client_bytes_per_s
        self._warn_at = 0.0
        # Both in order of time. A request's head is on its way; the last answer was sent, with the bytes since then.
        self._heads: dict[Any, Head] = {}
        self._closing: dict[Any, int] = {}
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        if (served := getattr(self.wsgi, "extensions", {}).get(EXTENSION)) is not None:
            served.metrics.start()
            server.start(served)
            threading.Thread(target=self._watch_health, args=[probe_of(self.wsgi)], name="health", daemon=True).start()
        self.wsgi = _with_last_answers(self.wsgi)

    def accept(self, listener: Any) -> None:
        try:
            connection, address = listener.accept()
        except OSError as error:
            if error.errno not in NOTHING_TO_ACCEPT:
                self._no_room(error)
            return
        self.nr_conns += 1
        client = Client(
            connection, silence_s=self._silence_s, bytes_per_s=self._bytes_per_s, is_pressed=self._is_pressed
        )
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.init()
        self._await_head(conn, b"")
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        data = conn.sock.arrived()
        if data == b"":
            self._end(conn)
        else:
            self._await_head(conn, data or b"")

    def handle_request(self, req: Any, conn: Any) -> Any:
        # gunicorn would ask for the body now. It is asked for when it is read, which is when the caller is known.
        conn.sock.begin(awaits_continue=req._expected_100_continue)
        req._expected_100_continue = False
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        # The rest of an unfinished request must not be parsed as the next request.
        if conn.sock.timed_out or conn.sock.awaits_continue:
            return False
        return bool(super()._keepalive_after(conn, keepalive))

    def finish_request(self, conn: Any, fs: Any) -> None:
        try:
            is_kept = not fs.cancelled() and fs.result()
        except Exception:  # noqa: BLE001 - whatever it was, the main thread goes on
            self._log.exception("connection.failed")
            self._end(conn)
            return
        if not is_kept:
            self._close_gently(conn)
        elif rest := conn.parser.unreader.take_buffered():
            self._await_head(conn, rest)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        now = time.monotonic()
        for conn in _expired(self._heads, now):
            if self._taken_back(conn, self._heads).data and self.alive:
                late = RequestTimeoutError(f"The head of a request must arrive within {self._head_s:g} seconds.")
                self._refuse(conn.sock, late)
                self._close_gently(conn)
            else:
                self._end(conn)
        for conn in _expired(self._closing, now):
            self._taken_back(conn, self._closing)
            self._end(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for conn in itertools.chain(self._heads, self._closing):
            conn.timeout = min(conn.timeout, deadline)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        if not isinstance(exc, errors.ParseException) or isinstance(exc, SERVER_FAULTS):
            super().handle_error(req, client, addr, exc)
            return
        error = InvalidRequestError(f"This is not a valid HTTP request: {exc!s:.200}")
        error.status = STATUSES.get(type(exc), error.status)
        self._refuse(client, error)

    def _is_pressed(self) -> bool:
        """True while complete requests wait for a thread."""
        return bool(self.tpool._work_queue.qsize())

    def _watch_health(self, probe: Probe) -> None:
        if probe.run():
            # What this process knows is of another store. gunicorn starts another process.
            self.handle_exit(None, None)

    def _await_head(self, conn: Any, data: bytes) -> None:
        head = Head(data)
        if head.is_complete or head.is_too_long:
            self._dispatch(conn, head)
            return
        conn.timeout = time.monotonic() + self._head_s
        self._heads[conn] = head
        self._watch(conn, self._on_head)

    def _on_head(self, conn: Any, _socket: Any) -> None:
        if (data := conn.sock.arrived()) is None:
            return
        head = self._heads[conn]
        head.add(data)
        if not data:
            self._taken_back(conn, self._heads)
            self._end(conn)
        elif head.is_complete or head.is_too_long:
            self._dispatch(conn, self._taken_back(conn, self._heads))

    def _dispatch(self, conn: Any, head: Head) -> None:
        if head.is_too_long:
            error = InvalidRequestError(f"The head of a request must be at most {MAX_HEAD_BYTES} bytes.")
            error.status = STATUSES[errors.LimitRequestHeaders]
            self._refuse(conn.sock, error)
            self._close_gently(conn)
        else:
            conn.parser.unreader.unread(bytes(head.data))
            self.enqueue_req(conn)

    def _close_gently(self, conn: Any) -> None:
        """Half-close, and discard what still comes, so that the client can read its answer before a reset."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(conn)
            return
        conn.timeout = time.monotonic() + (CLOSING_S if self.alive else STOPPING_CLOSING_S)
        self._closing[conn] = 0
        self._watch(conn, self._on_rest)

    def _on_rest(self, conn: Any, _socket: Any) -> None:
        if (count := conn.sock.discard()) is None:
            return
        self._closing[conn] += count
        if not count or self._closing[conn] > CLOSING_BYTES:
            self._taken_back(conn, self._closing)
            self._end(conn)

    def _watch(self, conn: Any, act: Callable[[Any, Any], None]) -> None:
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(act, conn))

    def _taken_back(self, conn: Any, waiting: dict[Any, Any]) -> Any:
        self.poller.unregister(conn.sock)
        return waiting.pop(conn)

    def _end(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def _make_room(self) -> bool:
        """Close the connection that needs its place least: of a client that has its answer, or sends no request."""
        for waiting in (self._closing, self._heads):
            if waiting:
                conn = next(iter(waiting))
                self._taken_back(conn, waiting)
                self._end(conn)
                return True
        if self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
            self._end(conn)
            return True
        return False

    def _no_room(self, error: OSError) -> None:
        """The system gives no more connections, mostly because the process has too many open files."""
        if (now := time.monotonic()) > self._warn_at:
            self._log.warning("connection.not_accepted", reason=str(error), connections=self.nr_conns)
            self._warn_at = now + WARNING_S
        # The requests that are served open files as well.
        if not sum(self._make_room() for _ in range(SPARE_FILES)):
            self.set_accept_enabled(False)  # the main loop tries again within a second

    def _refuse(self, client: Any, error: GatewayError) -> None:
        request_id = ids.new(ids.REQUEST)
        self._log.warning("request.unreadable", request_id=request_id, status=error.status, reason=error.message)
        try:
            util.write_nonblock(client, _response(error, request_id))
        except OSError as failure:
            self._log.debug("request.not_answered", request_id=request_id, reason=str(failure))


def _with_last_answers(application: Any) -> Any:
    """`application`, whose `Connection: close` takes effect: gunicorn drops it and would announce `keep-alive`.

    The application says so when it leaves a body unread. If that has arrived already, the connection stays usable.
    """

    def serve(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            is_last = ("Connection", "close") in headers
            if is_last and not environ["gunicorn.socket"].has_rest(environ["wsgi.input"]):
                start_response.__self__.force_close()
            return start_response(status, headers, exc_info)

        return application(environ, start)

    return serve


def _expired(waiting: dict[Any, Any], now: float) -> Iterator[Any]:
    return iter(list(itertools.takewhile(lambda conn: bool(conn.timeout <= now), waiting)))


def _response(error: GatewayError, request_id: str) -> bytes:
    extra_fields = {"provider": None, "model_requested": None, "request_type": "unknown"}
    body = json.dumps(envelope(error, event_id=request_id, extra_fields=extra_fields))
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\n\r\n"
    )
    return head.encode() + body
