"""Memory for answers: each counts before it is read, so that many large ones at once come in one after another."""

import threading
import time
from collections.abc import Callable
from typing import Self

# An answer is in memory about so many times: as it came, as parsed values, and as the line of the output file.
COPIES = 3
# How long a waiting answer takes at most to notice that results were written.
LOOK_S = 0.25


class Room:
    """At most `limit_bytes` for answers being read and results that wait to be written (`unwritten` says how many).

    One answer at a time may take more, so that there is always one that comes to its end. As many bytes again may be
    put into requests, and one request at a time may take more.
    """

    def __init__(self, *, limit_bytes: int, unwritten: Callable[[], int]) -> None:
        self._limit = limit_bytes
        self._unwritten = unwritten
        self._changed = threading.Condition()
        self._held = self._borrowed = 0
        self._largest: Portion | None = None
        self._largest_request: Portion | None = None

    @property
    def held(self) -> int:
        """Bytes of the answers that are being read or handled, and of what was put into requests."""
        return self._held + self._borrowed

    def portion(self) -> "Portion":
        """What one line holds. Its `with` block ends when the line has its result."""
        return Portion(self)

    def _take(self, portion: "Portion", size: int, timeout_s: float) -> bool:
        ends = time.monotonic() + timeout_s
        with self._changed:
            while not self._fits(portion, size):
                left = ends - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, LOOK_S))
            self._held += size
            portion.held += size
            return True

    def _borrow(self, portion: "Portion", size: int) -> bool:
        with self._changed:
            if self._borrowed + size > self._limit:
                if self._largest_request not in (None, portion):
                    return False
                self._largest_request = portion
            self._borrowed += size
            portion.borrowed += size
            return True

    def _fits(self, portion: "Portion", size: int) -> bool:
        unwritten = self._unwritten()
        if self._held + unwritten + size <= self._limit:
            return True
        # Results that are not written yet may be as large as that answer: with many of them, it waits as well.
        if self._largest in (None, portion) and unwritten <= self._limit:
            self._largest = portion
            return True
        return False

    def _give_back(self, portion: "Portion") -> None:
        with self._changed:
            self._held -= portion.held
            self._borrowed -= portion.borrowed
            if self._largest is portion:
                self._largest = None
            if self._largest_request is portion:
                self._largest_request = None
            self._changed.notify_all()


class Portion:
    """What one line holds of a Room."""

    __slots__ = ("_room", "borrowed", "held")

    def __init__(self, room: Room) -> None:
        self._room = room
        self.held = self.borrowed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.held or self.borrowed:
            self._room._give_back(self)

    def take(self, size: int, timeout_s: float) -> bool:
        """Room for `size` more bytes of an answer. False when there was none in time."""
        return self._room._take(self, size * COPIES, timeout_s)

    def borrow(self, size: int) -> bool:
        """Room for `size` more bytes of the request. False when there is none now."""
        return self._room._borrow(self, size * COPIES)
