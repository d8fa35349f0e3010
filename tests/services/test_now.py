"""What `batchgate top` shows: the state of accounts and models, workers, and running batches."""

import json

import pytest
from click.testing import CliRunner

from app.cli import batchgate
from app.data.batches import capacity, pauses, workers
from app.services import now
from app.services.gateway import Caller, Gateway
from tests.cli.client.conftest import started
from tests.conftest import KeyClient

DAY_MS = 86_400_000


def fill(gateway: Gateway, client: KeyClient, caller: Caller) -> list[str]:
    """Two running batches of five lines, of which three have ended; a worker with two lines in flight, and a pause."""
    made = [started(client, gateway, caller) for _ in range(2)]
    made[0].answer([1, 2])
    made[1].answer([1], state="failed", status_code=400)
    local = gateway.accounts.of("local")
    assert local is not None
    account = local.id
    with gateway.database.write() as connection:
        capacity_id = capacity.ensure(connection, account_id=account, model="tiny", ceiling=8)
        capacity.set_limit(connection, capacity_id, 4.0, lowered=True)
        capacity.hold(connection, capacity_id, worker="w", held=3, wanted=3, in_flight=2, lease_ms=DAY_MS)
        capacity.ensure(connection, account_id=account, model="idle", ceiling=8)
        workers.register(connection, name="w", host="h", pid=7)
        workers.register(connection, name="gone", host="h", pid=8, lease_ms=-1)
        workers.set_fault(connection, name="w", fault="\x1b[31mNo room.")
        pauses.note(
            connection,
            account_id=account,
            model="",
            project_id=None,
            pause_ms=DAY_MS,
            kind="rate",
            status_code=429,
            code="slow",
            message="Slow\x1b[2J down.",
        )
    return [batch.id for batch in made]


def test_what_waits_runs_and_is_paused_is_told_by_account_and_model(
    gateway: Gateway, client: KeyClient, caller: Caller
) -> None:
    first, second = fill(gateway, client, caller)

    found = now.look(gateway)

    assert (found.running, found.waiting, found.in_flight) == (2, 5, 2)
    (lane,) = found.lanes
    assert (lane.account, lane.model, lane.batches, lane.waiting, lane.in_flight) == ("local/env", "tiny", 2, 5, 2)
    assert (lane.ceiling, lane.learned_limit) == (8, 4)
    assert lane.paused_until is not None and lane.paused_until > found.at
    assert lane.oldest_at is not None and lane.oldest_at <= found.at
    assert {(worker.pid, worker.is_alive) for worker in found.workers} == {(7, True), (8, False)}
    shown = {batch.batch: batch for batch in found.batches}
    assert (shown[first].lines_completed, shown[second].lines_failed) == (2, 1)
    assert {batch.waits_for for batch in found.batches} == {"store_away"}
    assert len(now.look(gateway, batches=1).batches) == 1


def test_nothing_is_shown_of_an_empty_store(gateway: Gateway) -> None:
    found = now.look(gateway)
    assert (found.running, found.oldest_at, list(found.lanes), list(found.batches)) == (0, None, [], [])


@pytest.mark.one_database
def test_top_prints_it_as_a_table_or_as_json(
    gateway: Gateway, client: KeyClient, caller: Caller, environment: dict[str, str]
) -> None:
    first, _ = fill(gateway, client, caller)
    runner = CliRunner(env=environment)

    table = runner.invoke(batchgate, ["top", "--once"])
    assert table.exit_code == 0, table.output
    assert "2 batches, 5 lines wait" in table.stdout
    assert "1 workers alive: h:7" in table.stdout
    assert {"local/env", "4/8", first} <= set(table.stdout.split())
    assert "\x1b" not in table.stdout
    shown = json.loads(runner.invoke(batchgate, ["top", "--once", "--json", "--batches", "1"]).stdout)
    assert (shown["waiting"], len(shown["batches"]), shown["lanes"][0]["model"]) == (5, 1, "tiny")
