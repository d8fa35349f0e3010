"""A value that many threads ask for, looked up once in a while."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Remembers what was looked up for `for_s` seconds. Thread-safe; two threads may look it up at once."""

    def __init__(self, for_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._for_s = for_s
        self._clock = clock
        self._kept: tuple[float, T] | None = None

    def get(self, look_up: Callable[[], T]) -> T:
        """The value, from `look_up` if it is not remembered. What `look_up` raises passes, and is not remembered."""
        kept, now = self._kept, self._clock()
        if kept is None or now - kept[0] >= self._for_s:
            kept = self._kept = (now, look_up())
        return kept[1]
