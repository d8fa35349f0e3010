"""What one process counts, in memory. Counting takes less than a microsecond, and nothing where metrics are off."""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from app.lib.metrics.declared import Metric

# A metric's name and the values of its labels, with its value; or with the counts of its buckets, and the sum.
Totals = dict[tuple[str, ...], list[float]]


class Recorder:
    """Counters and histograms of this process; threads share it. `is_on` is False where nobody asks for metrics."""

    def __init__(self, *, is_on: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_on = is_on
        self._clock = clock
        self._lock = threading.Lock()
        self._totals: Totals = {}

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        if not self.is_on:
            return
        key = (metric.name, *labels)
        with self._lock:
            found = self._totals.get(key)
            if found is None:
                self._totals[key] = [by]
            else:
                found[0] += by

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        if not self.is_on:
            return
        key = (metric.name, *labels)
        place = bisect_left(metric.buckets, value)
        with self._lock:
            found = self._totals.get(key)
            if found is None:
                found = self._totals[key] = [0.0] * (len(metric.buckets) + 2)
            found[place] += 1
            found[-1] += value

    @contextmanager
    def timed(self, metric: Metric, *labels: str) -> Generator[None]:
        """Observe how long the block takes, also when it raises."""
        began = self._clock()
        try:
            yield
        finally:
            self.observe(metric, self._clock() - began, *labels)

    def totals(self) -> Totals:
        """A copy of all that was counted."""
        with self._lock:
            return {key: list(values) for key, values in self._totals.items()}


def add(totals: Totals, more: Mapping[tuple[str, ...], list[float]]) -> None:
    """Add `more` to `totals`. A histogram with other buckets, which another release counted, is left out."""
    for key, values in more.items():
        found = totals.get(key)
        if found is None:
            totals[key] = list(values)
        elif len(found) == len(values):
            totals[key] = [one + other for one, other in zip(found, values, strict=True)]
