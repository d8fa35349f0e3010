"""How many refusals of one caller become events: a caller who sends nothing but refused requests fills no table."""

import threading
from dataclasses import dataclass

BURST = 100
PER_MINUTE = 10
MAX_CALLERS = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    unrecorded: int = 0


class Refusals:
    """Of each caller BURST refusals at once are recorded, then PER_MINUTE, in one process. Safe to share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: str, *, now: float) -> int | None:
        """Returns None when this refusal is not to be recorded, else how many were not since the last one that was.

        `now` is seconds of a monotonic clock.
        """
        with self._lock:
            bucket = self._buckets.pop(caller, None) or _Bucket(BURST, now)
            self._buckets[caller] = bucket  # the last one: the first has been silent for the longest time
            if len(self._buckets) > MAX_CALLERS:
                del self._buckets[next(iter(self._buckets))]
            bucket.left = min(BURST, bucket.left + (now - bucket.at) * PER_MINUTE / 60)
            bucket.at = now
            if bucket.left < 1:
                bucket.unrecorded += 1
                return None
            bucket.left -= 1
            unrecorded, bucket.unrecorded = bucket.unrecorded, 0
            return unrecorded
