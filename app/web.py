"""The gunicorn worker and logger that `deploy/gunicorn.conf.py` configures.

They override private methods of gunicorn, so setup.cfg limits its version.
"""

import errno
import socket
import struct
from http import HTTPStatus
from typing import Any

from gunicorn import glogging, util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from app import logs
from app.errors import InvalidRequestError, envelope
from app.lib import ids, json
from app.settings import from_environment


class Logger(glogging.Logger):
    """Logs gunicorn's messages in the application's format. (`logconfig_dict` would enable the access log.)"""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers = [logs.Bridge()]
        self.error_log.setLevel(logs.level(from_environment()))


# Parse errors without an entry are 400.
STATUSES = {errors.LimitRequestLine: 414, errors.LimitRequestHeaders: 431, errors.ExpectationFailed: 417}
# Faults of the gateway or its operator, not of the client.
SERVER_FAULTS = (errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


class _Client(socket.socket):
    """A client connection with a silence limit for reads and writes.

    A client that stalls while sending its request is treated as if it had closed the connection; one that stalls
    while reading the response gets its connection reset.
    """

    timed_out = False

    def recv(self, *args: Any) -> bytes:
        try:
            return super().recv(*args)
        except BlockingIOError:
            self.timed_out = True
            return b""

    def shutdown(self, how: int) -> None:
        # gunicorn would wait two more seconds for this client, and accept no connection meanwhile.
        if self.timed_out:
            raise ConnectionResetError(errno.ECONNRESET, "the client stopped sending")
        super().shutdown(how)

    def sendall(self, *args: Any) -> None:
        try:
            super().sendall(*args)
        except BlockingIOError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client stopped reading") from error


def _with_timeout(connection: socket.socket, *, silence_s: float) -> socket.socket:
    client = _Client(fileno=connection.detach())
    timeout = struct.pack("ll", int(silence_s), 0)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
    return client


class Worker(ThreadWorker):
    """gunicorn's threaded worker, which rejects unparsable requests in the application's error format."""

    def init_process(self) -> None:
        self._silence_s = from_environment().client_silence_s
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        if not isinstance(conn.sock, _Client):
            conn.sock = _with_timeout(conn.sock, silence_s=self._silence_s)
        super().enqueue_req(conn)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        # The rest of an unfinished request must not be parsed as the next request.
        return not conn.sock.timed_out and super()._keepalive_after(conn, keepalive)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        if not isinstance(exc, errors.ParseException) or isinstance(exc, SERVER_FAULTS):
            super().handle_error(req, client, addr, exc)
            return
        event_id = ids.new(ids.REQUEST)
        self.log.warning("Rejected request %s: %s", event_id, type(exc).__name__)
        try:
            util.write_nonblock(client, self._error_response(exc, event_id))
        except OSError as error:
            self.log.debug("The error response of %s was not sent: %s", event_id, error)

    @staticmethod
    def _error_response(exc: errors.ParseException, event_id: str) -> bytes:
        error = InvalidRequestError(f"This is not a valid HTTP request: {exc!s:.200}")
        error.status = STATUSES.get(type(exc), error.status)
        extra_fields = {"provider": None, "model_requested": None, "request_type": "unknown"}
        body = json.dumps(envelope(error, event_id=event_id, extra_fields=extra_fields))
        head = (
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
            "Connection: close\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"x-request-id: {event_id}\r\n\r\n"
        )
        return head.encode() + body
