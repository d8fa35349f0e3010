"""Access tokens: kept until shortly before they expire, then renewed by one thread for all."""

import copy
import threading
import time
from collections.abc import Callable, Sequence

from app.connectors.contract.errors import UpstreamError

# How long before it expires a token is renewed; one with a shorter life is renewed after half of it.
AHEAD_S = 300.0


class Renewal:
    """The token of one account; safe to share between threads. `request` gives a token and its lifetime in seconds.

    `secrets` must appear in no text: `hidden`, the current and the previous token. The list changes with each renewal.
    """

    def __init__(self, request: Callable[[], tuple[str, float]], *, hidden: Sequence[str]) -> None:
        self._request = request
        self._hidden = list(hidden)
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._failed: tuple[float, UpstreamError] | None = None
        self.secrets = list(hidden)

    def token(self) -> str:
        """A token that stays valid for a while. Raises UpstreamError; nothing of the call that needs it was sent."""
        came = time.monotonic()
        if came < self._renew_at:
            return self._token
        with self._lock:
            if self._failed and self._failed[0] >= came:
                raise copy.copy(self._failed[1])  # a request by one thread after the other would take too long
            if time.monotonic() >= self._renew_at:
                self._renew()
            return self._token

    def _renew(self) -> None:
        requested = time.monotonic()
        try:
            token, lifetime_s = self._request()
        except UpstreamError as error:
            error.sent = False
            self._failed = (time.monotonic(), error)
            raise
        self.secrets[:] = [*self._hidden, token, *([self._token] if self._token else [])]
        self._token = token
        self._renew_at = requested + max(lifetime_s - AHEAD_S, lifetime_s / 2)
