"""Which line goes next: projects in turn, then the earliest deadline; and who may send at all."""

import pytest

from app.engine.gate import Gate
from app.engine.run import SegmentRun
from app.engine.scheduler import Scheduler
from tests.engine.fake_work import segment
from tests.engine.test_run import LEASE_S, FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gate(clock: FakeClock) -> Gate:
    """Permits for eight lines."""
    gate = Gate(clock)
    gate.granted(8, pause_s=0)
    return gate


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(budget_bytes=10_000)


def add(
    scheduler: Scheduler, gate: Gate, clock: FakeClock, number: int, *, project: int, deadline_s: float = 60.0
) -> None:
    """A segment of four lines that may run."""
    held = segment(number, 4, project=project, deadline_s=deadline_s)
    scheduler.add(SegmentRun(held, gate=gate, clock=clock, lease_s=LEASE_S, claimed_at=clock.monotonic()))


def taken(scheduler: Scheduler, number: int) -> list[int]:
    """The segments that the next lines are of."""
    found = [scheduler.take(timeout_s=0) for _ in range(number)]
    return [run.segment.id for run, _ in filter(None, found)]


def test_projects_take_turns_whatever_their_deadlines(scheduler: Scheduler, gate: Gate, clock: FakeClock) -> None:
    add(scheduler, gate, clock, 1, project=1, deadline_s=10)
    add(scheduler, gate, clock, 2, project=1, deadline_s=20)
    add(scheduler, gate, clock, 3, project=2, deadline_s=90)
    assert sorted(taken(scheduler, 2)) == [1, 3]
    assert sorted(taken(scheduler, 2)) == [1, 3]


def test_within_a_project_the_earliest_deadline_goes_first(scheduler: Scheduler, gate: Gate, clock: FakeClock) -> None:
    add(scheduler, gate, clock, 1, project=1, deadline_s=90)
    add(scheduler, gate, clock, 2, project=1, deadline_s=10)
    assert taken(scheduler, 6) == [2, 2, 2, 2, 1, 1]


def test_a_pause_lasts_as_long_as_the_longest_that_was_asked_for(gate: Gate, clock: FakeClock) -> None:
    gate.overloaded(5.0)
    gate.overloaded(2.0)
    clock.sleep(4.9)
    assert not gate.enter(timeout_s=0)
    gate.granted(8, pause_s=1.0)  # another process was told to wait
    clock.sleep(0.2)
    assert not gate.enter(timeout_s=0)
    clock.sleep(0.9)
    assert gate.enter(timeout_s=0)


def test_an_overload_that_says_nothing_pauses_longer_each_time(gate: Gate, clock: FakeClock) -> None:
    pauses = []
    for _ in range(3):
        gate.overloaded(None)
        pauses.append(gate.paused_s())
        clock.sleep(gate.paused_s())
    assert pauses == sorted(set(pauses))
    gate.succeeded()
    gate.overloaded(None)
    assert gate.paused_s() == pytest.approx(pauses[0])
