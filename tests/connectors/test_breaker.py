"""The breaker on a clock that the test moves."""

import pytest

from app.connectors.base import OverloadedError
from app.connectors.breaker import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker


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
        clock.at += LONGEST_PAUSE_S * 1.2
        breaker.enter()
        breaker.failed("still nothing")
        with pytest.raises(OverloadedError) as refused:
            breaker.enter()
        pauses.append(refused.value.retry_after_s)

    assert pauses[0] > FIRST_PAUSE_S * 1.2
    assert max(pauses) <= LONGEST_PAUSE_S * 1.2
