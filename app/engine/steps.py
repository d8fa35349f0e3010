"""Threads that take steps of one kind of work while there are any, and sleep until somebody knows of more."""

import threading
from collections.abc import Callable
from typing import Any

from app.engine.work import StoreAwayError
from app.lib.clock import Clock

STORE_AWAY_S = 1.0


class Steps:
    """`act` takes a step and returns False when there was none to take; `threads` of them run at once.

    `wake` wakes one thread. One that finds something wakes the next, so that as many look as there is work for.
    With `every_s` they also look by themselves.
    """

    def __init__(
        self, act: Callable[[], bool], name: str, *, threads: int, clock: Clock, log: Any, every_s: float | None = None
    ) -> None:
        self._act = act
        self._name = name
        self._clock = clock
        self._log = log
        self._every_s = every_s
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._is_called = True  # each kind is looked for at the start
        self._acting = 0
        self._looked_at = -1.0  # when the last look began that found nothing
        self._threads = [
            threading.Thread(target=self._loop, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no more steps. Those that are being taken come to their end."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        """Wait for the steps that are being taken, at most for about so long."""
        ends = self._clock.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, ends - self._clock.monotonic()))

    def wake(self) -> None:
        """Look for work, since there may be some."""
        with self._changed:
            self._is_called = True
            self._changed.notify()

    def is_idle(self, *, since: float) -> bool:
        """True when a look that began after `since` found nothing, and no step is being taken."""
        with self._changed:
            return not self._is_called and not self._acting and self._looked_at >= since

    def _loop(self) -> None:
        while self._await():
            self._work()

    def _await(self) -> bool:
        """Wait for a call; False when there are no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_called or self._stopping.is_set(), self._every_s)
            self._is_called = False
            self._acting += 1
        return not self._stopping.is_set()

    def _work(self) -> None:
        """Take steps until there are no more."""
        found, began = 0, -1.0
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            if not self._step():
                break
            found += 1
            if found == 1:
                self.wake()
        with self._changed:
            self._acting -= 1
            self._looked_at = max(self._looked_at, began)

    def _step(self) -> bool:
        """True to go on: a step was taken, or failed, and is tried again after a pause."""
        try:
            return self._act()
        except StoreAwayError as error:
            self._log.error("worker.store_away", reason=str(error))
        except Exception:  # noqa: BLE001
            # A loop of the worker must survive any single batch; the trace shows which one failed.
            self._log.exception("worker.loop_failed", loop=self._name)
        self._stopping.wait(STORE_AWAY_S)
        return True
