"""Which line goes next: projects in turn, then the earliest deadline; and who may send at all."""

import threading

import pytest

from app.engine.gate import Gate
from app.engine.outcomes import Words
from app.engine.run import SegmentRun
from app.engine.scheduler import Scheduler
from app.engine.shares import Pause
from tests.engine.fake_work import done, segment
from tests.engine.test_run import LEASE_S, FakeClock
from tests.support.waiting import until


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


class Waiting:
    """Threads that wait for a line, each for one."""

    def __init__(self, scheduler: Scheduler, number: int) -> None:
        self.scheduler = scheduler
        self.found: list[int] = []
        self.threads = [threading.Thread(target=self._wait, daemon=True) for _ in range(number)]
        for thread in self.threads:
            thread.start()
        until(lambda: len(scheduler._changed._waiters) == number)  # type: ignore[attr-defined]

    def _wait(self) -> None:
        while not self.scheduler.closed:
            taken = self.scheduler.take(timeout_s=60)
            if taken is not None:
                self.found.append(taken[0].segment.id)
                return


def test_each_thread_that_finds_a_line_wakes_the_next(scheduler: Scheduler, gate: Gate, clock: FakeClock) -> None:
    waiting = Waiting(scheduler, 6)
    add(scheduler, gate, clock, 1, project=1)
    until(lambda: waiting.found == [1, 1, 1, 1])
    assert sum(thread.is_alive() for thread in waiting.threads) == 2
    add(scheduler, gate, clock, 2, project=2)
    until(lambda: waiting.found == [1, 1, 1, 1, 2, 2])


def test_a_line_is_found_when_its_time_to_wait_is_over(scheduler: Scheduler, gate: Gate, clock: FakeClock) -> None:
    add(scheduler, gate, clock, 1, project=1)
    held = [scheduler.take(timeout_s=0) or pytest.fail("no line") for _ in range(4)]
    waiting = Waiting(scheduler, 3)
    for run, line in held[:2]:
        run.give_back(line, delay_s=5.0)
        scheduler.done(run, line)
    until(lambda: len(scheduler._changed._waiters) == 3)  # type: ignore[attr-defined]
    clock.sleep(6)
    until(lambda: waiting.found == [1, 1])


def test_a_thread_that_is_done_goes_on_itself(scheduler: Scheduler, gate: Gate, clock: FakeClock) -> None:
    gate.granted(1, [])
    add(scheduler, gate, clock, 1, project=1)
    add(scheduler, gate, clock, 2, project=1)
    sent = []
    for _ in range(gate.room):
        held = scheduler.take(timeout_s=0) or pytest.fail("no line")
    while held is not None:
        run, line = held
        sent.append(line.number)
        run.finish(done(line))
        held = scheduler.swap(run, line, timeout_s=0)
    assert sent == [2000, 2001, 2002, 2003]


def test_a_project_may_use_what_it_frees_while_the_thread_goes_on_with_another(gate: Gate, clock: FakeClock) -> None:
    scheduler = Scheduler(budget_bytes=10_000, most_per_project=1)
    add(scheduler, gate, clock, 1, project=1)
    held = scheduler.take(timeout_s=0) or pytest.fail("no line")
    waiting = Waiting(scheduler, 2)
    add(scheduler, gate, clock, 2, project=2)
    until(lambda: waiting.found == [2])
    held[0].finish(done(held[1]))
    scheduler.done(*held)
    until(lambda: waiting.found == [2, 1])


def test_closing_wakes_all(scheduler: Scheduler) -> None:
    waiting = Waiting(scheduler, 5)
    scheduler.close()
    until(lambda: not any(thread.is_alive() for thread in waiting.threads))
