"""One segment in a process's hands while time passes: what may still be sent, and what is written down."""

import pytest

from app.engine.gate import Gate
from app.engine.outcomes import Line, Result
from app.engine.run import MAX_MISSES, ChunkRule, Segment, SegmentRun

LEASE_S = 10.0
RULE = ChunkRule(max_bytes=1000, max_wait_ms=500)


class FakeClock:
    """Time that passes when the test says so. The wall clock is far from the monotonic one, as it always is."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return 1_900_000_000_000 + int(self.seconds * 1000)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def run(clock: FakeClock) -> SegmentRun:
    """A segment of three lines that has just been claimed, with a minute left of its window."""
    lines = tuple(Line(number=number, custom_id=f"line-{number}", offset=0, length=10) for number in range(3))
    segment = Segment(id=1, batch_id=1, project_id=1, epoch=1, deadline_s=60.0, solo=False, lines=lines)
    return SegmentRun(segment, gate=Gate(clock), clock=clock, lease_s=LEASE_S, claimed_at=clock.monotonic())


def test_nothing_is_sent_after_the_lease_has_expired(run: SegmentRun, clock: FakeClock) -> None:
    assert run.sendable
    assert run.take() is not None
    clock.sleep(LEASE_S - 0.1)
    assert run.take() is not None
    clock.sleep(0.1)
    assert run.lost
    assert not run.sendable
    assert run.take() is None


def test_a_lease_that_is_renewed_in_time_holds(run: SegmentRun, clock: FakeClock) -> None:
    clock.sleep(LEASE_S / 2)
    run.renew(clock.monotonic() + LEASE_S)
    clock.sleep(LEASE_S - 0.1)
    assert not run.lost
    assert run.take() is not None


def test_nothing_is_sent_after_the_window_of_the_batch(run: SegmentRun, clock: FakeClock) -> None:
    run.renew(clock.monotonic() + 120)
    clock.sleep(60)
    assert not run.lost
    assert run.take() is None


def test_a_line_that_is_to_be_tried_again_waits_for_its_time(run: SegmentRun, clock: FakeClock) -> None:
    first, *_ = (run.take() for _ in range(3))
    assert first is not None
    run.give_back(first, delay_s=2.0, retried=True)
    assert run.take() is None
    clock.sleep(2.0)
    assert run.take() == first


def test_results_of_a_segment_that_is_halted_are_still_waited_for(run: SegmentRun, clock: FakeClock) -> None:
    run.halt()
    for _ in range(MAX_MISSES):
        run.restore([], [], most_s=0.5)
    assert not run.sendable
    assert not run.hopeless
    run.stop()
    assert run.hopeless


def test_results_that_could_not_be_written_are_kept_in_order(run: SegmentRun, clock: FakeClock) -> None:
    taken = [line for _ in range(3) if (line := run.take())]
    results = [Result(line=line, succeeded=True, data=b"x") for line in taken]
    run.finish(results[0])
    run.finish(results[1])
    drained, retried = run.drain()
    run.finish(results[2])
    run.restore(drained, retried, most_s=0.5)
    assert run.unwritten_bytes == 3
    assert run.drain() == (results, [])


def test_results_are_written_when_the_oldest_has_waited(run: SegmentRun, clock: FakeClock) -> None:
    line = run.take()
    assert line is not None
    run.finish(Result(line=line, succeeded=True, data=b"x"))
    assert not run.ripe(RULE)
    clock.sleep(0.5)
    assert run.ripe(RULE)
