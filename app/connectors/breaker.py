"""The breaker of an account: after failures in a row its provider is left alone for a while."""

import random
import threading

from app.connectors.base import OverloadedError
from app.lib.clock import Clock, SystemClock

FAILURES = 5
FIRST_PAUSE_S = 10.0
LONGEST_PAUSE_S = 300.0


class Breaker:
    """Closed: calls go out. Open: they are refused at once. Half open: one goes out and decides. Safe for threads."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._failures = 0
        self._openings = 0
        self._until = 0.0
        self._probing = False
        self.last_error = ""

    @property
    def state(self) -> str:
        """closed, open or half_open."""
        with self._lock:
            return self._state()

    def enter(self) -> None:
        """Before a call. Raises OverloadedError, with the time that is left, while the breaker is open."""
        with self._lock:
            state = self._state()
            if state == "closed":
                return
            if state == "half_open" and not self._probing:
                self._probing = True
                return
            left = max(1.0, self._until - self._clock.monotonic())
        raise OverloadedError(
            f"The account is left alone for {left:.0f} s after failures in a row; the last one: {self.last_error}",
            code="circuit_open",
            retry_after_s=left,
            sent=False,
        )

    def succeeded(self) -> None:
        """The provider answered, be it with a refusal."""
        with self._lock:
            self._failures = self._openings = 0
            self._probing = False

    def failed(self, error: str) -> None:
        """The provider failed, was silent, or could not be reached."""
        with self._lock:
            self.last_error = error
            self._failures += 1
            if self._probing or (self._failures >= FAILURES and self._state() == "closed"):
                # Jitter is no secret: it only keeps many processes from coming back at once.
                pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**self._openings) * random.uniform(0.8, 1.2)  # noqa: S311
                self._until = self._clock.monotonic() + pause
                self._openings += 1
                self._probing = False

    def _state(self) -> str:
        if not self._openings:
            return "closed"
        return "open" if self._clock.monotonic() < self._until else "half_open"
