"""Deadlines that hold however slowly bytes drip: one thread ends every call whose time is up.

A socket's own timeout bounds a single read or write, so a server that sends one byte at a time outlasts it. The thread
starts with the first deadline; a forked child starts its own.
"""

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable

# Deadlines that were cancelled stay in the heap until they are this many and most of it.
MIN_STALE = 256


class Deadline:
    """A point on the monotonic clock at which `expire` is called, unless the deadline is cancelled first."""

    __slots__ = ("at", "expire")

    def __init__(self, at: float, expire: Callable[[], None]) -> None:
        self.at = at
        self.expire: Callable[[], None] | None = expire


class Watchdog:
    """Calls `expire` of each deadline that passes, on a thread of its own. `expire` must not block."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start empty: a forked child has neither the thread nor the calls, and the lock may have been held."""
        self._changed = threading.Condition(threading.Lock())
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()  # equal times must not compare deadlines
        self._stale = 0
        self._thread: threading.Thread | None = None

    def start(self, at: float, expire: Callable[[], None]) -> Deadline:
        """Watch a new deadline; `at` is on the monotonic clock."""
        deadline = Deadline(at, expire)
        with self._changed:
            heapq.heappush(self._heap, (at, next(self._numbers), deadline))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="call-deadlines", daemon=True)
                self._thread.start()
            elif self._heap[0][2] is deadline:
                self._changed.notify()
        return deadline

    def cancel(self, deadline: Deadline) -> None:
        """Forget a deadline. One that has just passed may still expire."""
        with self._changed:
            if deadline.expire is None:
                return
            deadline.expire = None
            self._stale += 1
            if self._stale > MIN_STALE and self._stale * 2 > len(self._heap):
                self._heap[:] = [entry for entry in self._heap if entry[2].expire is not None]
                heapq.heapify(self._heap)
                self._stale = 0

    def _run(self) -> None:
        while True:
            for expire in self._passed():
                expire()

    def _passed(self) -> list[Callable[[], None]]:
        """Wait for the next deadline, then take all that have passed."""
        passed = []
        with self._changed:
            left = self._heap[0][0] - time.monotonic() if self._heap else None
            if left is None or left > 0:
                self._changed.wait(left)
            now = time.monotonic()
            while self._heap and self._heap[0][0] <= now:
                deadline = heapq.heappop(self._heap)[2]
                if deadline.expire is None:
                    self._stale -= 1
                else:
                    passed.append(deadline.expire)
                    deadline.expire = None
        return passed


WATCHDOG = Watchdog()
os.register_at_fork(after_in_child=WATCHDOG.reset)
