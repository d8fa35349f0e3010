"""Serves a WSGI app on a real socket of 127.0.0.1, with faults that only a socket can have.

One thread with an event loop, so that a thousand slow calls cost no thread each: pauses are timers of
the loop. The app itself must answer at once.
"""

import asyncio
import io
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Self

import orjson

from tests.fakes.faults import Fault, Faults, Request, overload

WsgiApp = Callable[..., Iterable[bytes]]
MARK = re.compile(rb"\bmark-[A-Za-z0-9_-]+")
REASONS = {int(status): status.phrase for status in HTTPStatus}
NO_FAULT = Fault()
TURNS_TO_CLOSE = 8
LINGER_OFF = struct.pack("ii", 1, 0)


class ServedApp:
    """The app on its socket: `with ServedApp(app) as server: server.url`."""

    def __init__(
        self, app: WsgiApp, *, port: int = 0, latency_s: float = 0.0, record: bool = True, tls: Any = None
    ) -> None:
        self.app = app
        self.port = port
        self.latency_s = latency_s
        self.max_concurrent: int | None = None  # more at once get a 429
        self.retry_after = "1"
        self.faults = Faults()
        self.record = record
        self.tls = tls  # an ssl.SSLContext makes the server speak TLS
        self.connections: set[_Connection] = set()
        self.waiting: dict[asyncio.TimerHandle, Callable[[], None]] = {}
        self.in_flight = 0
        self.forget()

    def forget(self) -> None:
        """Start all records anew."""
        self.requests: list[Request] = []
        self.marks: Counter[str] = Counter()
        self.answered = 0
        self.refused = 0
        self.most_in_flight = self.in_flight
        self.accepted = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client calls the base URL."""
        return f"{self.url}/v1"

    def count(self, mark: str) -> int:
        """How many requests carried `mark` (a word that starts with `mark-`)."""
        return self.marks[mark]

    def start(self) -> Self:
        """Serve until `stop`. A server that was stopped starts again on the same port."""
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="fake-server", daemon=True)
        self._thread.start()
        started.wait()
        return self

    def stop(self) -> None:
        """Close the listener and every connection; calls in flight break. Once more does nothing."""
        if not self._thread.is_alive():
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def release(self) -> None:
        """Answer what waits for its latency, now; what comes later does not wait."""
        self.latency_s = 0.0
        self.loop.call_soon_threadsafe(self._release)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stats(self) -> dict[str, Any]:
        """What was counted, for those who look from another process."""
        marks = self.marks
        return {
            "answered": self.answered,
            "refused": self.refused,
            "accepted": self.accepted,
            "most_in_flight": self.most_in_flight,
            "marks": len(marks),
            "most_per_mark": max(marks.values(), default=0),
            "repeated_marks": sum(1 for count in marks.values() if count > 1),
        }

    def _release(self) -> None:
        for timer, answer in list(self.waiting.items()):
            timer.cancel()
            answer()

    def _run(self, started: threading.Event) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = listener.getsockname()[1]
        serving = self.loop.create_server(lambda: _Connection(self), sock=listener, ssl=self.tls)
        server = self.loop.run_until_complete(serving)
        started.set()
        self.loop.run_forever()
        # A server that is closed drops connections that it has just accepted without closing them: it stops accepting
        # first. Several turns, then: those are yet to be made, and aborted ones to close their sockets.
        self.loop.remove_reader(listener)
        for _ in range(TURNS_TO_CLOSE):
            for connection in list(self.connections):
                connection.transport.abort()
            self.loop.run_until_complete(asyncio.sleep(0))
        server.close()
        self.loop.close()


class _Connection(asyncio.Protocol):
    def __init__(self, server: ServedApp) -> None:
        self.server = server
        self.loop = server.loop
        self.received = bytearray()
        self.busy = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.connections.add(self)
        self.server.accepted += 1
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, _: Exception | None) -> None:
        self.server.connections.discard(self)
        if self.busy:
            self._done()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.busy:
            self._next()

    def _next(self) -> None:
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.received[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        size = int(headers.get("content-length", "0"))
        if len(self.received) < end + 4 + size:
            if headers.get("expect") == "100-continue" and len(self.received) == end + 4:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        method, target, _ = head[0].split(" ")
        path, _, query = target.partition("?")
        request = Request(method, path, query, headers, bytes(self.received[end + 4 : end + 4 + size]))
        del self.received[: end + 4 + size]
        self._serve(request)

    def _serve(self, request: Request) -> None:
        server = self.server
        if request.path.startswith("/_fake/"):
            self._control(request)
            return
        self.busy = True
        server.in_flight += 1
        if server.max_concurrent is not None and server.in_flight > server.max_concurrent:
            server.refused += 1
            fault = overload(retry_after=server.retry_after)
            self._answer(request, fault)
            return
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        if server.record:
            server.requests.append(request)
        mark = MARK.search(request.body)
        if mark:
            server.marks[mark[0].decode()] += 1
        fault = server.faults.meet(request) or NO_FAULT
        delay = server.latency_s + fault.latency_s
        if delay:
            self._answer_later(delay, request, fault)
        else:
            self._answer(request, fault)

    def _answer_later(self, delay_s: float, request: Request, fault: Fault) -> None:
        def answer() -> None:
            del self.server.waiting[timer]
            self._answer(request, fault)

        timer = self.loop.call_later(delay_s, answer)
        self.server.waiting[timer] = answer

    def _answer(self, request: Request, fault: Fault) -> None:
        if self.transport.is_closing():
            return
        if fault.hold_s:
            asked = _ask(self.server.app, request)
            self.loop.call_later(fault.hold_s, self._write_asked, asked, fault)
            return
        if fault.after_effect:
            _ask(self.server.app, request)
        if fault.reset or fault.hang_up:
            if fault.reset:
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
            self.transport.abort()
            return
        if fault.status is None:
            status, headers, body = _ask(self.server.app, request)
        else:
            status, headers, body = f"{fault.status} {REASONS.get(fault.status, '')}", [], b""
        body = body if fault.body is None else fault.body
        length = len(body)
        if request.method == "HEAD":  # tells the length of a body that does not come
            length = next((int(value) for name, value in headers if name.lower() == "content-length"), length)
            body = b""
        self._write(status, _headers(headers, fault, length), body, fault)

    def _write_asked(self, asked: tuple[str, list[tuple[str, str]], bytes], fault: Fault) -> None:
        status, headers, body = asked
        if not self.transport.is_closing():
            self._write(status, _headers(headers, fault, len(body)), body, fault)

    def _write(self, status: str, headers: list[tuple[str, str]], body: bytes, fault: Fault) -> None:
        if fault.chunked:
            half = len(body) // 2
            parts = [part for part in (body[:half], body[half:]) if part]
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
        head = "\r\n".join(lines).encode("latin-1")
        if fault.drip_s is not None:
            self._drip(head + body, 0, fault.drip_s)
        elif fault.cut_at is not None:
            self.transport.write(head + body[: fault.cut_at])
            self.transport.close()
        else:
            self.transport.write(head + body)
            self._done()
            self._next()

    def _drip(self, data: bytes, position: int, pause_s: float) -> None:
        if self.transport.is_closing():
            return
        if position < len(data):
            self.transport.write(data[position : position + 1])
            self.loop.call_later(pause_s, self._drip, data, position + 1, pause_s)
        else:
            self._done()

    def _done(self) -> None:
        self.busy = False
        self.server.answered += 1
        self.server.in_flight -= 1

    def _control(self, request: Request) -> None:
        """/_fake/stats, /_fake/forget, /_fake/faults: what a benchmark asks of a server in its own process."""
        if request.path == "/_fake/forget":
            self.server.forget()
        if request.path == "/_fake/faults":
            self.server.faults.clear()
            for fields in request.json:
                texts = {name: fields[name].encode() for name in ("containing", "body") if name in fields}
                self.server.faults.add(Fault(**{**fields, **texts}))
        body = orjson.dumps(self.server.stats())
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def _ask(app: WsgiApp, request: Request) -> tuple[str, list[tuple[str, str]], bytes]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    started: list[Any] = []
    body = b"".join(app(environ, lambda status, headers, _=None: started.extend((status, headers))))
    return started[0], started[1], body


def _headers(headers: list[tuple[str, str]], fault: Fault, length: int) -> list[tuple[str, str]]:
    if fault.content_type is not None or not headers:
        headers = [("Content-Type", fault.content_type or "application/json")]
    framing = ("Transfer-Encoding", "chunked") if fault.chunked else ("Content-Length", str(length + fault.length_off))
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    return [*kept, *fault.headers.items(), framing]
