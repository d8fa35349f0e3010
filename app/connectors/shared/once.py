"""A value that a provider has to be asked for, and that does not change afterwards."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Finds a value at its first use and keeps it; safe to share between threads. What `find` raises is not kept."""

    def __init__(self, find: Callable[[], T]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._found: list[T] = []

    def value(self) -> T:
        """The value; threads that come while it is being found wait for it."""
        if not self._found:
            with self._lock:
                if not self._found:
                    self._found.append(self._find())
        return self._found[0]
