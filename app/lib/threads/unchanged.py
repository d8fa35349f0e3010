"""Values that were looked up, kept as long as the store that they came from is unchanged."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_KEPT = 4096


class Unchanged(Generic[T]):
    """Keeps values for `for_s` seconds, and not after a change. Thread-safe; two threads may look one up at once.

    `version` returns another number after each change of the store; None when it cannot say, so that nothing is kept.
    """

    def __init__(
        self, version: Callable[[], int | None], *, for_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._version = version
        self._for_s = for_s
        self._clock = clock
        self._kept: dict[str, tuple[int, float, T]] = {}

    def get(self, name: str, look_up: Callable[[], T | None], *, fits: Callable[[T | None], bool]) -> T | None:
        """The value of a name, from `look_up` unless one is kept. Only what `fits` the request is kept, and used."""
        version, now = self._version(), self._clock()
        if version is None:
            return look_up()
        kept = self._kept.get(name)
        if kept is not None and kept[0] == version and now - kept[1] < self._for_s and fits(kept[2]):
            return kept[2]
        # The version was read first, so a change during the look-up makes the value look older than it is.
        value = look_up()
        if value is not None and fits(value):
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[name] = (version, now, value)
        return value
