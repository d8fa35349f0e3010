"""One ceiling, one learnt limit and the same pauses for any number of worker processes."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from app.data.tables import account_capacity, capacity_permits, pauses
from app.engine.gate import Signals
from app.engine.outcomes import Words
from app.engine.shares import NewPause
from app.engine.work import Capacity, Grant
from app.services.access import keys, projects
from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from app.services.upkeep import sweep

QUIET = Signals(successes=0, overloads=0)
QUOTA = Words("account", 429, "insufficient_quota", "You exceeded your current quota.")
CEILING = 8


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_LEASE_SECONDS": "60", "LOCAL_MAX_CONCURRENCY": str(CEILING)}


@pytest.fixture
def capacity(gateway: Gateway) -> Capacity:
    """What the lines of one model at the one account count for."""
    (account_id,) = gateway.accounts.ids()
    return Capacity(account_id, "m")


def ask(
    gateway: Gateway, capacity: Capacity, worker: str, *, wanted: int, held: int = 0, signals: Signals = QUIET
) -> Grant:
    """One worker's exchange with the store."""
    return BatchWork(gateway, worker=worker).exchange(capacity, held=held, wanted=wanted, signals=signals)


def test_workers_share_the_ceiling(gateway: Gateway, capacity: Capacity) -> None:
    assert ask(gateway, capacity, "one", wanted=20).limit == CEILING
    assert ask(gateway, capacity, "two", wanted=20).limit == 0  # all of it is out
    assert ask(gateway, capacity, "one", wanted=20, held=CEILING).limit == CEILING // 2  # the other one is short
    assert ask(gateway, capacity, "two", wanted=20).limit == 0  # lines that are out keep their permits
    assert ask(gateway, capacity, "one", wanted=20, held=CEILING // 2).limit == CEILING // 2
    assert ask(gateway, capacity, "two", wanted=20).limit == CEILING // 2


def test_workers_learn_whether_there_are_several_projects(gateway: Gateway, capacity: Capacity) -> None:
    for name, expected in (("alpha", False), ("beta", True)):
        keys.create(gateway, project=name, name="k")
        assert ask(gateway, capacity, "one", wanted=1).is_shared is expected
    projects.archive(gateway, "beta")
    assert not ask(gateway, capacity, "one", wanted=1).is_shared


def test_what_a_worker_gives_back_is_there_for_the_others(gateway: Gateway, capacity: Capacity) -> None:
    ask(gateway, capacity, "one", wanted=20)
    BatchWork(gateway, worker="one").leave(capacity)
    assert ask(gateway, capacity, "two", wanted=20).limit == CEILING


def test_the_share_of_a_worker_that_fell_silent_is_there_for_the_others(gateway: Gateway, capacity: Capacity) -> None:
    ask(gateway, capacity, "one", wanted=20)
    with gateway.database.write() as connection:
        connection.execute(update(capacity_permits).values(lease_until=0))
    assert ask(gateway, capacity, "two", wanted=20).limit == CEILING


def paused(project_id: int | None, seconds: float, *, whole_account: bool = False) -> Signals:
    """What a worker reports that found it necessary to pause."""
    return Signals(successes=0, overloads=1, pauses=(NewPause(project_id, whole_account, seconds, QUOTA),))


def test_all_workers_observe_a_pause_and_its_reason(gateway: Gateway, capacity: Capacity) -> None:
    ask(gateway, capacity, "one", wanted=1, signals=paused(None, 60.0))
    (pause,) = ask(gateway, capacity, "two", wanted=1).pauses
    assert 50 < pause.left_s <= 60
    assert (pause.project_id, pause.whole_account, pause.pauses, pause.words) == (None, False, 0, QUOTA)
    ask(gateway, capacity, "two", wanted=1, signals=paused(None, 90.0))
    (longer,) = ask(gateway, capacity, "one", wanted=1).pauses
    assert longer.pauses == 1
    assert longer.left_s > 60
    ask(gateway, capacity, "two", wanted=1, signals=Signals(successes=1, overloads=0, lifted=((None, False),)))
    assert ask(gateway, capacity, "one", wanted=1).pauses == []


def test_a_pause_of_the_account_holds_for_its_models_and_one_of_a_model_for_no_other(
    gateway: Gateway, capacity: Capacity
) -> None:
    other = replace(capacity, model="other")
    ask(gateway, capacity, "one", wanted=1, signals=paused(None, 60.0))
    assert ask(gateway, other, "one", wanted=1).pauses == []
    ask(gateway, capacity, "one", wanted=1, signals=paused(None, 60.0, whole_account=True))
    (pause,) = ask(gateway, other, "two", wanted=1).pauses
    assert pause.whole_account


def test_a_pause_that_is_over_still_asks_for_a_probe_after_a_restart(gateway: Gateway, capacity: Capacity) -> None:
    ask(gateway, capacity, "one", wanted=1, signals=paused(None, 0.0))
    (pause,) = ask(gateway, capacity, "restarted", wanted=1).pauses
    assert pause.left_s <= 0


def test_pauses_that_nobody_probes_are_forgotten(gateway: Gateway, capacity: Capacity) -> None:
    ask(gateway, capacity, "one", wanted=1, signals=paused(None, 60.0))
    sweep.sweep(gateway)
    assert ask(gateway, capacity, "one", wanted=1).pauses
    with gateway.database.write() as connection:
        connection.execute(update(pauses).values(paused_until=0))
    sweep.sweep(gateway)
    assert ask(gateway, capacity, "one", wanted=1).pauses == []


def test_an_overload_lowers_the_limit_of_all_once_a_second_and_successes_raise_it(
    gateway: Gateway, capacity: Capacity
) -> None:
    overload = Signals(successes=0, overloads=1)
    lowered = ask(gateway, capacity, "one", wanted=20, signals=overload).limit
    assert lowered < CEILING
    ask(gateway, capacity, "one", wanted=0)
    assert ask(gateway, capacity, "two", wanted=20, signals=overload).limit == lowered  # the same burst
    with gateway.database.write() as connection:
        connection.execute(update(account_capacity).values(lowered_at=0))
    again = ask(gateway, capacity, "two", wanted=20, signals=overload).limit
    assert again < lowered
    raised = Signals(successes=20, overloads=0)
    assert ask(gateway, capacity, "two", wanted=20, signals=raised).limit > again
