"""A gate for senders: this process's permits for one account and model."""

import threading
from dataclasses import dataclass

from app.lib.clock import Clock

FIRST_PAUSE_S = 0.25
MAX_PAUSE_S = 30.0
SLACK = 4


@dataclass(frozen=True, slots=True)
class Signals:
    """What this process saw since its last report: the limit of all processes is adapted to it."""

    successes: int
    overloads: int
    retry_after_s: float | None


class Gate:
    """At most `limit` lines between `enter` and `leave`, none while paused."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free = threading.Condition()
        self._limit = 0
        self._in_flight = 0
        self._paused_until = 0.0
        self._misses = 0
        self._successes = self._overloads = 0
        self._retry_after_s: float | None = None

    @property
    def in_flight(self) -> int:
        """Lines being sent now."""
        return self._in_flight

    @property
    def room(self) -> int:
        """How many lines may be prepared: as many as there are permits, and a few more, so that no permit is idle."""
        if self._limit == 0 or self.paused_s() > 0:
            return 0
        return self._limit + max(SLACK, self._limit // 4)

    @property
    def has_news(self) -> bool:
        """True when the other processes should learn of an overload at once."""
        return self._overloads > 0

    def paused_s(self) -> float:
        """Seconds until lines may be sent again; 0 when they may."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def enter(self, *, timeout_s: float) -> bool:
        """Take a permit. False when none became free in time, or the gate is paused."""
        ends = self._clock.monotonic() + timeout_s
        with self._free:
            while self._in_flight >= self._limit or self.paused_s() > 0:
                left = ends - self._clock.monotonic()
                if left <= 0 or self.paused_s() > left:
                    return False
                self._free.wait(left)
            self._in_flight += 1
            return True

    def leave(self) -> None:
        """Return the permit."""
        with self._free:
            self._in_flight -= 1
            self._free.notify()

    def succeeded(self) -> None:
        """Note an answer: the provider is not overloaded."""
        with self._free:
            self._successes += 1
            self._misses = 0

    def overloaded(self, retry_after_s: float | None) -> None:
        """Pause after an overload: as long as the provider says, else longer each time in a row."""
        with self._free:
            self._overloads += 1
            if retry_after_s is not None:
                self._retry_after_s = max(retry_after_s, self._retry_after_s or 0.0)
                pause = retry_after_s
            elif self.paused_s() > 0:
                return  # part of the same burst, for which the gate is paused already
            else:
                pause = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2**self._misses)
                self._misses = min(self._misses + 1, 16)
            self._pause(pause)

    def granted(self, limit: int, *, pause_s: float) -> None:
        """Set this process's share, and how long all processes pause."""
        with self._free:
            self._limit = limit
            if pause_s > 0:
                self._pause(pause_s)
            self._free.notify_all()

    def drain_signals(self) -> Signals:
        """What happened since the last call."""
        with self._free:
            signals = Signals(self._successes, self._overloads, self._retry_after_s)
            self._successes = self._overloads = 0
            self._retry_after_s = None
        return signals

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
