"""The breaker on a clock that the test moves."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.connectors.contract.errors import OverloadedError
from app.connectors.http.breaker import FAILURES, FIRST_PAUSE_S, MAX_PAUSE_S, Breaker


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at

    def now_ms(self) -> int:
        return int(self.at * 1000)


def opened(clock: HandClock) -> Breaker:
    breaker = Breaker(clock=clock)
    for _ in range(FAILURES):
        breaker.enter()
        breaker.failed("no answer")
    return breaker


def test_it_opens_after_failures_in_a_row_and_tells_why_and_how_long():
    breaker = opened(HandClock())

    with pytest.raises(OverloadedError, match="no answer") as refused:
        breaker.enter()

    assert breaker.state == "open"
    assert refused.value.code == "circuit_open"
    assert refused.value.sent is False
    assert 0 < refused.value.retry_after_s <= FIRST_PAUSE_S * 1.2


def test_a_success_between_failures_keeps_it_closed():
    breaker = Breaker(clock=HandClock())
    for _ in range(3 * FAILURES):
        breaker.enter()
        breaker.failed("no answer")
        breaker.succeeded()

    assert breaker.state == "closed"


def test_half_open_lets_one_call_through_and_its_success_closes():
    clock = HandClock()
    breaker = opened(clock)
    clock.at += FIRST_PAUSE_S * 1.2

    assert breaker.state == "half_open"
    breaker.enter()
    with pytest.raises(OverloadedError):
        breaker.enter()
    breaker.succeeded()

    assert breaker.state == "closed"
    breaker.enter()
    breaker.failed("once")
    assert breaker.state == "closed"


def test_a_failed_probe_opens_it_for_longer_up_to_a_limit():
    clock = HandClock()
    breaker = opened(clock)
    pauses = []
    for _ in range(10):
        clock.at += MAX_PAUSE_S * 1.2
        breaker.enter()
        breaker.failed("still nothing")
        with pytest.raises(OverloadedError) as refused:
            breaker.enter()
        pauses.append(refused.value.retry_after_s)

    assert pauses[0] > FIRST_PAUSE_S * 1.2
    assert max(pauses) <= MAX_PAUSE_S * 1.2


def elsewhere(call: Callable[[], object]) -> None:
    """In another thread."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_an_outage_of_days_does_not_break_the_breaker():
    clock = HandClock()
    breaker = opened(clock)
    for _ in range(2000):
        clock.at += MAX_PAUSE_S * 1.2
        breaker.enter()
        breaker.failed("still nothing")

    clock.at += MAX_PAUSE_S * 1.2
    assert breaker.enter()
    breaker.succeeded()
    assert breaker.state == "closed"


def test_a_probe_that_ends_for_a_reason_of_our_own_leaves_room_for_another():
    clock = HandClock()
    breaker = opened(clock)
    clock.at += FIRST_PAUSE_S * 1.2
    breaker.enter()
    breaker.left()

    assert breaker.state == "half_open"
    assert breaker.enter()


def test_what_ends_for_a_reason_of_our_own_is_no_failure():
    breaker = Breaker(clock=HandClock())
    for _ in range(2 * FAILURES):
        breaker.enter()
        breaker.left()

    assert breaker.state == "closed"


def test_calls_from_before_it_opened_decide_nothing():
    clock = HandClock()
    breaker = opened(clock)
    elsewhere(breaker.succeeded)
    assert breaker.state == "open"

    clock.at += FIRST_PAUSE_S * 1.2
    breaker.enter()
    elsewhere(lambda: breaker.failed("long ago"))
    elsewhere(breaker.succeeded)
    assert breaker.state == "half_open"
    breaker.succeeded()
    assert breaker.state == "closed"


def test_of_many_threads_one_probes():
    clock = HandClock()
    breaker = opened(clock)
    clock.at += FIRST_PAUSE_S * 1.2
    together = threading.Barrier(16)

    def enter(_: int) -> bool:
        together.wait()
        try:
            return breaker.enter()
        except OverloadedError:
            return False

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(enter, range(16))) == 1
