"""Who may send after refusals: a line answers for itself first, then its project, and the account last."""

import threading
from dataclasses import replace

import pytest

from app.engine.gate import Gate, Permit
from app.engine.outcomes import Line, Words
from app.engine.patience import Patience
from app.engine.shares import Pause
from tests.engine.fake_work import refused as refusal
from tests.engine.test_run import FakeClock
from tests.support.waiting import until

BAD, GOOD, THIRD = 1, 2, 3
PATIENCE = Patience(max_alone=4, max_refused_s=1000.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def gate(clock: FakeClock) -> Gate:
    """Permits for eight lines."""
    gate = Gate(clock, PATIENCE)
    gate.granted(8, [])
    return gate


def line(number: int) -> Line:
    return Line(number, f"c{number}", offset=0, length=10)


def sends(gate: Gate, project: int) -> Permit | None:
    return gate.enter(project, timeout_s=0)


def refuse(
    gate: Gate, project: int, sent: Line, *, after_s: float | None = None, kind: str = "busy"
) -> tuple[Line, float]:
    """Send a line, and have it refused."""
    permit = sends(gate, project)
    assert permit is not None
    gate.leave(permit)
    return gate.refused(permit, sent, (project, sent.number), refusal(sent, after_s, kind=kind))


def answer(gate: Gate, project: int) -> None:
    permit = sends(gate, project)
    assert permit is not None
    gate.leave(permit)
    gate.answered(permit)


def may_send(gate: Gate, project: int) -> bool:
    permit = sends(gate, project)
    if permit is not None:
        gate.leave(permit)
    return permit is not None


def report(gate: Gate, clock: FakeClock) -> None:
    """Tell the store what happened, which tells every process."""
    signals = gate.drain_signals()
    gate.granted(8, [Pause(p.project_id, p.whole_account, p.pause_s, 0.0, 0, p.words) for p in signals.pauses])


def test_one_refused_line_pauses_nobody_whatever_it_is_asked_to_wait(gate: Gate) -> None:
    _, delay_s = refuse(gate, BAD, line(1), after_s=86_400.0)
    assert delay_s == PATIENCE.max_pause_s
    assert may_send(gate, BAD)
    assert may_send(gate, GOOD)
    assert not gate.has_news


def test_a_line_waits_longer_each_time_up_to_a_minute(gate: Gate, clock: FakeClock) -> None:
    sent, delays = line(1), []
    for _ in range(14):
        sent, delay_s = refuse(gate, BAD, sent)
        delays.append(delay_s)
        clock.sleep(delay_s)
    assert delays[0] <= PATIENCE.first_s
    assert delays[5] > 8 * delays[0]
    assert max(delays) <= PATIENCE.max_s


def test_refused_lines_in_a_row_pause_their_project_and_no_other(gate: Gate, clock: FakeClock) -> None:
    refuse(gate, BAD, line(1))
    refuse(gate, BAD, line(2), after_s=5.0)
    assert not may_send(gate, BAD)
    assert all(may_send(gate, GOOD) for _ in range(8))
    assert gate.room_for(BAD) == 0
    assert gate.room_for(GOOD) == gate.room
    signals = gate.drain_signals()
    assert [(pause.project_id, pause.pause_s) for pause in signals.pauses] == [(BAD, 5.0)]
    assert signals.overloads == 0


def test_after_a_pause_one_line_probes_and_its_answer_lets_the_others_go(gate: Gate, clock: FakeClock) -> None:
    refuse(gate, BAD, line(1))
    refuse(gate, BAD, line(2), after_s=5.0)
    report(gate, clock)
    clock.sleep(5.1)
    probe = sends(gate, BAD)
    assert probe is not None
    assert sends(gate, BAD) is None
    assert gate.room_for(BAD) == 1
    gate.leave(probe)
    gate.answered(probe)
    assert gate.drain_signals().lifted == ((BAD, False),)
    assert gate.room_for(BAD) > 1


def test_a_refused_probe_pauses_longer_each_time_but_never_for_more_than_minutes(gate: Gate, clock: FakeClock) -> None:
    refuse(gate, BAD, line(1))
    refuse(gate, BAD, line(2))
    lasting = []
    for number in range(3, 20):
        (pause,) = gate.drain_signals().pauses
        lasting.append(pause.pause_s)
        clock.sleep(pause.pause_s + 0.01)
        refuse(gate, BAD, line(number), after_s=86_400.0 if number == 19 else None)
    assert lasting[:10] == sorted(set(lasting[:10]))
    assert max(lasting) == PATIENCE.max_pause_s


def test_a_project_that_is_refused_sends_fewer_lines_at_once(gate: Gate, clock: FakeClock) -> None:
    out = [permit for permit in (sends(gate, BAD) for _ in range(8)) if permit]
    for number, permit in enumerate(out):
        gate.leave(permit)
        if number % 2:
            gate.answered(permit)
        else:
            gate.refused(permit, line(number), (BAD, number), refusal(line(number)))
    assert 1 <= gate.room_for(BAD) < 8
    assert gate.room_for(GOOD) == gate.room
    for _ in range(60):
        answer(gate, BAD)
    assert gate.room_for(BAD) == gate.room


def test_all_pause_only_when_every_active_project_is_refused(gate: Gate, clock: FakeClock) -> None:
    for project in (BAD, GOOD):
        refuse(gate, project, line(1))
        refuse(gate, project, line(2), after_s=5.0)
    signals = gate.drain_signals()
    assert {pause.project_id for pause in signals.pauses} == {BAD, GOOD, None}
    assert signals.overloads > 0


def test_a_project_that_gets_answers_keeps_all_from_being_paused(gate: Gate, clock: FakeClock) -> None:
    for number in range(40):
        answer(gate, GOOD)
        clock.sleep(1)
        for project in (BAD, THIRD):
            if may_send(gate, project):
                refuse(gate, project, line(number), after_s=5.0)
    signals = gate.drain_signals()
    assert None not in {pause.project_id for pause in signals.pauses}
    assert signals.overloads == 0


def test_spent_quota_pauses_the_account_and_a_project_that_comes_later_may_look(gate: Gate, clock: FakeClock) -> None:
    refuse(gate, BAD, line(1), kind="account")
    assert not gate.has_news
    refuse(gate, BAD, line(2), kind="account")
    assert {(p.project_id, p.whole_account) for p in gate.drain_signals().pauses} == {(BAD, False), (None, True)}
    assert not may_send(gate, BAD)
    look = sends(gate, GOOD)  # it was not refused itself
    assert look is not None
    assert sends(gate, GOOD) is None
    gate.leave(look)
    gate.answered(look)
    assert (None, True) in gate.drain_signals().lifted
    assert all(may_send(gate, GOOD) for _ in range(8))
    assert not may_send(gate, BAD)


def test_a_project_that_looked_and_was_refused_waits_too(gate: Gate, clock: FakeClock) -> None:
    refuse(gate, BAD, line(1), kind="account")
    refuse(gate, BAD, line(2), kind="account")
    refuse(gate, GOOD, line(3), kind="account")
    assert not may_send(gate, GOOD)
    assert may_send(gate, THIRD)


def test_what_the_store_no_longer_has_is_over(gate: Gate, clock: FakeClock) -> None:
    refuse(gate, BAD, line(1))
    refuse(gate, BAD, line(2), after_s=50.0)
    report(gate, clock)
    assert not may_send(gate, BAD)
    gate.granted(8, [])  # an operator cleared it
    assert may_send(gate, BAD)


def test_a_pause_that_another_process_found_holds_here(gate: Gate, clock: FakeClock) -> None:
    gate.granted(8, [Pause(None, False, left_s=3.0, age_s=9.0, pauses=2, words=Words())])
    look = sends(gate, GOOD)
    assert look is not None
    assert sends(gate, GOOD) is None
    gate.leave(look)
    gate.refused(look, line(1), (GOOD, 1), refusal(line(1)))
    assert not may_send(gate, GOOD)


def test_a_line_that_is_refused_while_others_are_answered_is_given_up(gate: Gate, clock: FakeClock) -> None:
    sent = line(1)
    sent, _ = refuse(gate, BAD, sent)
    for _ in range(PATIENCE.max_alone):
        assert not gate.gives_up(sent)
        clock.sleep(61)
        answer(gate, GOOD)
        sent, _ = refuse(gate, BAD, sent)
    assert gate.gives_up(sent)
    assert not gate.has_news  # it paused nobody
    assert gate.room_for(BAD) == gate.room


def test_overload_is_not_held_against_a_line(gate: Gate, clock: FakeClock) -> None:
    sent = line(1)
    for number in range(2, 3 * PATIENCE.max_alone):
        clock.sleep(400)
        sent, _ = refuse(gate, BAD, sent)
        clock.sleep(400)
        refuse(gate, BAD, line(number))  # others are refused as well
        clock.sleep(400)
        answer(gate, BAD)
        sent = replace(sent, refused=replace(sent.refused, since=clock.monotonic())) if sent.refused else sent
    assert not gate.gives_up(sent)


def test_a_line_that_is_refused_for_too_long_is_given_up_though_nobody_is_answered(
    gate: Gate, clock: FakeClock
) -> None:
    sent, _ = refuse(gate, BAD, line(1))
    clock.sleep(PATIENCE.max_refused_s - 1)
    sent, _ = refuse(gate, BAD, sent)
    assert not gate.gives_up(sent)
    clock.sleep(2)
    sent, _ = refuse(gate, BAD, sent)
    assert gate.gives_up(sent)


def test_lines_are_no_longer_sent_when_none_was_answered_for_as_long_as_their_batch_ran(
    gate: Gate, clock: FakeClock
) -> None:
    age_s = PATIENCE.max_refused_s
    gate.granted(8, [Pause(None, True, left_s=60.0, age_s=age_s, pauses=9, words=Words("account", 429, "q", "Paid?"))])
    assert gate.hopeless(GOOD, age_s=age_s - 1) is None
    words = gate.hopeless(GOOD, age_s=age_s)
    assert words is not None
    assert words.message == "Paid?"
    assert gate.room_for(GOOD, age_s=age_s) == gate.room


def test_a_hanging_line_does_not_keep_a_probe_from_going(gate: Gate, clock: FakeClock) -> None:
    assert sends(gate, BAD) is not None  # and is never answered
    refuse(gate, BAD, line(1))
    refuse(gate, BAD, line(2))
    clock.sleep(1)
    assert sends(gate, BAD) is not None


def test_of_several_projects_one_that_hangs_leaves_permits_to_the_others(gate: Gate, clock: FakeClock) -> None:
    gate.granted(8, [], is_shared=True)
    assert [bool(sends(gate, BAD)) for _ in range(6)] == [True] * 4 + [False] * 2
    assert gate.holds_back(BAD)
    clock.sleep(60)
    assert sends(gate, BAD) is None
    assert gate.room_for(BAD) == 4
    assert all(sends(gate, GOOD) for _ in range(4))


def test_a_project_that_is_answered_has_all_permits_until_its_lines_hang(gate: Gate, clock: FakeClock) -> None:
    gate.granted(8, [], is_shared=True)
    answer(gate, BAD)
    assert gate.room_for(BAD) == gate.room
    hanging = [sends(gate, BAD) for _ in range(3)]
    assert all(hanging)
    clock.sleep(6)
    answer(gate, BAD)  # others of its lines are answered still
    assert [bool(sends(gate, BAD)) for _ in range(3)] == [True, False, False]
    for permit in hanging:
        assert permit is not None
        gate.leave(permit)
    answer(gate, BAD)
    assert not gate.holds_back(BAD)


def test_a_project_alone_has_all_permits(gate: Gate) -> None:
    assert all(sends(gate, BAD) for _ in range(8))
    assert sends(gate, BAD) is None
    assert not gate.holds_back(BAD)


def test_a_changed_account_ends_what_its_credential_of_before_was_refused_for(gate: Gate, clock: FakeClock) -> None:
    gate.granted(8, [], version=1)
    permits = [sends(gate, BAD) for _ in range(4)]
    for number, permit in enumerate(permits):
        assert permit is not None
        gate.leave(permit)
        said = refusal(line(number), kind="credential")
        gate.refused(permit, line(number), (BAD, number), replace(said, words=replace(said.words, version=1)))
    assert not may_send(gate, BAD)
    gate.granted(8, [], version=1)  # the pause is not written yet
    assert not may_send(gate, BAD)
    clock.seconds += 1
    before = gate.resumed_at
    gate.granted(8, [], version=2)
    assert gate.resumed_at > before
    assert may_send(gate, BAD)


def test_a_thread_that_returns_a_permit_goes_behind_those_that_wait(gate: Gate) -> None:
    """It holds the lock before they wake up: a large project would keep out the only line of another."""
    gate.granted(1, [], is_shared=True)
    held, got = sends(gate, BAD), []
    waiting = threading.Thread(target=lambda: got.append(gate.enter(GOOD, timeout_s=20)), daemon=True)
    waiting.start()
    until(lambda: gate._waiters)
    assert held is not None
    gate.leave(held)
    assert sends(gate, BAD) is None
    waiting.join(20)
    assert got[0] is not None
    gate.leave(got[0])
    assert sends(gate, BAD) is not None


def test_one_that_waits_and_may_not_go_keeps_back_nobody(gate: Gate, clock: FakeClock) -> None:
    refuse(gate, BAD, line(1))
    refuse(gate, BAD, line(2), after_s=5.0)
    waiting = threading.Thread(target=gate.enter, args=(BAD,), kwargs={"timeout_s": 20}, daemon=True)
    waiting.start()
    until(lambda: gate._waiters)
    assert [sends(gate, GOOD) is not None for _ in range(9)] == [True] * 8 + [False]
    clock.sleep(30)
    gate.granted(9, [])
    waiting.join(20)
    assert not waiting.is_alive()
