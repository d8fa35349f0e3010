"""Limits on verifying callers' own keys at their provider: how many at once, and how soon a rejected key again."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MAX_CONCURRENT = 8
MAX_WAIT_S = 1.0
REJECTED_FOR_S = 60.0
MAX_REMEMBERED = 10_000


class Attempts:
    """The verifications of this process. Thread-safe. A key is identified by its HMAC, `mark`."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._slots = threading.BoundedSemaphore(MAX_CONCURRENT)
        self._lock = threading.Lock()
        self._refused: OrderedDict[str, float] = OrderedDict()

    def was_refused(self, mark: str) -> bool:
        """Return True if the key was rejected within the last REJECTED_FOR_S."""
        with self._lock:
            refused_at = self._refused.get(mark)
        return refused_at is not None and self._monotonic() - refused_at < REJECTED_FOR_S

    def refused(self, mark: str) -> None:
        """Record that the provider rejected a key."""
        with self._lock:
            self._refused[mark] = self._monotonic()
            self._refused.move_to_end(mark)
            if len(self._refused) > MAX_REMEMBERED:
                self._refused.popitem(last=False)

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Hold one of MAX_CONCURRENT slots within the block; yields False if none is free within MAX_WAIT_S."""
        acquired = self._slots.acquire(timeout=MAX_WAIT_S)
        try:
            yield acquired
        finally:
            if acquired:
                self._slots.release()
