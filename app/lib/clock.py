"""The clock, passed to whatever needs the time so that tests can move it."""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time; production uses SystemClock."""

    def now_ms(self) -> int:
        """Unix time in milliseconds, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never decrease; only differences between two readings have a meaning."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()
