"""PgBouncer in transaction mode: every transaction may run on another connection, which others have used before."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from app.data.store.database import Database
from app.data.store.hints import Channel, PooledError
from app.services.gateway import Gateway
from bench.processes import worker
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.support.batches import chat_line, create, ended, jsonl, read
from tests.support.pgbouncer import PgBouncer
from tests.support.waiting import until

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

LINES = 120
NEVER_S = "3600"
LISTENING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN batchgate'"


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def pooler(database_url: str, tmp_path: Path) -> Iterator[PgBouncer]:
    with PgBouncer(tmp_path / "pgbouncer", database_url) as running:
        yield running


@pytest.fixture
def environment(environment: dict[str, str], pooler: PgBouncer) -> dict[str, str]:
    """Everything goes through the pooler, with more connections than that has, but what listens."""
    direct = environment["DATABASE_URL"]
    return environment | {"DATABASE_URL": pooler.url, "BATCHGATE_LISTEN_URL": direct}


def test_batches_run_through_it_and_hints_go_past_it(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as direct:
        for _ in range(2):  # two workers, one after the other: what sessions leave behind meets the next one
            with worker(environment | {"BATCHGATE_POLL_SECONDS": NEVER_S}) as process:
                until(lambda: direct.execute(LISTENING).fetchone(), what="a worker listens")
                batch = create(client, jsonl(chat_line(f"c{n}") for n in range(LINES)))["id"]
                over = ended(client, str(batch), seconds=60)
                assert (over["status"], over["request_counts"]["completed"]) == ("completed", LINES)
                rows = read(client, over["output_file_id"])
                assert [row["custom_id"] for row in rows] == [f"c{n}" for n in range(LINES)]
                assert process.stop() == 0


def test_no_session_is_changed_and_nothing_prepared(gateway: Gateway, pooler: PgBouncer, database_url: str) -> None:
    database = Database(gateway.settings.database_url)
    for _ in range(20):  # often enough for psycopg to prepare it
        with database.read() as one, database.write() as other:
            for connection in (one, other):
                assert connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar() == 0
                assert connection.execute(text("SHOW enable_bitmapscan")).scalar() == "on"
    database.dispose()
    with pytest.raises(PooledError, match="BATCHGATE_LISTEN_URL"):
        Channel(pooler.url)
