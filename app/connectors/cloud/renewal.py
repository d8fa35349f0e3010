"""Tokens that end: kept until shortly before, then asked for again by one thread for all."""

import copy
import threading
import time
from collections.abc import Callable, Sequence

from app.connectors.contract.errors import UpstreamError

# A token is renewed so long before its end, or after half of a life that is shorter.
AHEAD_S = 300.0


class Renewal:
    """The token of one account; safe to share between threads. `ask` gives one and how many seconds it is good for.

    `secrets` holds what must be in no text: `hidden`, and the tokens of now and before.
    """

    def __init__(self, ask: Callable[[], tuple[str, float]], *, hidden: Sequence[str]) -> None:
        self._ask = ask
        self._hidden = list(hidden)
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._failed: tuple[float, UpstreamError] | None = None
        self.secrets = list(hidden)

    def token(self) -> str:
        """A token that is good for a while. Raises UpstreamError: nothing of the call that needed it was sent."""
        came = time.monotonic()
        if came < self._renew_at:
            return self._token
        with self._lock:
            if self._failed and self._failed[0] >= came:
                raise copy.copy(self._failed[1])  # asking again, one thread after the other, would take too long
            if time.monotonic() >= self._renew_at:
                self._renew()
            return self._token

    def _renew(self) -> None:
        asked = time.monotonic()
        try:
            token, lifetime_s = self._ask()
        except UpstreamError as error:
            error.sent = False
            self._failed = (time.monotonic(), error)
            raise
        self.secrets[:] = [*self._hidden, token, *([self._token] if self._token else [])]
        self._token = token
        self._renew_at = asked + max(lifetime_s - AHEAD_S, lifetime_s / 2)
