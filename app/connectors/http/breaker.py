"""The circuit breaker of an account: after failures in a row, calls are refused for a while."""

import random
import threading

from app.connectors.contract.errors import OverloadedError
from app.lib.clock import Clock, SystemClock

FAILURES = 5
FIRST_PAUSE_S = 10.0
MAX_PAUSE_S = 300.0
# Further doubling has no effect, and after days of it a float would overflow.
MAX_DOUBLINGS = 16


class Breaker:
    """Closed: calls go out. Open: they are refused at once. Half open: one call goes out and decides. Thread-safe.

    Each `enter` is followed by `succeeded`, `failed` or `left` on the same thread. Calls that started before the
    breaker opened and end later decide nothing.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._failures = 0
        self._openings = 0
        self._until = 0.0
        self._prober: int | None = None  # the thread whose call decides
        self.last_error = ""

    @property
    def state(self) -> str:
        """closed, open or half_open."""
        with self._lock:
            return self._state()

    def enter(self) -> bool:
        """Start a call; true if its outcome decides whether the breaker closes.

        Raises OverloadedError with the time left while the breaker is open.
        """
        with self._lock:
            state = self._state()
            if state == "closed":
                return False
            if state == "half_open" and self._prober is None:
                self._prober = threading.get_ident()
                return True
            left = max(1.0, self._until - self._clock.monotonic())
        raise OverloadedError(
            f"The account is paused for {left:.0f} s after failures in a row; the last one: {self.last_error}",
            code="circuit_open",
            retry_after_s=left,
            sent=False,
        )

    def succeeded(self) -> None:
        """The provider answered, even if with an error of the caller's."""
        with self._lock:
            if self._ends_probe() or self._state() == "closed":
                self._failures = self._openings = 0

    def left(self) -> None:
        """The call ended for a reason of ours, which says nothing about the provider."""
        with self._lock:
            self._ends_probe()

    def failed(self, error: str) -> None:
        """The provider failed, was silent, or could not be reached."""
        with self._lock:
            self.last_error = error
            if self._ends_probe():
                self._open()
            elif self._state() == "closed":
                self._failures += 1
                if self._failures >= FAILURES:
                    self._open()

    def _ends_probe(self) -> bool:
        if self._prober != threading.get_ident():
            return False
        self._prober = None
        return True

    def _open(self) -> None:
        pause = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._openings, MAX_DOUBLINGS))
        # Jitter needs no secure randomness: it only keeps many processes from retrying at once.
        self._until = self._clock.monotonic() + pause * random.uniform(0.8, 1.2)  # noqa: S311
        self._openings += 1

    def _state(self) -> str:
        if not self._openings:
            return "closed"
        return "open" if self._clock.monotonic() < self._until else "half_open"
