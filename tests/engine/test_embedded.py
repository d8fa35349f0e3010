"""The engine on work that needs neither store nor provider: by itself, and by hints that come again and again."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
import structlog

from app.engine.embedded import Embedded, Options
from app.engine.executor import FLUSH_THREADS
from app.engine.on_demand import OnDemand
from app.engine.outcomes import Faulted, Line, Outcome, Result, Words
from app.engine.patience import Patience
from app.engine.run import Segment
from app.engine.shares import Pause
from app.engine.work import NotWrittenError, StoreAwayError
from app.lib.clock import SystemClock
from tests.engine.fake_work import FakeWork, done, refused, segment
from tests.support.waiting import until

# Printing traces takes longer than the tests.
SILENT = structlog.wrap_logger(structlog.ReturnLogger(), processors=[])
QUICK = Patience(first_s=0.002, max_s=0.01, first_account_s=0.01, max_pause_s=0.05)


@contextmanager
def running(
    work: FakeWork, *, concurrency: int = 8, budget_bytes: int = 10**6, patience: Patience = QUICK
) -> Iterator[Embedded]:
    options = Options(
        concurrency=concurrency,
        budget_bytes=budget_bytes,
        chunk_bytes=10**6,
        chunk_ms=20,
        lease_s=5.0,
        heartbeat_s=0.05,
        poll_s=0.01,
        sweep_s=60.0,
        drain_s=5.0,
        patience=patience,
    )

    def make() -> Embedded:
        return Embedded(work, options, clock=SystemClock(), log=SILENT)

    with DRIVERS[_driver.get()](make) as engine:
        yield engine


@contextmanager
def _by_itself(make: Callable[[], Embedded]) -> Iterator[Embedded]:
    engine = make()
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        yield engine
    finally:
        engine.stop()
        thread.join(20)
    assert not thread.is_alive()


@contextmanager
def _by_hints(make: Callable[[], Embedded]) -> Iterator[Embedded]:
    """Tasks that are far shorter than the work, two at a time, as a broker delivers them."""
    made: list[Embedded] = []

    def note(_part: str) -> Embedded:
        made.append(make())
        return made[-1]

    engines, over = OnDemand(note, clock=SystemClock(), linger_s=1.0), threading.Event()

    def take_hints() -> None:
        while not over.is_set():
            engines.work("lines", for_s=0.05)

    threads = [threading.Thread(target=take_hints) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: made)
    try:
        yield made[0]
    finally:
        over.set()
        engines.close()
        for thread in threads:
            thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


DRIVERS: dict[str, Any] = {"embedded": _by_itself, "on demand": _by_hints}
_driver: ContextVar[str] = ContextVar("driver")


@pytest.fixture(params=DRIVERS, autouse=True)
def driver(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test runs once for each way to learn of work."""
    token = _driver.set(request.param)
    yield
    _driver.reset(token)


def numbers(work: FakeWork) -> list[int]:
    return sorted(result.line.number for result in work.flushed)


def test_every_line_of_every_segment_ends_once() -> None:
    work = FakeWork([segment(1, 40), segment(2, 40)], lambda line, attempt: done(line))
    with running(work):
        until(lambda: work.released == [1, 2] or work.released == [2, 1])
    assert numbers(work) == [*range(1000, 1040), *range(2000, 2040)]
    assert len(work.sent) == 80


def test_the_ceiling_holds() -> None:
    gate = threading.Barrier(3)

    def wait_for_two_others(line: Line, attempt: int) -> Outcome:
        gate.wait(20)
        return done(line)

    work = FakeWork([segment(1, 30)], wait_for_two_others, ceiling=3)
    with running(work):
        until(lambda: work.released)
    assert work.most_out == 3
    assert len(work.flushed) == 30


def test_a_large_segment_of_one_project_does_not_keep_out_another() -> None:
    def answer(line: Line, attempt: int) -> Outcome:
        if line.number < 2000:  # sent before the large segment is done
            until(lambda: all(waiting.id != 2 for waiting in work.open))
        return done(line)

    work = FakeWork([segment(1, 400), segment(2, 4, project=2)], answer, ceiling=4)
    with running(work, concurrency=4):
        until(lambda: sorted(work.released) == [1, 2])
    assert all(result.succeeded for result in work.flushed)


def test_an_overloaded_line_is_sent_again_and_nothing_counts_against_it() -> None:
    work = FakeWork([segment(1, 1)], lambda line, n: refused(line, 0.01) if n < 7 else done(line))
    with running(work):
        until(lambda: work.flushed)
    assert work.flushed[0].succeeded
    assert work.flushed[0].line.attempts == 1


def test_a_fault_is_retried_as_often_as_its_kind_allows() -> None:
    def fault(line: Line, attempt: int) -> Outcome:
        return Faulted(max_attempts=2, result=replace(done(line), succeeded=False), cost_unknown=True)

    work = FakeWork([segment(1, 1)], fault)
    with running(work):
        until(lambda: work.flushed)
    ended = work.flushed[0]
    assert not ended.succeeded
    assert (ended.line.attempts, ended.line.unknown_attempts) == (2, 2)
    assert [(line.attempts, line.unknown_attempts) for line in work.retried] == [(1, 1)]  # kept before the next try


def test_lines_of_an_ended_batch_are_not_sent_any_more() -> None:
    released = threading.Event()

    def hold(line: Line, attempt: int) -> Outcome:
        released.wait(20)
        return done(line)

    work = FakeWork([segment(1, 50)], hold, ceiling=2)
    with running(work) as engine:
        until(lambda: work.out == 2)
        work.over.add(1)
        until(lambda: engine._scheduler.runs()[0].waiting == 0)
        released.set()
        until(lambda: work.released)
    assert len(work.flushed) == len(work.sent) == 2


def test_results_of_a_lost_segment_are_dropped() -> None:
    work = FakeWork([segment(1, 4)], lambda line, attempt: done(line))
    work.refuse_flush = True
    with running(work) as engine:
        until(lambda: len(work.sent) == 4)
        until(lambda: not engine._scheduler.runs())
    assert work.flushed == []
    assert work.released == []


@pytest.mark.parametrize("error", [StoreAwayError("away"), ValueError("a NUL"), NotWrittenError([])], ids=repr)
def test_segments_whose_results_are_not_written_hold_no_thread_and_send_nothing_again(error: Exception) -> None:
    bad = range(1, FLUSH_THREADS + 3)
    work = FakeWork([*(segment(number, 2) for number in bad), segment(99, 2)], lambda line, attempt: done(line))
    work.flush_errors = dict.fromkeys(bad, error)
    with running(work):
        until(lambda: 99 in work.released)
        if not isinstance(error, NotWrittenError):  # that one says what is left: nothing
            until(lambda: all(work.flushes.count(number) > 1 for number in bad))
            work.flush_errors.clear()
        until(lambda: len(work.released) == len(bad) + 1)
    assert len(work.sent) == len(set(work.sent)) == 2 * (len(bad) + 1)
    if not isinstance(error, NotWrittenError):
        assert len(work.flushed) == len(work.sent)


def test_results_that_cannot_be_written_do_not_outlive_their_batch() -> None:
    work = FakeWork([segment(1, 2, deadline_s=0.5)], lambda line, attempt: done(line))
    work.flush_errors[1] = ValueError("a NUL")
    with running(work) as engine:
        until(lambda: work.flushes)
        until(lambda: not engine._scheduler.runs())
    assert len(work.sent) == 2
    assert work.flushed == work.released == []


def test_a_line_whose_end_cannot_be_written_down_ends_no_thread() -> None:
    class Broken(FakeWork):
        def broken(self, segment: Segment, line: Line) -> Result:
            raise RuntimeError("no batch")

    def fail(line: Line, attempt: int) -> Outcome:
        if line.number < 1010:
            raise RuntimeError("a bug")
        return done(line)

    work = Broken([segment(1, 30)], fail, ceiling=2)
    with running(work, concurrency=2):
        until(lambda: len(work.flushed) == 20)


def test_a_segment_that_killed_workers_runs_one_line_at_a_time() -> None:
    work = FakeWork([segment(1, 12, solo=True)], lambda line, attempt: done(line))
    with running(work):
        until(lambda: work.released)
    assert work.most_out == 1
    assert work.probed == list(range(1000, 1012))


def test_a_fault_of_our_own_ends_only_its_line() -> None:
    def break_one(line: Line, attempt: int) -> Outcome:
        if line.number == 1003:
            raise ZeroDivisionError("a bug")
        return done(line)

    work = FakeWork([segment(1, 6)], break_one)
    with running(work):
        until(lambda: work.released)
    assert [result.line.number for result in work.flushed if not result.succeeded] == [1003]


def test_a_line_whose_fault_cannot_be_written_down_is_tried_again() -> None:
    def break_twice(line: Line, attempt: int) -> Outcome:
        if attempt < 3:
            raise ZeroDivisionError("a bug")
        return done(line)

    class Away(FakeWork):
        def broken(self, segment: Segment, line: Line) -> Result:
            raise StoreAwayError("no database")

    work = Away([segment(1, 6)], break_twice)
    with running(work):
        until(lambda: work.released)
    assert numbers(work) == list(range(1000, 1006))
    assert all(result.succeeded for result in work.flushed)


def test_results_that_wait_to_be_written_count_towards_the_byte_budget() -> None:
    work = FakeWork([segment(1, 6)], lambda line, attempt: replace(done(line), data=b"x" * 1000))
    seen: list[int] = []
    flush = work.flush

    def counted(segment: Segment, results: Sequence[Result], retried: Sequence[Line], *, last: bool) -> bool:
        seen.append(len(results))
        return flush(segment, results, retried, last=last)

    work.flush = counted  # type: ignore[method-assign]
    with running(work, budget_bytes=1000):
        until(lambda: work.released)
    assert max(seen) <= 2
    assert len(work.flushed) == 6


def test_the_byte_budget_bounds_what_is_out_but_never_blocks_a_large_line() -> None:
    lines = tuple(Line(n, f"c{n}", offset=0, length=1000) for n in range(1, 9))
    work = FakeWork([replace(segment(1, 0), lines=lines)], lambda line, attempt: done(line))
    with running(work, budget_bytes=100):
        until(lambda: work.released)
    assert work.most_out == 1
    assert len(work.flushed) == 8


def test_a_line_that_is_always_refused_ends_with_its_refusal_while_the_others_go_on() -> None:
    """The hostile project has more such lines than the worker has threads, and more segments than it may hold."""
    hostile = [segment(number, 4, project=1) for number in range(1, 41)]
    good = segment(50, 200, project=2)

    def answer(line: Line, attempt: int) -> Outcome:
        return refused(line, 86_400.0) if line.number < 50_000 else done(line)

    work = FakeWork([*hostile, good], answer)
    with running(work, patience=replace(QUICK, max_alone=3, max_refused_s=60)):
        until(lambda: sum(result.succeeded for result in work.flushed) == 200)
        assert all(len(signals.pauses) <= 2 for signals in work.signals)
        assert {pause.project_id for signals in work.signals for pause in signals.pauses} <= {1}
    assert all(work.sent.count(number) == 1 for number in range(50_000, 50_200))


def test_a_refused_line_ends_with_the_answer_that_it_got() -> None:
    work = FakeWork([segment(1, 3)], lambda line, attempt: refused(line) if line.number == 1001 else done(line))
    with running(work, patience=replace(QUICK, max_refused_s=0.2)):
        until(lambda: work.released)
    (ended,) = [result for result in work.flushed if not result.succeeded]
    assert (ended.line.number, ended.status_code, ended.line.attempts) == (1001, 429, 0)
    assert ended.line.refused is not None
    assert ended.line.refused.times == work.sent.count(1001) > 1


def test_lines_end_unsent_once_nothing_was_answered_for_as_long_as_a_line_is_tried() -> None:
    work = FakeWork([replace(segment(1, 30), age_s=100.0)], lambda line, attempt: refused(line))
    work.pauses = [Pause(None, True, 60.0, 100.0, 3, Words("account", 429, "insufficient_quota", "Paid?"))]
    with running(work, patience=replace(QUICK, max_refused_s=50)):
        until(lambda: work.released)
    assert work.sent == []
    assert {result.error_code for result in work.flushed} == {"insufficient_quota"}


def test_a_call_that_is_out_is_cut_when_its_batch_ends_and_the_attempt_counts() -> None:
    mine, peer = socket.socketpair()

    def hang(line: Line, attempt: int) -> Outcome:
        work.cuts[line.number].use(mine)
        assert mine.recv(1) == b""  # the peer says nothing
        return Faulted(max_attempts=1, result=replace(done(line), succeeded=False), cost_unknown=True)

    work = FakeWork([segment(1, 1)], hang)
    with mine, peer, running(work):
        until(lambda: work.out == 1)
        work.over.add(1)
        until(lambda: work.released)
    assert work.flushed == []  # the line ends with its batch
    assert [(line.attempts, line.unknown_attempts) for line in work.retried] == [(1, 1)]


def test_a_call_that_is_out_comes_to_its_end_while_its_segment_is_halted() -> None:
    mine, peer = socket.socketpair()

    def answer(line: Line, attempt: int) -> Outcome:
        work.cuts[line.number].use(mine)
        return replace(done(line), succeeded=mine.recv(1) == b"x")

    work = FakeWork([segment(1, 5)], answer, ceiling=1)
    with mine, peer, running(work) as engine:
        until(lambda: work.out == 1)
        work.halted.add(1)
        until(lambda: not engine._scheduler.runs()[0].sendable)
        peer.sendall(b"x")
        until(lambda: work.released)
    assert [result.succeeded for result in work.flushed] == [True]
    assert len(work.sent) == 1


def test_a_line_that_runs_for_long_or_waits_to_be_tried_again_is_recorded_and_then_no_longer() -> None:
    answers = threading.Event()

    def answer(line: Line, attempt: int) -> Outcome:
        if line.number == 1000:
            answers.wait(20)
        elif line.number == 1001 and not answers.is_set():
            return refused(line, 1.5)
        return done(line)

    work = FakeWork([segment(1, 3)], answer)
    with running(work, patience=replace(QUICK, max_pause_s=2.0)):
        until(lambda: {wait.state for wait in work.waits.values()} == {"running", "retry"})
        assert work.waits[1000].age_s >= 1
        assert work.waits[1001].words is not None
        assert work.waits[1001].words.message == "Slow down."
        answers.set()
        until(lambda: work.released)
        assert work.waits == {}
