"""Waiting without sleeping for luck: a condition is polled until it holds."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], *, seconds: float = 20.0, what: str = "") -> None:
    """Return when `condition()` is true; fail the test after `seconds`."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise AssertionError(f"{what or condition} did not become true in {seconds} s")
        time.sleep(0.01)
