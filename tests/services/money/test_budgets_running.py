"""Budgets and batches that real workers run: every end gives back, and what is spent is what the ledger says."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select, update

from app.data.tables import batch_segments, batches, events, usage_ledger
from app.services.batches import create as batch_service
from app.services.batches.create import NewBatch
from app.services.gateway import Caller, Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import CHAT, chat_line, create, ended, jsonl, read, retrieve, upload
from tests.support.money import CENT, DOLLAR, budget, ledger_sum, price, reservations, state
from tests.support.waiting import until

MAX_WAIT_S = 120  # longer than a busy machine takes: only a deadlock lasts until then

pytestmark = pytest.mark.spread


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Few lines at once: on a busy machine, more of them would be over before a stop reaches the worker."""
    return {**environment, "LOCAL_MAX_CONCURRENCY": "16"}


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """An OpenAI-compatible server with fault switches."""
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    """Starts workers; all are stopped in good order at the end."""
    found = Workers(gateway)
    yield found
    found.stop()


def lines(count: int, **body: Any) -> bytes:
    return jsonl(chat_line(f"c{n}", f"text {n}", **{"max_tokens": 100, **body}) for n in range(count))


def all_given_back(gateway: Gateway, budget_id: int) -> int:
    """What is spent, once nothing is reserved and all of it is in the ledger."""
    spent, reserved = state(gateway, budget_id)
    assert reserved == 0
    assert all(row.settled_at is not None and row.left_picodollars == 0 for row in reservations(gateway))
    assert spent == ledger_sum(gateway)
    return spent


def test_a_completed_batch_has_spent_what_its_answers_cost(
    client: KeyClient, workers: Workers, gateway: Gateway
) -> None:
    price(gateway, input_picodollars=7, output_picodollars=CENT)
    mine = budget(gateway, 40 * DOLLAR)
    key = client.key.removeprefix("sk-bf-").partition("-")[0]
    own = budget(gateway, 40 * DOLLAR, key=key, period="day")
    batch = create(client, lines(30))
    assert state(gateway, mine)[1] > 30 * DOLLAR
    for _ in range(2):
        workers.start()
    over = ended(client, batch["id"])
    assert over["status"] == "completed"
    usage = [line["response"]["body"]["usage"] for line in read(client, over["output_file_id"])]
    cost = sum(used["prompt_tokens"] * 7 + used["completion_tokens"] * CENT for used in usage)
    assert all_given_back(gateway, mine) == all_given_back(gateway, own) == cost > 0


def test_a_batch_that_fails_in_planning_gives_all_back(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    price(gateway)
    mine = budget(gateway, 4 * DOLLAR)
    batch = create(client, lines(3) + b"not json\n")
    assert state(gateway, mine) == (0, 3 * DOLLAR)
    workers.start()
    assert ended(client, batch["id"])["status"] == "failed"
    assert all_given_back(gateway, mine) == 0


def test_a_batch_that_is_cancelled_before_it_runs_gives_all_back(
    client: KeyClient, workers: Workers, gateway: Gateway
) -> None:
    price(gateway)
    mine = budget(gateway, 4 * DOLLAR)
    batch = create(client, lines(3))
    assert client.post(f"/v1/batches/{batch['id']}/cancel").status_code == 200
    assert state(gateway, mine) == (0, 3 * DOLLAR)  # until a worker ends it
    workers.start()
    assert ended(client, batch["id"])["status"] == "cancelled"
    assert all_given_back(gateway, mine) == 0


@pytest.mark.parametrize("ending", ["cancelled", "expired"])
def test_a_batch_that_ends_early_gives_back_what_its_other_lines_could_cost(
    client: KeyClient, workers: Workers, gateway: Gateway, fake: FakeServer, ending: str
) -> None:
    price(gateway)
    mine = budget(gateway, 20 * DOLLAR)
    fake.faults.add(Fault(containing=b"slow", latency_s=30))
    data = lines(4) + jsonl(chat_line(f"s{n}", "slow", max_tokens=100) for n in range(4))
    batch = create(client, data)
    workers.start()
    until(lambda: retrieve(client, batch["id"])["request_counts"]["completed"] == 4)
    spent, reserved = state(gateway, mine)
    assert 0 < spent == ledger_sum(gateway)
    assert spent + reserved == 8 * DOLLAR

    workers.stop()  # what is in flight is given up
    if ending == "cancelled":
        assert client.post(f"/v1/batches/{batch['id']}/cancel").status_code == 200
    with gateway.database.write() as connection:
        if ending == "expired":
            connection.execute(update(batches).values(expires_at=batches.c.created_at))
        connection.execute(update(batch_segments).values(lease_until=0))
    workers.start()
    assert ended(client, batch["id"])["status"] == ending
    assert all_given_back(gateway, mine) == spent


def test_a_batch_whose_lines_all_fail_spends_nothing(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    price(gateway)
    mine = budget(gateway, 20 * DOLLAR)
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}", "refuse-this", max_tokens=100) for n in range(5)))
    over = ended(client, batch["id"])
    assert over["request_counts"]["failed"] == 5
    assert all_given_back(gateway, mine) == 0


def test_a_batch_that_overspends_is_stopped_with_the_reason(
    client: KeyClient, workers: Workers, gateway: Gateway, fake: FakeServer
) -> None:
    """Its answers are ten times as long as its lines said that they may be."""
    price(gateway)
    mine = budget(gateway, 3 * DOLLAR)
    usage = {"prompt_tokens": 5, "completion_tokens": 10, "total_tokens": 15}
    answer = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [], "usage": usage}
    fake.faults.add(Fault(path="/chat/completions", body=orjson.dumps(answer), status=200, latency_s=0.25))
    batch = create(client, lines(300, max_tokens=1))
    assert state(gateway, mine) == (0, 3 * DOLLAR)
    workers.start()
    over = ended(client, batch["id"])
    assert over["status"] == "cancelled"
    (error,) = over["errors"]["data"]
    assert error["code"] == "budget_exceeded"
    assert "$3.00" in error["message"]
    spent, reserved = state(gateway, mine)
    assert reserved == 0
    assert 3 * DOLLAR < spent < 30 * DOLLAR
    counts = over["request_counts"]
    assert counts["completed"] * 10 * CENT == ledger_sum(gateway)
    # Calls that were cut count as what their lines reserved: a cent.
    assert ledger_sum(gateway) <= spent <= ledger_sum(gateway) + counts["canceled"] * CENT
    assert counts["canceled"] == 300 - counts["completed"] > 0
    with gateway.database.read() as connection:
        told = connection.execute(select(events).where(events.c.operation == "batch_cancel")).all()
    assert [(row.object_id, row.source, row.detail["reason"]) for row in told] == [
        (batch["id"], "worker", "budget_exceeded")
    ]


def test_each_line_is_spent_once_though_a_worker_is_lost(
    client: KeyClient, workers: Workers, gateway: Gateway, fake: FakeServer
) -> None:
    price(gateway)
    mine = budget(gateway, 100 * DOLLAR)
    fake.faults.add(Fault(path="/chat/completions", latency_s=0.05))
    batch = create(client, lines(60))
    first = workers.start()
    until(lambda: retrieve(client, batch["id"])["request_counts"]["completed"] > 0)
    first.stop()
    workers.start()
    over = ended(client, batch["id"])
    assert over["request_counts"]["completed"] == 60
    made = over["usage"]["output_tokens"]
    assert all_given_back(gateway, mine) == made * CENT
    with gateway.database.read() as connection:
        charged = select(func.count()).select_from(usage_ledger).where(usage_ledger.c.kind == "line")
        assert connection.execute(charged).scalar_one() == 60


def test_batches_that_run_together_add_up(
    client: KeyClient, workers: Workers, gateway: Gateway, caller: Caller
) -> None:
    """Several workers settle several batches of four budgets at once: nobody waits for ever, and nothing is lost."""
    price(gateway)
    key = str(caller.name)
    budgets = [budget(gateway, 1000 * DOLLAR, key=who, period=when) for who in (None, key) for when in ("day", "month")]
    for _ in range(3):
        workers.start()
    file_ids = [upload(client, lines(40)) for _ in range(6)]

    def make(file_id: str) -> str:  # while others settle and give back
        return str(batch_service.create(gateway, caller, NewBatch(endpoint=CHAT), source=file_id).public_id)

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(make, file_ids, timeout=MAX_WAIT_S))
    for batch_id in made:
        assert ended(client, batch_id)["request_counts"]["completed"] == 40
    assert {all_given_back(gateway, one) for one in budgets} == {ledger_sum(gateway)}
