"""Episodes of failure: what fails again and again is news when it begins, changes, and ends."""

import threading
from collections.abc import Hashable

# What is noted longest is forgotten first: it may never work again, such as a job that ended.
MAX_EPISODES = 4096


class Episodes:
    """The episodes of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[Hashable, str] = {}

    def failed(self, what: Hashable, kind: str = "") -> bool:
        """Note a failure; True if it begins an episode, or is of another kind than the one before."""
        with self._lock:
            is_news = self._kinds.get(what) != kind
            self._kinds.pop(what, None)
            self._kinds[what] = kind
            if len(self._kinds) > MAX_EPISODES:
                del self._kinds[next(iter(self._kinds))]
            return is_news

    def worked(self, what: Hashable) -> bool:
        """Note a success; True if it ends an episode."""
        if what not in self._kinds:  # almost always so, and needs no lock
            return False
        with self._lock:
            return self._kinds.pop(what, None) is not None
