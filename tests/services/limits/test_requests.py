"""Requests per minute: the same limit for every process that shares the store."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import event, select, update

from app.data.tables import events, limit_counters, projects
from app.errors import InvalidRequestError, RateLimitedError
from app.services.gateway import Caller, Gateway
from app.services.limits import limits
from app.settings import Settings
from app.wiring import build_gateway
from tests.conftest import KeyClient
from tests.support.keyed import keyed, with_key
from tests.support.statements import sharing


@pytest.fixture
def gateways(settings: Settings) -> Iterator[list[Gateway]]:
    """Four processes' views of one store."""
    built = [sharing(build_gateway(settings, retry_pause_s=0.001)) for _ in range(4)]
    yield built
    for gateway in built:
        gateway.database.dispose()


def age(gateway: Gateway, *, seconds: float) -> None:
    """All that windows hold happened so much earlier."""
    with gateway.database.write() as connection:
        for row in connection.execute(select(limit_counters).where(limit_counters.c.windows.is_not(None))).all():
            earlier = int(seconds * 1000)
            moved = {
                "used": [(at - earlier, count) for at, count in row.windows["used"]],
                "leases": {name: (count, at - earlier) for name, (count, at) in row.windows["leases"].items()},
            }
            connection.execute(update(limit_counters).where(limit_counters.c.id == row.id).values(windows=moved))


def let_in(gateway: Gateway, caller: Caller) -> bool:
    try:
        limits.check_request(gateway, caller)
    except RateLimitedError:
        return False
    return True


def test_the_request_too_many_is_refused_until_its_time(gateways: list[Gateway]) -> None:
    client = keyed(gateways[0], limits={"requests_per_minute": 3})
    assert [client.get("/v1/files").status_code for _ in range(3)] == [200] * 3

    answer = client.get("/v1/files")

    assert answer.status_code == 429
    assert answer.json["error"]["code"] == "rate_limit_exceeded"
    assert "3 requests a minute" in answer.json["error"]["message"]
    assert 55 <= int(answer.headers["Retry-After"]) <= 60

    age(gateways[0], seconds=61)
    assert with_key(gateways[1], client.key).get("/v1/files").status_code == 200


def test_retry_after_is_of_the_oldest_request(gateways: list[Gateway]) -> None:
    client = keyed(gateways[0], limits={"requests_per_minute": 2})
    client.get("/v1/files")
    client.get("/v1/files")
    assert client.get("/v1/files").status_code == 429  # what it used is told now
    age(gateways[0], seconds=40)

    answer = with_key(gateways[1], client.key).get("/v1/files")

    assert answer.status_code == 429
    assert 15 <= int(answer.headers["Retry-After"]) <= 20


def test_the_first_of_many_refusals_is_an_event(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"requests_per_minute": 1})
    assert [client.get("/v1/files").status_code for _ in range(20)] == [200] + [429] * 19

    with gateway.database.read() as connection:
        rows = connection.execute(select(events).where(events.c.source == "api")).all()
    assert [(row.operation, row.outcome, row.status_code) for row in rows] == [("file_list", "refused", 429)]


def test_several_processes_have_one_limit(gateways: list[Gateway], caller: Caller) -> None:
    limited = replace(caller, limits={"requests_per_minute": 10})

    passed = sum(let_in(gateways[number % 4], limited) for number in range(60))

    assert passed == 10


def test_threads_of_several_processes_have_one_limit(gateways: list[Gateway], caller: Caller) -> None:
    limited = replace(caller, limits={"requests_per_minute": 700}, project_limits={"requests_per_minute": 650})
    passed: list[bool] = []

    def demand(gateway: Gateway) -> None:
        passed.extend(let_in(gateway, limited) for _ in range(200))

    threads = [threading.Thread(target=demand, args=(gateway,)) for gateway in gateways for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 0.99 * 650 <= sum(passed) <= 650


def test_keys_of_a_project_share_its_limit_and_others_have_their_own(gateway: Gateway, other_client: KeyClient) -> None:
    first, second = keyed(gateway), keyed(gateway)
    with gateway.database.write() as connection:
        alpha = projects.c.name == "alpha"
        connection.execute(update(projects).where(alpha).values(limits={"requests_per_minute": 3}))

    assert [client.get("/v1/files").status_code for client in (first, second, first, second)] == [200, 200, 200, 429]
    assert other_client.get("/v1/files").status_code == 200


def test_what_the_project_refuses_does_not_count_for_the_key(gateway: Gateway, caller: Caller) -> None:
    both = replace(caller, limits={"requests_per_minute": 5}, project_limits={"requests_per_minute": 1})
    assert [let_in(gateway, both) for _ in range(10)] == [True] + [False] * 9

    alone = replace(caller, limits={"requests_per_minute": 5})

    assert [let_in(gateway, alone) for _ in range(5)] == [True] * 4 + [False]


def test_no_limit_costs_no_statement_and_a_high_one_hardly_any(gateway: Gateway, caller: Caller) -> None:
    seen: list[str] = []
    for engine in (gateway.database.readers, gateway.database.writers):
        event.listen(engine, "before_cursor_execute", lambda *args: seen.append(args[2]))

    for _ in range(1000):
        limits.check_request(gateway, caller)
    assert seen == []

    limited = replace(caller, limits={"requests_per_minute": 1_000_000})
    for _ in range(1000):
        limits.check_request(gateway, limited)
    assert len(seen) < 60


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests": 1},
        {"open_batches": -1},
        {"open_batches": True},
        {"open_batches": "5"},
        {"open_batches": 1.5},
        {"stored_bytes": 10**16},
    ],
)
def test_limits_that_are_none(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError, match="limits: ") as caught:
        limits.validate(wrong)
    assert caught.value.param == "limits"


def test_limits_are_taken_as_they_are_and_null_is_none() -> None:
    assert limits.validate({"open_batches": 0, "tokens_per_day": 5, "stored_bytes": None}) == {
        "open_batches": 0,
        "tokens_per_day": 5,
    }
    with pytest.raises(InvalidRequestError, match="account"):
        limits.validate({"requests_per_minute": 5}, owner="account")
