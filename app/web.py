"""gunicorn's worker and logger: what `deploy/gunicorn.conf.py` runs the web process with.

Private methods of gunicorn are overridden here, so setup.cfg bounds its version.
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
    """gunicorn's messages in the application's format. (`logconfig_dict` would switch the access log on.)"""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers = [logs.Bridge()]
        self.error_log.setLevel(logs.level(from_environment()))


# All others are 400.
STATUSES = {errors.LimitRequestLine: 414, errors.LimitRequestHeaders: 431, errors.ExpectationFailed: 417}
# These are mistakes of the gateway or its operator.
OURS = (errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


class _Client(socket.socket):
    """A connection on which neither side may stall: a thread waits for a silent client only so long.

    Silence while a request comes in is its end, as if the client had closed; while an answer goes out, a reset.
    """

    silent = False

    def recv(self, *args: Any) -> bytes:
        try:
            return super().recv(*args)
        except BlockingIOError:
            self.silent = True
            return b""

    def shutdown(self, how: int) -> None:
        # gunicorn would wait two more seconds for such a client, and nobody is accepted meanwhile.
        if self.silent:
            raise ConnectionResetError(errno.ECONNRESET, "the client stopped sending")
        super().shutdown(how)

    def sendall(self, *args: Any) -> None:
        try:
            super().sendall(*args)
        except BlockingIOError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client stopped reading") from error


def _patient(connection: socket.socket, *, silence_s: float) -> socket.socket:
    client = _Client(fileno=connection.detach())
    silence = struct.pack("ll", int(silence_s), 0)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, silence)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, silence)
    return client


class Worker(ThreadWorker):
    """gunicorn's threads. A request that cannot even be parsed is refused as the application would refuse it."""

    def init_process(self) -> None:
        self._silence_s = from_environment().client_silence_s
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        if not isinstance(conn.sock, _Client):
            conn.sock = _patient(conn.sock, silence_s=self._silence_s)
        super().enqueue_req(conn)

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        # What a silent client still owes of its request could be taken for the next one.
        return not conn.sock.silent and super()._keepalive_after(conn, keepalive)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        if not isinstance(exc, errors.ParseException) or isinstance(exc, OURS):
            super().handle_error(req, client, addr, exc)
            return
        event_id = ids.new(ids.REQUEST)
        self.log.warning("Refused request %s: %s", event_id, type(exc).__name__)
        try:
            util.write_nonblock(client, self._refusal(exc, event_id))
        except OSError as error:
            self.log.debug("The refusal of %s was not sent: %s", event_id, error)

    @staticmethod
    def _refusal(exc: errors.ParseException, event_id: str) -> bytes:
        refused = InvalidRequestError(f"This is not a valid HTTP request: {exc!s:.200}")
        refused.status = STATUSES.get(type(exc), refused.status)
        told = {"provider": None, "model_requested": None, "request_type": "unknown"}
        body = json.dumps(envelope(refused, event_id=event_id, extra_fields=told))
        head = (
            f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}\r\n"
            "Connection: close\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"x-request-id: {event_id}\r\n\r\n"
        )
        return head.encode() + body
