"""`batchgate db copy`: all rows in another database, on either side, and only one of the two stores open."""

from pathlib import Path

import pytest
from sqlalchemy import insert, text

from app.data.backups import rows
from app.data.batches import workers
from app.data.store.database import Database
from app.data.tables import projects
from app.services.backups import fence
from app.services.gateway import Gateway
from app.settings import from_environment
from tests.conftest import KeyClient
from tests.services.backups.conftest import Run
from tests.support import every_row


@pytest.fixture
def full(gateway: Gateway) -> Gateway:
    """A store with rows of every kind, on which no worker runs."""
    with gateway.database.write() as connection:
        every_row.fill(connection)
        rows.forget_processes(connection)
    return gateway


def test_every_row_is_copied_and_this_store_is_closed(
    full: Gateway, run: Run, environment: dict[str, str], elsewhere: dict[str, str]
) -> None:
    with full.database.write() as connection:  # rows are streamed within a transaction
        before = {table.name: rows.checksum(connection, table) for table in rows.tables()}
        last_ids = rows.next_ids(connection)

    answer = run("db", "copy", "--to", elsewhere["DATABASE_URL"])
    assert answer.exit_code == 0, answer.output

    copy = Database(from_environment(elsewhere).database_url)
    with copy.write() as connection:
        assert {table.name: rows.checksum(connection, table) for table in rows.tables()} == before
        assert all(each.rows == every_row.ROWS for each in before.values())
        copied_ids = rows.next_ids(connection)
        assert all(copied_ids[name] == max(last, every_row.ROWS) for name, last in last_ids.items() if name in before)
    assert fence.now(copy).state == fence.FENCED
    with copy.write() as connection:  # ids go on where they were
        made = connection.execute(insert(projects).values(name="new", created_at=1))
        assert made.inserted_primary_key == (every_row.ROWS + 1,)
    copy.dispose()
    assert fence.now(full.database).state == fence.MOVED
    refused = run("keys", "list")
    assert refused.exit_code == 2 and "was moved" not in refused.output and "moved to" in refused.output


@pytest.mark.parametrize("elsewhere", ["sqlite"], indirect=True)
def test_a_copy_that_fails_leaves_this_store_open(
    full: Gateway, run: Run, environment: dict[str, str], elsewhere: dict[str, str]
) -> None:
    run("release", on=elsewhere)
    other = Database(from_environment(elsewhere).database_url)
    with other.write() as connection:
        connection.execute(insert(projects).values(name="theirs", created_at=1))
    answer = run("db", "copy", "--to", elsewhere["DATABASE_URL"])
    assert answer.exit_code == 2 and "projects has rows" in answer.output
    with other.read() as connection:
        assert rows.count(connection, projects) == 1
    other.dispose()
    assert fence.now(full.database).state == fence.OPEN

    same = run("db", "copy", "--to", environment["DATABASE_URL"])
    assert same.exit_code == 2 and "itself" in same.output

    with full.database.write() as connection:
        workers.register(connection, name="w", host="here", pid=7)
    busy = run("db", "copy", "--to", elsewhere["DATABASE_URL"])
    assert busy.exit_code == 2 and "process 7 on here" in busy.output
    assert fence.now(full.database).state == fence.OPEN


@pytest.mark.parametrize("elsewhere", ["sqlite"], indirect=True)
def test_a_release_may_have_prepared_the_target(gateway: Gateway, run: Run, elsewhere: dict[str, str]) -> None:
    assert run("release", on=elsewhere).exit_code == 0
    assert run("db", "copy", "--to", elsewhere["DATABASE_URL"]).exit_code == 0


def test_a_moved_store_serves_nothing_until_it_is_taken_over(gateway: Gateway, run: Run, client: KeyClient) -> None:
    with gateway.database.write() as connection:
        fence.close(connection, reason="moved to postgresql://there")
    answer = client.get("/v1/files")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "store_moved")
    assert "moved to postgresql://there" in answer.json["error"]["message"]
    assert client.get("/readyz").json["store"] == "moved"
    assert client.get("/readyz").status_code == 503

    assert run("takeover", "--yes").exit_code == 0
    assert fence.now(gateway.database).state == fence.OPEN
    assert "store_takeover" in run("events", "tail", "--operation", "store_takeover").output


@pytest.mark.one_database
@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "mysql://x/y", "postgresql+nodriver://x/y"])
def test_what_is_no_database_to_copy_to_is_refused_in_words(gateway: Gateway, run: Run, url: str) -> None:
    answer = run("db", "copy", "--to", url)
    assert answer.exit_code == 2 and "--to" in answer.output and "Traceback" not in answer.output
    assert fence.now(gateway.database).state == fence.OPEN


@pytest.mark.one_database
@pytest.mark.parametrize("elsewhere", ["postgresql"], indirect=True)
def test_a_store_in_use_is_not_even_migrated(
    gateway: Gateway, run: Run, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    run("release", on=elsewhere)
    theirs = Database(from_environment(elsewhere).database_url)
    with theirs.write() as connection:
        connection.execute(insert(projects).values(name="theirs", created_at=1))
        connection.execute(text("DROP TABLE store_state"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert run("backup", tmp_path / "backup").exit_code == 0
    for answer in (
        run("db", "copy", "--to", elsewhere["DATABASE_URL"]),
        run("restore", tmp_path / "backup", on=elsewhere),
    ):
        assert answer.exit_code == 2 and "projects has rows" in answer.output
    with theirs.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0001"
    theirs.dispose()
