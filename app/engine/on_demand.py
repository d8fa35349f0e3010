"""The engine of a process that learns of its work by hints: it runs while there is work, and costs nothing else.

A hint says "look", and nothing more. What is taken up is decided by SQL, by lease and epoch, as in the embedded engine,
so a hint that is lost, late or delivered twice does no harm.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from app.engine.embedded import Embedded
from app.lib.clock import Clock

LOOK_S = 0.02
# How long an engine stays when its hint has been answered: the next one often comes at once.
LINGER_S = 2.0


@dataclass(slots=True)
class _Running:
    """An engine, and how many hints it is working on."""

    part: str
    engine: Embedded
    hints: int = 0
    left_at: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)


class OnDemand:
    """`work` is called for each hint, on as many threads as the broker's worker has; `close` ends everything.

    `make` returns a new engine for a part of the work (`lines`, `jobs` or `upkeep`).
    """

    def __init__(self, make: Callable[[str], Embedded], *, clock: Clock, linger_s: float = LINGER_S) -> None:
        self._make = make
        self._clock = clock
        self._linger_s = linger_s
        self._lock = threading.Lock()
        self._engines: dict[str, _Running] = {}  # those that take up work
        self._alive: list[_Running] = []
        self._closing = threading.Event()

    def work(self, part: str, *, for_s: float) -> bool:
        """Look for work of this part, and do it until nothing is left; False then.

        True after `for_s` seconds, when some is left: give the hint to another task, so that this one ends well before
        the broker believes that it was lost. Lines that are out come to their end meanwhile, in the background.
        """
        running = self._entered(part)
        if running is None:
            return True
        try:
            running.engine.look()
            ends = self._clock.monotonic() + for_s
            while not running.engine.is_idle:
                if self._clock.monotonic() >= ends or self._closing.wait(LOOK_S) or running.ended.is_set():
                    return True
            return False
        finally:
            self._left(running)

    def close(self) -> None:
        """Take up nothing more; returns when the lines that are out have ended, or the time to drain has passed."""
        self._closing.set()
        with self._lock:
            alive = list(self._alive)
        for running in alive:
            running.engine.stop()
        for running in alive:
            running.ended.wait()

    def _entered(self, part: str) -> _Running | None:
        with self._lock:
            if self._closing.is_set():
                return None
            running = self._engines.get(part)
            if running is None:
                running = self._engines[part] = _Running(part, self._make(part))
                self._alive.append(running)
                for act in (self._run, self._watch):
                    threading.Thread(target=act, args=(running,), name=f"engine-{part}", daemon=True).start()
            running.hints += 1
            return running

    def _left(self, running: _Running) -> None:
        with self._lock:
            running.hints -= 1
            running.left_at = self._clock.monotonic()
            if not running.hints:
                running.engine.hold_back()

    def _run(self, running: _Running) -> None:
        try:
            running.engine.run()
        finally:
            with self._lock:
                self._forget(running)
                self._alive.remove(running)
            running.ended.set()

    def _watch(self, running: _Running) -> None:
        """Stop the engine when no hint came for a while and nothing is under way."""
        while not running.ended.wait(self._linger_s / 4):
            with self._lock:
                is_over = self._clock.monotonic() - running.left_at >= self._linger_s
                if not running.hints and is_over and not running.engine.is_running:
                    self._forget(running)  # a hint that comes while it stops starts another one
                    running.engine.stop()
                    return

    def _forget(self, running: _Running) -> None:
        if self._engines.get(running.part) is running:
            del self._engines[running.part]
