"""The lease idiom on a table of its own: one holder at a time, and no write by a worker that lost its lease."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, insert, select

from app.data.store.database import Database
from app.data.store.leases import Lease, LeasedTable

tasks = Table(
    "tasks",
    MetaData(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("worker", String(16)),
    Column("attempts", BigInteger, nullable=False),
    Column("lease_until", BigInteger),
    Column("state", String(16), nullable=False),
)
LEASES = LeasedTable(tasks, epoch_column="attempts")
OPEN = tasks.c.state == "open"
FIRST = Lease(1, 1, "a")
LONG_MS, OVER_MS = 60_000, -1


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A store with one open task, number 1, that nobody has claimed yet."""
    store = Database(f"sqlite:///{tmp_path / 'leases.db'}")
    with store.write() as connection:
        tasks.create(connection)
        connection.execute(insert(tasks).values(id=1, attempts=0, state="open"))
    yield store
    store.dispose()


def claim(database: Database, lease: Lease, *, lease_ms: int = LONG_MS) -> bool:
    with database.write() as connection:
        return LEASES.claim(connection, lease, OPEN, lease_ms=lease_ms)


def row(database: Database) -> tuple[object, ...]:
    with database.read() as connection:
        return tuple(connection.execute(select(tasks.c.worker, tasks.c.attempts, tasks.c.state)).one())


def test_of_two_workers_that_read_the_same_epoch_one_gets_the_row(database: Database) -> None:
    assert claim(database, FIRST)
    assert not claim(database, replace(FIRST, worker="b"))
    assert row(database) == ("a", 1, "open")


def test_a_leased_row_is_not_claimed_before_the_lease_expires(database: Database) -> None:
    assert claim(database, FIRST)
    assert not claim(database, Lease(1, 2, "b"))


def test_an_expired_lease_is_taken_over_and_its_holder_writes_nothing_more(database: Database) -> None:
    assert claim(database, FIRST, lease_ms=OVER_MS)
    assert claim(database, Lease(1, 2, "b"))
    with database.write() as connection:
        assert not LEASES.hold(connection, FIRST, lease_ms=LONG_MS)
        assert not LEASES.write(connection, FIRST, state="done")
        assert not LEASES.release(connection, FIRST, state="done")
        assert LEASES.renew(connection, [FIRST], worker="a", lease_ms=LONG_MS) == set()
    assert row(database) == ("b", 2, "open")


def test_a_lease_is_of_one_claim_even_of_the_same_worker(database: Database) -> None:
    assert claim(database, FIRST, lease_ms=OVER_MS)
    again = Lease(1, 2, "a")
    assert claim(database, again)
    with database.write() as connection:
        assert not LEASES.hold(connection, FIRST, lease_ms=LONG_MS)
        assert LEASES.hold(connection, again, lease_ms=LONG_MS)


def test_an_expired_lease_that_nobody_took_over_still_holds(database: Database) -> None:
    assert claim(database, FIRST, lease_ms=OVER_MS)
    with database.write() as connection:
        assert LEASES.renew(connection, [FIRST], OPEN, worker="a", lease_ms=LONG_MS) == {1}
    assert not claim(database, Lease(1, 2, "b"))


def test_a_write_can_ask_for_a_state(database: Database) -> None:
    assert claim(database, FIRST)
    with database.write() as connection:
        assert LEASES.write(connection, FIRST, OPEN, state="done")
        assert not LEASES.hold(connection, FIRST, OPEN, lease_ms=LONG_MS)


def test_a_released_row_is_free_at_once(database: Database) -> None:
    assert claim(database, FIRST)
    with database.write() as connection:
        assert LEASES.release(connection, FIRST, OPEN)
    assert row(database) == (None, 1, "open")
    assert claim(database, Lease(1, 2, "b"))
