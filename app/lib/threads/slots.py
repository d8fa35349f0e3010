"""Slots: how much of something dear a process does at once, and how much of it for one owner."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Slots:
    """At most `total` slots are taken at once, at most `each` of them by one owner. Safe to share between threads."""

    def __init__(self, *, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._lock = threading.Lock()
        self._taken: Counter[int] = Counter()

    @contextmanager
    def slot(self, owner: int) -> Iterator[bool]:
        """Take a slot until the block ends; False, and none is taken, when there is none for this owner."""
        with self._lock:
            is_free = self._taken.total() < self._total and self._taken[owner] < self._each
            if is_free:
                self._taken[owner] += 1
        try:
            yield is_free
        finally:
            if is_free:
                with self._lock:
                    self._taken[owner] -= 1
                    self._taken += Counter()  # forgets owners that have none
