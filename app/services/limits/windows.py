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
# A lease is at most 1/LEASE_PART of the limit, so little of the limit sits unused in other processes.
LEASE_PART = 500
# A lease is at most 1/ROOM_PART of what is left: no process is rejected because another holds what it does not need.
ROOM_PART = 8
# Uses so close together are reported as one entry.
GROUP_S = 0.1
# A window with more than MAX_ENTRIES entries is stored in slices of COARSE_MS.
COARSE_MS = 100
MAX_ENTRIES = 1000
# A lease that is used up faster is followed by one of twice the size.
BUSY_S = 1.0
RETRY_S = 1.0
MAX_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Report:
    """What a process reports with its next lease: (Unix ms by the database's clock, count) of its uses."""

    holder: str
    used: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease of `count` uses until `LEASE_MS` after `at` (Unix ms); with a count of 0, retry after `wait_ms`."""

    at: int
    count: int
    wait_ms: int


@dataclass(slots=True)
class Window:
    """Uses as (Unix ms, count), oldest first, and the lease of each holder as (count, Unix ms of its end).

    All uses in a slice count until the end of the slice is `span_ms` old.
    """

    now: int
    span_ms: int
    slice_ms: int = 1
    used: list[tuple[int, int]] = field(default_factory=list)
    leases: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None, *, now: int, span_ms: int, slice_ms: int = 1) -> "Window":
        """Returns the window at `now` from what `stored()` returned earlier.

        Uses in the future, after the clock was set back, count as used now.
        """
        window = cls(now, span_ms, slice_ms)
        if stored is not None:
            used = [(min(at, _later(now, slice_ms)), count) for at, count in stored["used"] if at > now - span_ms]
            if len(used) > MAX_ENTRIES:
                used = [(_later(at, COARSE_MS), count) for at, count in used]
            window.use(*used)
            for holder, (count, until) in stored["leases"].items():
                # A holder that never reports may have used the whole lease in its last instant.
                if until > now - span_ms:
                    window.leases[holder] = (count, min(until, now + LEASE_MS))
        return window

    def stored(self) -> dict[str, Any]:
        """Returns the window as JSON values."""
        return {"used": self.used, "leases": self.leases}

    @property
    def count(self) -> int:
        """All uses and leases."""
        return sum(count for _, count in self.used) + sum(count for count, _ in self.leases.values())

    def report(self, report: Report) -> None:
        """Replaces a holder's lease, unless it has been dropped, by the uses that the holder reports."""
        if self.leases.pop(report.holder, None) is not None:
            self.use(*(entry for entry in report.used if entry[0] > self.now - self.span_ms))

    def use(self, *entries: tuple[int, int]) -> None:
        """Adds uses as (Unix ms, count)."""
        sums: dict[int, int] = {}
        for at, count in (*self.used, *entries):
            later = _later(at, self.slice_ms)
            sums[later] = sums.get(later, 0) + count
        self.used = sorted(sums.items())

    def lease(self, holder: str, *, count: int, limit: int) -> int:
        """Leases up to `count` uses and returns how many were granted."""
        room = limit - self.count
        granted = max(0, min(count, max(1, room // ROOM_PART), room))
        if granted:
            self.leases[holder] = (granted, self.now + LEASE_MS)
        return granted

    def wait_ms(self, limit: int, *, count: int = 1) -> int:
        """Returns the time until `count` more uses fit, if nothing else is used: 0 for now, the span for never."""
        over = self.count + count - limit
        if over <= 0:
            return 0
        for at, used in sorted([*self.used, *((until, leased) for leased, until in self.leases.values())]):
            over -= used
            if over <= 0:
                return at + self.span_ms - self.now
        return self.span_ms


class _Bucket:
    """What one process has leased of one window."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.limit = -1
        self.left = 0
        self.ends = 0.0
        self.requested_at = -math.inf  # by the monotonic clock, just before this lease was requested
        self.granted_at = 0  # by the database's clock
        self.used: list[tuple[float, float, int]] = []  # first use, last use, count
        self.size = 1
        self.blocked_until = 0.0
        self.free_at = 0.0
        self.reported_at = -math.inf

    def use(self, now: float) -> None:
        self.left -= 1
        if self.used and now - self.used[-1][0] < GROUP_S:
            first, _, count = self.used[-1]
            self.used[-1] = (first, now, count + 1)
        else:
            self.used.append((now, now, 1))

    def report(self, holder: str) -> Report:
        # Counted from the instant before the lease was requested, so no use is reported earlier than it happened.
        return Report(
            holder, [(self.granted_at + math.ceil((last - self.requested_at) * 1000), n) for _, last, n in self.used]
        )

    def lease(self, granted: Granted, *, requested_at: float, now: float) -> None:
        self.left, self.used = granted.count, []
        self.granted_at, self.requested_at = granted.at, requested_at
        self.ends = requested_at + LEASE_MS / 1000
        if not granted.count:
            self.free_at = now + granted.wait_ms / 1000
            # Leases of other processes may become free sooner.
            self.blocked_until = min(self.free_at, now + RETRY_S)


Exchange = Callable[[Report, int], Granted]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for one use of a window. `exchange(report, count)` renews the lease in the database."""

    key: tuple[str, int]
    limit: int
    exchange: Exchange


class Rates:
    """All leases of this process. Safe to share between threads; may be created before a fork."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, int], _Bucket] = {}
        self._lock = threading.Lock()
        self._holder = ""

    def take(self, asks: Sequence[Ask], clock: Clock) -> tuple[Ask, float] | None:
        """Uses one of each window and returns None.

        If a window is exhausted, uses none and returns that window's request and the seconds to wait. All
        callers must list windows in the same order: a bucket's lock is held while the next one is taken.
        """
        if not asks:
            return None
        ask = asks[0]
        bucket = self._buckets.get(ask.key) or self._bucket(ask.key, clock.monotonic())
        with bucket.lock:
            wait_s = self._wait_s(bucket, ask, clock)
            exhausted = (ask, wait_s) if wait_s else self.take(asks[1:], clock)
            if exhausted is None:
                bucket.use(clock.monotonic())
            return exhausted

    def is_news(self, ask: Ask, clock: Clock) -> bool:
        """Returns True for the first rejection in a minute, so a flood does not insert an event for each request."""
        bucket, now = self._bucket(ask.key, clock.monotonic()), clock.monotonic()
        with bucket.lock:
            if now - bucket.reported_at < MINUTE_MS / 1000:
                return False
            bucket.reported_at = now
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
        requested_at = clock.monotonic()
        is_busy = bucket.left == 0 and requested_at < bucket.requested_at + BUSY_S
        bucket.size = max(1, min(ask.limit // LEASE_PART, bucket.size * 2 if is_busy else bucket.size // 2))
        granted = ask.exchange(bucket.report(self._name()), bucket.size)
        bucket.lease(granted, requested_at=requested_at, now=clock.monotonic())

    def _name(self) -> str:
        self._holder = self._holder or f"{os.getpid()}-{secrets.token_hex(4)}"
        return self._holder

    def _bucket(self, key: tuple[str, int], now: float) -> _Bucket:
        with self._lock:
            if len(self._buckets) >= MAX_BUCKETS:
                # Leases this old have left the window in the database, too, so they need no report.
                ends = now - (MINUTE_MS + LEASE_MS) / 1000
                self._buckets = {name: one for name, one in self._buckets.items() if one.requested_at > ends}
            return self._buckets.setdefault(key, _Bucket())


def trade(window: Window, report: Report, *, count: int, limit: int) -> Granted:
    """Reports uses and leases new ones. The caller must store the window afterwards."""
    window.report(report)
    granted = window.lease(report.holder, count=count, limit=limit)
    return Granted(window.now, granted, 0 if granted else window.wait_ms(limit))


def _later(at: int, slice_ms: int) -> int:
    """Returns the end of the slice that contains `at`."""
    return -(-at // slice_ms) * slice_ms
