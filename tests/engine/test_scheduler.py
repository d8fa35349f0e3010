"""Which line goes next: projects in turn, then the earliest deadline; and who may send at all."""

import pytest

from app.engine.gate import Gate
from app.engine.outcomes import Words
from app.engine.run import SegmentRun
from app.engine.scheduler import Scheduler
from app.engine.shares import Pause
from tests.engine.fake_work import segment
from tests.engine.test_run import LEASE_S, FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gate(clock: FakeClock) -> Gate:
    """Permits for eight lines."""
    gate = Gate(clock)
    gate.granted(8, [])
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


def test_a_project_that_is_paused_or_may_send_one_line_leaves_the_threads_to_others(
    scheduler: Scheduler, gate: Gate, clock: FakeClock
) -> None:
    gate.granted(8, [Pause(1, False, left_s=5.0, age_s=0.0, pauses=0, words=Words())])
    add(scheduler, gate, clock, 1, project=1)
    add(scheduler, gate, clock, 2, project=2)
    assert taken(scheduler, 6) == [2, 2, 2, 2]
    clock.sleep(6)
    assert taken(scheduler, 6) == [1]  # it probes
