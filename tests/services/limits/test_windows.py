"""The sliding window on its own: several processes, a clock that the tests move, a store that is a dictionary."""

import json
from bisect import bisect_left
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.limits.windows import LEASE_MS, MINUTE_MS, Ask, Granted, Rates, Report, Window, trade

START_MS = 1_800_000_000_000


class HandClock:
    def __init__(self) -> None:
        self.ms = 0.0

    def now_ms(self) -> int:
        return START_MS + int(self.ms)

    def monotonic(self) -> float:
        return self.ms / 1000


class Site:
    """Processes that share one window, and when each request was let in."""

    def __init__(self, limit: int, processes: int, *, latency_ms: float = 0.0) -> None:
        self.clock = HandClock()
        self.limit = limit
        self.latency_ms = latency_ms
        self.processes = [Rates() for _ in range(processes)]
        for number, rates in enumerate(self.processes):
            rates._holder = f"process-{number}"
        self.stored: str | None = None
        self.asked = 0
        self.let_in: list[float] = []

    def exchange(self, report: Report, count: int) -> Granted:
        """What the store does, with its way there and back."""
        self.asked += 1
        self.clock.ms += self.latency_ms
        stored: Any = None if self.stored is None else json.loads(self.stored)
        window = Window.of(stored, now=self.clock.now_ms(), span_ms=MINUTE_MS)
        granted = trade(window, report, count=count, limit=self.limit)
        self.stored = json.dumps(window.stored())
        self.clock.ms += self.latency_ms
        return granted

    def request(self, process: int) -> float | None:
        """None when it is let in, else in how many seconds to come again."""
        ask = Ask(("key", 1), self.limit, self.exchange)
        refused = self.processes[process].take([ask], self.clock)
        if refused is None:
            self.let_in.append(self.clock.ms)
        return None if refused is None else refused[1]

    def most_in_a_minute(self) -> int:
        """Of all spans of 60 seconds, how many the fullest one has."""
        return max((self._in(start, start + MINUTE_MS) for start in self.let_in), default=0)

    def least_in_a_minute(self, *, slack_ms: float, until: float) -> int:
        """Of all spans of 60 seconds and `slack_ms` before `until`, how many the emptiest one has."""
        length = MINUTE_MS + slack_ms
        starts = [0.0, *(at + 0.01 for at in self.let_in if at + length < until)]
        return min(self._in(start, start + length) for start in starts)

    def _in(self, start: float, end: float) -> int:
        return bisect_left(self.let_in, end) - bisect_left(self.let_in, start)  # they come in the order of time


@settings(max_examples=100)
@given(
    limit=st.integers(0, 12),
    latency_ms=st.sampled_from([0.0, 3.0, 700.0]),
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 7, 90, 400, 2_500, 9_999, 10_000, 31_000, 60_000, 75_000])),
        max_size=120,
    ),
)
def test_never_more_than_the_limit_in_any_minute(limit: int, latency_ms: float, steps: list[tuple[int, int]]) -> None:
    site = Site(limit, 4, latency_ms=latency_ms)
    for process, pause_ms in steps:
        site.clock.ms += pause_ms
        site.request(process)

    assert site.most_in_a_minute() <= limit


@settings(max_examples=10)
@given(
    limit=st.sampled_from([600, 1000, 2000]),
    bursts=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400), st.integers(0, 20_000)), min_size=5, max_size=25),
)
def test_never_more_when_leases_are_of_several(limit: int, bursts: list[tuple[int, int, int]]) -> None:
    site = Site(limit, 4, latency_ms=1.0)
    for process, count, pause_ms in bursts:
        site.clock.ms += pause_ms
        for _ in range(count):
            site.request(process)

    assert site.most_in_a_minute() <= limit


@pytest.mark.parametrize(("limit", "every_ms"), [(1000, 20.0), (1000, 55.0), (300, 100.0), (60, 333.0)])
def test_under_demand_nearly_all_of_the_limit_is_served(limit: int, every_ms: float) -> None:
    site = Site(limit, 4)
    until = 3 * MINUTE_MS
    number = 0
    while site.clock.ms < until:
        site.request(number * 7 % 4)
        number += 1
        site.clock.ms += every_ms

    assert site.most_in_a_minute() <= limit
    # What was used at an instant is free a minute after it; then the next request has to come.
    assert site.least_in_a_minute(slack_ms=2 * every_ms, until=until) >= 0.99 * limit


def test_a_process_that_stands_idle_keeps_little_from_the_others() -> None:
    site = Site(1000, 4)
    for process in (0, 1, 2):
        for _ in range(60):
            assert site.request(process) is None
    while site.request(3) is None:
        pass

    assert 990 <= len(site.let_in) <= 1000


def test_what_a_process_did_not_use_is_there_again_when_it_tells() -> None:
    site = Site(1000, 2)
    for _ in range(7):  # leases of 1, 2, 2, ...: one is left
        site.request(0)
    stored = json.loads(site.stored or "")
    assert stored["leases"]["process-0"][0] > 0

    site.clock.ms += LEASE_MS
    site.request(0)
    site.clock.ms += LEASE_MS
    site.request(0)

    window = Window.of(json.loads(site.stored or ""), now=site.clock.now_ms(), span_ms=MINUTE_MS)
    assert window.count == 9


def test_what_is_used_late_counts_from_when_it_was_used() -> None:
    site = Site(1000, 2)
    for _ in range(4):
        site.request(0)
    site.clock.ms = 9000
    asked = site.asked
    assert site.request(0) is None
    assert site.asked == asked  # of the lease that it has had since the beginning
    while site.request(1) is None:
        pass
    site.clock.ms = MINUTE_MS + 1
    for process in (0, 1):
        while site.request(process) is None:
            pass

    assert site.most_in_a_minute() <= 1000


def test_a_process_that_died_takes_nothing_along_for_ever() -> None:
    site = Site(3, 2)
    site.request(0)
    assert site.request(1) is None
    assert site.request(1) is None
    assert site.request(1) is not None

    site.clock.ms += MINUTE_MS + LEASE_MS

    assert [site.request(1) for _ in range(3)] == [None] * 3


@pytest.mark.parametrize("ms_before", [0, 1, 400, 59_999])
def test_who_comes_when_told_is_let_in(ms_before: int) -> None:
    site = Site(2, 2)
    assert site.request(0) is None
    site.clock.ms += ms_before
    assert site.request(0) is None
    wait_s = site.request(0)
    assert wait_s is not None

    site.clock.ms += wait_s * 1000

    assert site.request(0) is None
    assert site.request(0) is not None or ms_before == 0


def test_nobody_is_sent_away_for_longer_than_needed() -> None:
    site = Site(10, 1)
    for _ in range(10):
        site.request(0)
        site.clock.ms += 1000

    wait_s = site.request(0)

    assert wait_s == pytest.approx(50.0, abs=0.01)


def test_refusals_ask_the_store_once_a_second_at_most() -> None:
    site = Site(5, 1)
    for _ in range(5):
        site.request(0)
    asked = site.asked
    for _ in range(1000):
        site.clock.ms += 10
        site.request(0)

    assert site.asked - asked <= 12


def test_most_requests_ask_nobody_when_the_limit_is_high() -> None:
    site = Site(1_000_000, 1)
    for _ in range(50_000):
        site.clock.ms += 1
        assert site.request(0) is None

    assert site.asked < 100


def test_a_limit_that_is_lowered_or_raised_counts_at_once() -> None:
    site = Site(5000, 1)
    for _ in range(50):
        site.request(0)
    site.limit = 50
    assert site.request(0) is not None
    site.limit = 51
    assert site.request(0) is None


def test_a_window_whose_limit_refuses_leaves_the_others_as_they_were() -> None:
    wide, narrow = Site(10, 1), Site(1, 1)
    narrow.clock = wide.clock
    rates, asks = wide.processes[0], [Ask(("key", 1), 10, wide.exchange), Ask(("project", 1), 1, narrow.exchange)]
    assert rates.take(asks, wide.clock) is None

    for _ in range(20):
        refused = rates.take(asks, wide.clock)
        assert refused is not None
        assert refused[0] is asks[1]

    assert [rates.take(asks[:1], wide.clock) for _ in range(9)] == [None] * 9
    assert rates.take(asks[:1], wide.clock) is not None


def test_a_clock_that_is_set_back_blocks_nobody_for_long() -> None:
    hour = 3600 * 1000
    window = Window(START_MS + hour, MINUTE_MS, used=[(START_MS + hour, 5)], leases={"x": (1, START_MS + 2 * hour)})

    again = Window.of(window.stored(), now=START_MS, span_ms=MINUTE_MS)

    assert again.wait_ms(6) <= MINUTE_MS + LEASE_MS


def test_slices_keep_a_window_short() -> None:
    day, slice_ms = 24 * 3600 * 1000, 300_000
    stored: Any = None
    for second in range(0, 2 * 86_400, 37):
        window = Window.of(stored, now=START_MS + second * 1000, span_ms=day, slice_ms=slice_ms)
        window.use((window.now, 1))
        stored = window.stored()

    assert len(stored["used"]) <= day / slice_ms + 1
    assert sum(count for _, count in stored["used"]) == pytest.approx(86_400 / 37, rel=0.01)


def test_a_crowded_window_is_kept_coarser_and_loses_nothing() -> None:
    entries = [(START_MS + 7 * number, 1) for number in range(5000)]
    window = Window(START_MS + 35_000, MINUTE_MS, used=entries)

    again = Window.of(json.loads(json.dumps(window.stored())), now=START_MS + 35_000, span_ms=MINUTE_MS)

    assert again.count == 5000
    assert len(again.used) <= 600
    assert all(a < b for (a, _), (b, _) in pairwise(again.used))
    assert Counter(dict(again.used)).total() == 5000
