"""A port of its own for metrics: one process of each host has it, and answers for all of them."""

import hmac
import socket
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from app.services.gateway import Gateway
from app.services.metrics.exposition import Exposition

PATH = "/metrics"
LOOPBACK = "127.0.0.1"
RETRY_S = 2.0
CLOSING_S = 0.5
SILENCE_S = 10.0


def start(gateway: Gateway) -> "Port":
    """Serve BATCHGATE_METRICS_PORT in the background, if it is set: at once, or when the process that has it ends.

    Without a token only this host reaches it.
    """
    port = Port(gateway)
    if gateway.settings.metrics_port:
        threading.Thread(target=port.serve, name="metrics-port", daemon=True).start()
    return port


def is_allowed(gateway: Gateway, authorization: str) -> bool:
    """True if a request with this header may read metrics: with the token, or any where none is set."""
    token = gateway.settings.metrics_token
    kind, _, sent = authorization.partition(" ")
    return not token or (kind.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), token.encode()))


class Port:
    """The port of this host's metrics, which one process has."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._over = threading.Event()

    def serve(self) -> None:
        """Answer scrapes until `close`, from when the port is free."""
        while not self._over.is_set():
            server = self._opened()
            if server is None:
                self._over.wait(RETRY_S)
                continue
            with server:
                while not self._over.is_set():
                    server.handle_request()

    def close(self) -> None:
        """Leave the port to another process."""
        self._over.set()

    def _opened(self) -> "_Server | None":
        settings = self._gateway.settings
        host = settings.bind.strip("[]") if settings.metrics_token else LOOPBACK
        try:
            return _Server((host, settings.metrics_port), self._gateway)
        except OSError as error:
            # Mostly another process of this host, which answers for this one, too.
            if self._gateway.episodes.failed("metrics_port"):
                self._gateway.log.info("metrics.port_taken", port=settings.metrics_port, reason=str(error))
            return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    timeout = CLOSING_S
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], gateway: Gateway) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.gateway = gateway
        self.exposition = Exposition(gateway)
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.gateway.log.debug("metrics.not_answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SILENCE_S

    def do_GET(self) -> None:
        """Answer `/metrics`, and nothing else."""
        if self.path.partition("?")[0] != PATH:
            self._answer(404, b"Metrics are at /metrics.\n")
        elif not is_allowed(self.server.gateway, self.headers.get("Authorization") or ""):
            self._answer(401, b"Send BATCHGATE_METRICS_TOKEN as a bearer token.\n", [("WWW-Authenticate", "Bearer")])
        else:
            body, content_type = self.server.exposition.render(self.headers.get("Accept") or "")
            self._answer(200, body, [("Content-Type", content_type)])

    def log_message(self, *_: Any) -> None:
        """Nothing: scrapes come every few seconds."""

    def _answer(self, status: int, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
