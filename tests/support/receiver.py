"""Somebody's server that takes webhooks, on a real socket of this machine."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from app.lib import json
from tests.support.server import LiveServer

# The setting under which the gateway delivers to this machine.
ALLOWED = {"BATCHGATE_WEBHOOK_HOSTS": "127.0.0.0/8"}


@dataclass(frozen=True)
class Received:
    """One request: its headers, in lower case, and its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body, read."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver(LiveServer):
    """Answers with `statuses` in turn, and with the last one from then on. `received` has all requests."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses or (200,))
        self.received: list[Received] = []
        self.answer_headers: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        super().__init__(self._serve)

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        names = {name: name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_")}
        headers = {short: environ[name] for name, short in names.items()}
        with self._lock:
            self.received.append(Received(environ["PATH_INFO"], headers, body))
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        start_response(f"{status} Status", list(({"Content-Length": "2"} | dict(self.answer_headers)).items()))
        return [b"ok"]

    @property
    def event_ids(self) -> list[str]:
        """Of what was received, in order."""
        return [request.headers["webhook-id"] for request in self.received]
