"""Looks for what is due: when a hint arrives, and now and then besides: hints get lost, and time makes work, too."""

import threading
from collections.abc import Callable, Collection
from typing import Any, Protocol

from app.engine.steps import STORE_AWAY_S
from app.engine.work import Due, StoreAwayError
from app.lib.clock import Clock

# While no batch runs, nothing becomes due by itself.
QUIET_POLLS = 4
# Hints may come with every write of another process: looks for them that find nothing become rarer.
FIRST_GAP_S, MAX_GAP_S = 0.02, 0.1


class News(Protocol):
    """Where hints arrive."""

    def wait(self, timeout_s: float) -> Collection[str]:
        """Wait for hints, at most so long; returns the parts that may have work."""
        ...

    def wake(self) -> None:
        """End the wait, and each later one; called on any thread."""
        ...

    def close(self) -> None:
        """Close what it has open; called by who waited."""
        ...


class NoNews:
    """No hints arrive."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wait(self, timeout_s: float) -> Collection[str]:
        self._woken.wait(timeout_s)
        return ()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        """Nothing is open."""


class Look:
    """A thread that calls `look` with the parts that hints named, from `start` to `stop`."""

    def __init__(
        self, look: Callable[[Collection[str]], Due], news: News, *, poll_s: float, clock: Clock, log: Any
    ) -> None:
        self._look = look
        self._news = news
        self._poll_s = self._wait_s = poll_s
        self._gap_s = FIRST_GAP_S
        self._looked_at = 0.0
        self._clock = clock
        self._log = log
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="look", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._news.wake()

    def join(self, timeout_s: float) -> None:
        """Wait for the look that is going on, at most so long."""
        self._thread.join(max(0.0, timeout_s))

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                self._await_and_look()
            except StoreAwayError as error:
                self._log.error("worker.store_away", reason=str(error))
                self._stopping.wait(STORE_AWAY_S)
            except Exception:  # noqa: BLE001
                # Without looks a worker finds nothing; the trace shows what failed.
                self._log.exception("worker.loop_failed", loop="look")
                self._stopping.wait(STORE_AWAY_S)
        self._news.close()

    def _await_and_look(self) -> None:
        heard = self._news.wait(self._wait_s)
        self._stopping.wait(max(0.0, self._looked_at + self._gap_s - self._clock.monotonic()))
        if self._stopping.is_set():
            return
        self._looked_at = self._clock.monotonic()
        due = self._look(heard)
        self._gap_s = FIRST_GAP_S if due.kinds else min(MAX_GAP_S, 2 * self._gap_s)
        self._wait_s = self._poll_s * (QUIET_POLLS if due.is_quiet else 1)
