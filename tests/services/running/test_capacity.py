"""One ceiling, one learnt limit and one pause for any number of worker processes."""

import pytest
from sqlalchemy import update

from app.data.tables import account_capacity, capacity_permits
from app.engine.gate import Signals
from app.engine.work import Capacity, Grant
from app.services.gateway import Gateway
from app.services.running.work import BatchWork

QUIET = Signals(successes=0, overloads=0, retry_after_s=None)
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


def test_what_a_worker_gives_back_is_there_for_the_others(gateway: Gateway, capacity: Capacity) -> None:
    ask(gateway, capacity, "one", wanted=20)
    BatchWork(gateway, worker="one").leave(capacity)
    assert ask(gateway, capacity, "two", wanted=20).limit == CEILING


def test_the_share_of_a_worker_that_fell_silent_is_there_for_the_others(gateway: Gateway, capacity: Capacity) -> None:
    ask(gateway, capacity, "one", wanted=20)
    with gateway.database.write() as connection:
        connection.execute(update(capacity_permits).values(lease_until=0))
    assert ask(gateway, capacity, "two", wanted=20).limit == CEILING


def test_all_workers_keep_the_pause_that_the_provider_asked_for(gateway: Gateway, capacity: Capacity) -> None:
    told = ask(gateway, capacity, "one", wanted=1, signals=Signals(successes=0, overloads=1, retry_after_s=60.0))
    assert told.pause_s == 60.0
    assert 50 < ask(gateway, capacity, "two", wanted=1).pause_s <= 60
    ask(gateway, capacity, "one", wanted=1, signals=Signals(successes=0, overloads=1, retry_after_s=1.0))
    assert ask(gateway, capacity, "two", wanted=1).pause_s > 50  # a shorter one ends no longer one


def test_an_overload_lowers_the_limit_of_all_once_a_second_and_successes_raise_it(
    gateway: Gateway, capacity: Capacity
) -> None:
    overload = Signals(successes=0, overloads=1, retry_after_s=None)
    lowered = ask(gateway, capacity, "one", wanted=20, signals=overload).limit
    assert lowered < CEILING
    ask(gateway, capacity, "one", wanted=0)
    assert ask(gateway, capacity, "two", wanted=20, signals=overload).limit == lowered  # the same burst
    with gateway.database.write() as connection:
        connection.execute(update(account_capacity).values(lowered_at=0))
    again = ask(gateway, capacity, "two", wanted=20, signals=overload).limit
    assert again < lowered
    raised = Signals(successes=20, overloads=0, retry_after_s=None)
    assert ask(gateway, capacity, "two", wanted=20, signals=raised).limit > again
