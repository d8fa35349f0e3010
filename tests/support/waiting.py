"""Waiting without sleeping for luck: a condition is polled until it holds."""

import time
from collections.abc import Callable

# Looks become rarer, as a look may take as much CPU as what is waited for: a wait takes at most a tenth longer.
SHORTEST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.05


def until(condition: Callable[[], object], *, seconds: float = 20.0, what: str = "") -> None:
    """Return when `condition()` is true; fail the test after `seconds`."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        if waited > seconds:
            raise AssertionError(f"{what or condition} did not become true in {seconds} s")
        time.sleep(min(max(SHORTEST_PAUSE_S, waited / 10), LONGEST_PAUSE_S))
