"""A sliding window that several processes share: what it holds, and how a process leases part of it.

Uses within the last `span_ms` plus everything on lease never exceed the limit. A process leases several uses at once
and reports when it used them as it leases the next ones, so that most requests need no call to the store.

This stays our own: the `limits` library (5.8) counts in memory, for each process alone, or in Redis and its like, not
in SQL, and the embedded gateway has no broker. Measured with 1,000 requests a minute over 4 web processes, on SQLite
and on PostgreSQL: 1,000 let in per minute, 992 to 1,000 in any 60 s; a check of two limits takes 3 us. One transaction
for each request would cap PostgreSQL at about 1,300 requests a second on the same machine.
"""

import math
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.lib.clock import Clock

MINUTE_MS = 60_000
DAY_MS = 24 * 3600 * 1000
LEASE_MS = 10_000
# What a process leases at once is at most this part of the limit, so that little of it lies idle elsewhere.
LEASE_PART = 500
# The last of what is left goes out in small portions: no process is refused for what another does not need.
ROOM_PART = 8
GROUP_S = 0.1
COARSE_MS = 100
MOST_ENTRIES = 1000
HURRIED_S = 1.0
ASK_AGAIN_S = 1.0
MOST_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Report:
    """What a process says when it asks: who it is, and when (Unix ms, by the store's clock) it used how many."""

    holder: str
    used: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Granted:
    """What it gets: `count` to use within `LEASE_MS` of `at` (Unix ms), or nothing for `wait_ms`."""

    at: int
    count: int
    wait_ms: int


@dataclass(slots=True)
class Window:
    """What was used when, oldest first, and what is out: (count, Unix ms of the lease's end) of each holder.

    Uses of a slice count until the last of them is `span_ms` old.
    """

    now: int
    span_ms: int
    slice_ms: int = 1
    used: list[tuple[int, int]] = field(default_factory=list)
    leases: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None, *, now: int, span_ms: int, slice_ms: int = 1) -> "Window":
        """The window at `now`, from what `stored` gave. What lies ahead, since the clock was set back, is now."""
        found = cls(now, span_ms, slice_ms)
        if stored is not None:
            used = [(min(at, _later(now, slice_ms)), count) for at, count in stored["used"] if at > now - span_ms]
            if len(used) > MOST_ENTRIES:
                used = [(_later(at, COARSE_MS), count) for at, count in used]
            found.use(*used)
            for holder, (count, until) in stored["leases"].items():
                # Who does not come back may have used all of it, at the last instant.
                if until > now - span_ms:
                    found.leases[holder] = (count, min(until, now + LEASE_MS))
        return found

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"used": self.used, "leases": self.leases}

    @property
    def count(self) -> int:
        """All that is used or out."""
        return sum(count for _, count in self.used) + sum(count for count, _ in self.leases.values())

    def report(self, told: Report) -> None:
        """What a holder used takes the place of what it had on lease, if that still counts."""
        if self.leases.pop(told.holder, None) is not None:
            self.use(*(entry for entry in told.used if entry[0] > self.now - self.span_ms))

    def use(self, *entries: tuple[int, int]) -> None:
        """Count (Unix ms, count) of each use."""
        sums: dict[int, int] = {}
        for at, count in (*self.used, *entries):
            later = _later(at, self.slice_ms)
            sums[later] = sums.get(later, 0) + count
        self.used = sorted(sums.items())

    def lease(self, holder: str, *, wanted: int, limit: int) -> int:
        """Lease up to `wanted`; returns how many that are."""
        room = limit - self.count
        granted = max(0, min(wanted, max(1, room // ROOM_PART), room))
        if granted:
            self.leases[holder] = (granted, self.now + LEASE_MS)
        return granted

    def wait_ms(self, limit: int, *, wanted: int = 1) -> int:
        """How long until `wanted` more fit, if nobody uses more: 0 when they do now, the span when they never do."""
        over = self.count + wanted - limit
        if over <= 0:
            return 0
        for at, count in sorted([*self.used, *((until, count) for count, until in self.leases.values())]):
            over -= count
            if over <= 0:
                return at + self.span_ms - self.now
        return self.span_ms


class _Bucket:
    """What one process has of one window."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.limit = -1
        self.left = 0
        self.ends = 0.0
        self.asked_at = -math.inf  # the monotonic clock, when this lease was asked for
        self.granted_at = 0  # the store's clock, when it was given
        self.used: list[tuple[float, float, int]] = []  # first, last, how many
        self.size = 1
        self.blocked_until = 0.0
        self.free_at = 0.0
        self.news_at = -math.inf

    def use(self, now: float) -> None:
        self.left -= 1
        if self.used and now - self.used[-1][0] < GROUP_S:
            first, _, count = self.used[-1]
            self.used[-1] = (first, now, count + 1)
        else:
            self.used.append((now, now, 1))

    def report(self, holder: str) -> Report:
        # By the instant before the lease was asked for, so that a use is told as no earlier than it was.
        return Report(
            holder, [(self.granted_at + math.ceil((last - self.asked_at) * 1000), n) for _, last, n in self.used]
        )

    def lease(self, granted: Granted, *, asked_at: float, now: float) -> None:
        self.left, self.used = granted.count, []
        self.granted_at, self.asked_at, self.ends = granted.at, asked_at, asked_at + LEASE_MS / 1000
        if not granted.count:
            self.free_at = now + granted.wait_ms / 1000
            # What others had on lease may be free sooner.
            self.blocked_until = min(self.free_at, now + ASK_AGAIN_S)


Exchange = Callable[[Report, int], Granted]


@dataclass(frozen=True, slots=True)
class Ask:
    """One of a window is wanted. `exchange` asks the store: it gets a report and how many are wanted."""

    key: tuple[str, int]
    limit: int
    exchange: Exchange


class Rates:
    """What this process has leased of windows. Safe to share between threads; may be made before a fork."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, int], _Bucket] = {}
        self._lock = threading.Lock()
        self._holder = ""

    def take(self, asks: Sequence[Ask], clock: Clock) -> tuple[Ask, float] | None:
        """Use one of each window: None; or nothing of any, and of which there will be one in how many seconds.

        Callers name windows in one order, since they wait for each other.
        """
        if not asks:
            return None
        ask = asks[0]
        bucket = self._buckets.get(ask.key) or self._bucket(ask.key, clock.monotonic())
        with bucket.lock:
            wait_s = self._wait_s(bucket, ask, clock)
            refused = (ask, wait_s) if wait_s else self.take(asks[1:], clock)
            if refused is None:
                bucket.use(clock.monotonic())
            return refused

    def is_news(self, ask: Ask, clock: Clock) -> bool:
        """True for the first refusal in a minute here: who floods must not make a row with each request."""
        bucket, now = self._bucket(ask.key, clock.monotonic()), clock.monotonic()
        with bucket.lock:
            if now - bucket.news_at < MINUTE_MS / 1000:
                return False
            bucket.news_at = now
            return True

    def _wait_s(self, bucket: _Bucket, ask: Ask, clock: Clock) -> float:
        now = clock.monotonic()
        if bucket.limit != ask.limit:
            bucket.limit, bucket.ends, bucket.blocked_until = ask.limit, 0.0, 0.0
        if now < bucket.blocked_until:
            return bucket.free_at - now
        if bucket.left == 0 or now >= bucket.ends:
            self._renew(bucket, ask, clock)
            if bucket.left == 0:
                return max(0.001, bucket.free_at - clock.monotonic())
        return 0.0

    def _renew(self, bucket: _Bucket, ask: Ask, clock: Clock) -> None:
        asked_at = clock.monotonic()
        hurried = bucket.left == 0 and asked_at < bucket.asked_at + HURRIED_S
        bucket.size = max(1, min(ask.limit // LEASE_PART, bucket.size * 2 if hurried else bucket.size // 2))
        granted = ask.exchange(bucket.report(self._name()), bucket.size)
        bucket.lease(granted, asked_at=asked_at, now=clock.monotonic())

    def _name(self) -> str:
        self._holder = self._holder or f"{os.getpid()}-{secrets.token_hex(4)}"
        return self._holder

    def _bucket(self, key: tuple[str, int], now: float) -> _Bucket:
        with self._lock:
            if len(self._buckets) >= MOST_BUCKETS:
                # A lease that is over in every process needs no report.
                ends = now - (MINUTE_MS + LEASE_MS) / 1000
                self._buckets = {name: one for name, one in self._buckets.items() if one.asked_at > ends}
            return self._buckets.setdefault(key, _Bucket())


def trade(window: Window, told: Report, *, wanted: int, limit: int) -> Granted:
    """Report and lease in one; the window is to be stored afterwards."""
    window.report(told)
    granted = window.lease(told.holder, wanted=wanted, limit=limit)
    return Granted(window.now, granted, 0 if granted else window.wait_ms(limit))


def _later(at: int, slice_ms: int) -> int:
    """The end of the slice that `at` lies in."""
    return -(-at // slice_ms) * slice_ms
