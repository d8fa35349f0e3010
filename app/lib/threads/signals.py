"""What a process does at signals, on a thread: a handler interrupts code that may hold a lock, and must take none."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType


def handle(numbers: Sequence[int], *acts: Callable[[], object]) -> None:
    """At the first of the signals `numbers` call the first of `acts`, at the next one the second, and so on.

    One more ends the process at once, with the exit status that a shell gives to it. Call this in the main thread.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    for number in numbers:
        signal.signal(number, _noted)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_act, args=(read, frozenset(numbers), acts), name="signals", daemon=True).start()


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Python has written the number to the pipe already."""


def _act(read: int, numbers: frozenset[int], acts: Sequence[Callable[[], object]]) -> None:
    left = list(acts)
    while data := os.read(read, 64):
        for number in data:
            if number not in numbers:
                continue
            if not left:
                os._exit(128 + number)
            left.pop(0)()
