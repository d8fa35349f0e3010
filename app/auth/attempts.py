"""Keys that are tried at somebody else's: few at once, and one that was refused not again for a while."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_ONCE = 8
WAIT_S = 1.0
FORGET_S = 60.0
MOST_REMEMBERED = 10_000


class Attempts:
    """What this process has tried; safe to share between threads. Keys are told apart by marks that say nothing."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._refused: OrderedDict[str, float] = OrderedDict()

    def was_refused(self, mark: str) -> bool:
        """True for a key that was refused a short while ago."""
        with self._lock:
            since = self._refused.get(mark)
        return since is not None and self._monotonic() - since < FORGET_S

    def refused(self, mark: str) -> None:
        """Note that a key was refused just now."""
        with self._lock:
            self._refused[mark] = self._monotonic()
            self._refused.move_to_end(mark)
            if len(self._refused) > MOST_REMEMBERED:
                self._refused.popitem(last=False)

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Within the block one more key is tried; False when as many are as may be, also after a moment."""
        taken = self._places.acquire(timeout=WAIT_S)
        try:
            yield taken
        finally:
            if taken:
                self._places.release()
