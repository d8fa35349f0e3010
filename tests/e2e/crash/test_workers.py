"""Workers that die at each named instant, or are held until their leases are gone."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from app.data.tables import batch_lines
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.crash.audit import assert_clean, assert_lines_counted_once
from tests.fakes.openai_server import FakeServer
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.process import Process
from tests.support.waiting import until

LINES = 60
FAIL_POINTS = (
    "blob.after_intent",
    "blob.before_rename",
    "plan.between_slices",
    "plan.before_commit",
    "line.sending:20",
    "chunk.after_bytes",
    "chunk.before_commit",
    "chunk.after_commit",
    "finalise.after_bytes",
    "finalise.before_commit",
)
# Each on the real store, and on one that loses what was not synced (which has no rename to die before).
CASES = [(point, drop) for drop in (False, True) for point in FAIL_POINTS if not (drop and "rename" in point)]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


def assert_right(client: KeyClient, gateway: Gateway, batch_id: str) -> None:
    over = ended(client, batch_id)
    assert over["status"] == "completed"
    assert over["request_counts"]["completed"] == LINES
    output = read(client, over["output_file_id"])
    assert [line["custom_id"] for line in output] == [f"c{n}" for n in range(LINES)]
    assert over["usage"]["total_tokens"] == sum(line["response"]["body"]["usage"]["total_tokens"] for line in output)
    assert_lines_counted_once(gateway)


def stopped_outside_of_a_transaction(worker: Process, gateway: Gateway) -> bool:
    """Stop it; when it holds locks that others would wait for, it goes on."""
    worker.signal(signal.SIGSTOP)
    if gateway.database.dialect == "sqlite":
        with closing(sqlite3.connect(gateway.database.url.removeprefix("sqlite:///"), timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                worker.signal(signal.SIGCONT)
                return False
        return True
    with gateway.database.read() as connection:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        busy = f"SELECT count(*) FROM pg_stat_activity WHERE {others} AND state <> 'idle'"
        if connection.exec_driver_sql(busy).scalar_one():
            worker.signal(signal.SIGCONT)
            return False
    return True


@pytest.mark.parametrize(("point", "drop_unsynced"), CASES)
def test_a_worker_that_dies_loses_nothing(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], tmp_path: Path, point: str, drop_unsynced: bool
) -> None:
    drop = {"DROP_UNSYNCED": "1"} if drop_unsynced else {}
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(LINES)))
    armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("worker", environment | armed | drop) as worker:
        until(lambda: worker.died, what=f"the death at {point}")
    with Process("worker", environment | drop) as worker:
        assert_right(client, gateway, batch["id"])
        assert worker.ended() == 0
    assert_clean(gateway)


def test_a_worker_that_lost_its_lease_while_sending_writes_nothing(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], fake: FakeServer
) -> None:
    fake.latency_s = 600
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(LINES)))
    with Process("worker", environment) as held:
        until(lambda: fake.in_flight == LINES)
        until(lambda: stopped_outside_of_a_transaction(held, gateway))
        fake.latency_s = 0.0
        with Process("worker", environment):
            assert_right(client, gateway, batch["id"])
            fake.release()
            until(lambda: fake.in_flight == 0)
            held.signal(signal.SIGCONT)
            assert held.ended() == 0
    assert_lines_counted_once(gateway)
    assert_clean(gateway)


def test_a_line_that_kills_workers_fails_alone(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], fake: FakeServer
) -> None:
    lines = [chat_line(f"c{n}") for n in range(2)]
    batch = create(client, jsonl(lines))
    armed = {"BATCHGATE_FAILPOINT": "line.sending"}
    deaths = 0
    while retrieve(client, batch["id"])["status"] != "completed" and deaths < 40:
        # Every worker dies at its first line, so lines end only as poison, one by one.
        with Process("worker", environment | armed) as worker:
            until(lambda: worker.died or retrieve(client, batch["id"])["status"] == "completed")
            deaths += worker.died
    over = retrieve(client, batch["id"])
    assert over["request_counts"]["failed"] == 2
    codes = {line["error"]["code"] for line in read(client, over["error_file_id"])}
    assert codes == {"worker_crashed"}
    with gateway.database.read() as connection:
        assert set(connection.execute(select(batch_lines.c.state)).scalars()) == {"failed"}


def test_a_line_outlives_two_deaths_that_it_may_not_have_caused(
    client: KeyClient, gateway: Gateway, environment: dict[str, str]
) -> None:
    batch = create(client, jsonl([chat_line("a")]))
    armed = {"BATCHGATE_FAILPOINT": "line.sending"}
    for _ in range(5):  # three times among others, then twice alone
        with Process("worker", environment | armed) as worker:
            until(lambda: worker.died)
    with Process("worker", environment):
        assert ended(client, batch["id"])["request_counts"]["completed"] == 1
    with gateway.database.read() as connection:
        row = connection.execute(select(batch_lines.c.attempts, batch_lines.c.unknown_attempts)).one()
    assert tuple(row) == (3, 2)


def test_a_worker_stops_in_good_order(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], fake: FakeServer
) -> None:
    fake.latency_s = 0.2
    batch = create(client, jsonl(chat_line(f"c{n}", f"mark-{n}") for n in range(LINES)))
    with Process("worker", environment) as worker:
        until(lambda: fake.in_flight > 3)
        assert worker.ended() == 0
    with Process("worker", environment):
        assert_right(client, gateway, batch["id"])
    assert all(fake.count(f"mark-{n}") == 1 for n in range(LINES))
