"""Budgets when workers die: what is spent is what the ledger says, and all that was reserved comes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.support.batches import chat_line, create, ended, jsonl
from tests.support.money import CENT, DOLLAR, budget, ledger_sum, price, reservations, state
from tests.support.process import Process
from tests.support.waiting import until

LINES = 40


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.mark.parametrize(
    "point", ["plan.before_commit", "chunk.before_commit", "chunk.after_commit", "finalise.before_commit"]
)
def test_a_worker_that_dies_spends_and_gives_back_once(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], tmp_path: Path, point: str
) -> None:
    price(gateway)
    mine = budget(gateway, 100 * DOLLAR)
    batch = create(client, jsonl(chat_line(f"c{n}", f"text {n}", max_tokens=100) for n in range(LINES)))
    armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("worker", environment | armed) as worker:
        until(lambda: worker.died, what=f"the death at {point}")
    spent, reserved = state(gateway, mine)
    assert (spent, spent + reserved) == (ledger_sum(gateway), LINES * DOLLAR)
    with Process("worker", environment) as worker:
        over = ended(client, batch["id"])
        assert worker.ended() == 0
    assert over["request_counts"]["completed"] == LINES
    assert state(gateway, mine) == (ledger_sum(gateway), 0) == (over["usage"]["output_tokens"] * CENT, 0)
    assert [row.left_picodollars for row in reservations(gateway)] == [0]
