"""What workers and lists ask about webhooks, where endpoints and deliveries are many, on a store without statistics."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from app import migrate
from app.data.store.database import Database
from app.data.store.leases import Lease
from app.data.tables import (
    accounts,
    batches,
    files,
    projects,
    webhook_deliveries,
    webhook_endpoints,
)
from app.data.webhooks import deliveries, endpoints, outbox
from app.data.webhooks.deliveries import Filters
from app.settings import from_environment
from tests.conftest import DATABASES
from tests.support import postgres
from tests.support.query_work import rows_read

# A project has 50 endpoints at most, so that those of many projects are few: they may all be looked at.
ENDPOINTS, DELIVERIES, PENDING = 300, 12_000, 4000
DUE, OWNER = 5, 1  # endpoints with something due, and the project of the first hundred
LONG_AGO, FAR = 1_700_000_000_000, 4_000_000_000_000
HOOK = 1  # which all pending deliveries are for
LEASE = Lease(HOOK, 1, "worker")

INSERTS = "announce"
QUERIES: dict[str, tuple[Callable[[Connection], Any], int]] = {
    INSERTS: (lambda c: outbox.announce(c, 1), 150),
    "due": (lambda c: outbox.due(c, skip=[99], limit=4), ENDPOINTS * 2),
    "claim": (lambda c: outbox.claim(c, Lease(2, 1, "w"), lease_ms=1000), 20),
    "begin": (lambda c: outbox.begin(c, LEASE, lease_ms=1000), 40),
    "give_back": (lambda c: outbox.give_back(c, LEASE), 60),
    "expire": (lambda c: outbox.expire(c, limit=100), 300),
    # Whose rows PostgreSQL finds by an index, and then reads all to delete them.
    "forget": (lambda c: outbox.forget(c, older_than_ms=1, limit=100), DELIVERIES + 1500),
    "drop_for": (lambda c: outbox.drop_for(c, HOOK, limit=100), 800),
    "deleted": (lambda c: outbox.deleted(c, limit=100), ENDPOINTS * 2),
    "find": (lambda c: deliveries.find(c, public_id="whd_77", project_id=OWNER), 30),
    "list": (lambda c: deliveries.list_page(c, Filters(OWNER), after=None, limit=20), ENDPOINTS * 3),
    "list, endpoint": (
        lambda c: deliveries.list_page(c, Filters(OWNER, endpoint_id=2), after=None, limit=20),
        ENDPOINTS * 3,
    ),
    "list, batch": (lambda c: deliveries.list_page(c, Filters(OWNER, batch_id=1), after=None, limit=20), ENDPOINTS * 3),
    "endpoints": (lambda c: endpoints.list_page(c, project_id=2, after=None, limit=20), 200),
    "endpoint": (lambda c: endpoints.find(c, project_id=OWNER, public_id="we_7"), 10),
    "secrets": (lambda c: endpoints.secrets(c, HOOK), 10),
}


@pytest.fixture(params=DATABASES)
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A new store of this test's own, filled while nobody collects statistics."""
    url = f"sqlite:///{tmp_path / 'batchgate.db'}"
    if request.param == "postgresql":
        url = postgres.create()
    settings = from_environment({"DATABASE_URL": url, "BATCHGATE_SECRET_KEY": "t", "BATCHGATE_HOME": "/nowhere"})
    migrate.upgrade(settings)
    found = Database(settings.database_url)
    with found.write() as connection:
        if request.param == "postgresql":
            for table in (webhook_endpoints, webhook_deliveries):
                connection.execute(text(f"ALTER TABLE {table.name} SET (autovacuum_enabled = false)"))
        _fill(connection)
    yield found
    found.dispose()
    if request.param == "postgresql":
        postgres.drop(url)


def _fill(connection: Connection) -> None:
    at = {"created_at": LONG_AGO}
    for number in (1, 2, 3):
        connection.execute(insert(projects).values(id=number, name=f"p{number}", **at))
    connection.execute(insert(accounts).values(id=1, provider="x", name="y", source="z", base_url="", **at))
    file = {"home": "x", "purpose": "batch", "filename": "f", "origin": "upload", "status": "processed"}
    connection.execute(insert(files).values(id=1, public_id="file-1", project_id=1, **file, **at))
    batch = {"provider": "x", "execution": "gateway", "endpoint": "", "completion_window": "24h", "status": "failed"}
    connection.execute(
        insert(batches).values(
            id=1, public_id="batch_1", project_id=1, account_id=1, input_file_id=1, expires_at=FAR, **batch, **at
        )
    )
    connection.execute(insert(webhook_endpoints), [_endpoint(number) for number in range(1, ENDPOINTS + 1)])
    connection.execute(insert(webhook_deliveries), [_delivery(number) for number in range(1, DELIVERIES + 1)])


def _endpoint(number: int) -> dict[str, Any]:
    is_project = number <= 20 or number > ENDPOINTS - 20
    return {
        "id": number,
        "public_id": f"we_{number}",
        "project_id": 1 if number <= 100 else 2 if number <= 200 else 3,
        "scope": "project" if is_project else "batch",
        "name": "n",
        "url": "https://hooks.example.com",
        "event_types": ["batch.failed"] if number == HOOK else ["batch.expired"],
        "payload": "thin",
        "sealed_secret": b"x",
        "fingerprint": None if is_project else f"{number}",
        "next_at": 1 if number <= DUE else FAR if number % 100 == 0 else None,
        "worker": "worker" if number == HOOK else None,
        "epoch": 1 if number == HOOK else 0,
        "created_at": LONG_AGO + number,
        "updated_at": LONG_AGO,
        "deleted_at": LONG_AGO if number > ENDPOINTS // 2 and not is_project else None,
    }


def _delivery(number: int) -> dict[str, Any]:
    is_pending = number <= PENDING
    return {
        "id": number,
        "public_id": f"whd_{number}",
        "project_id": 1 if number % 3 else 2,
        "endpoint_id": HOOK if is_pending else 1 + number % 100,
        "batch_id": 1 if number % 1000 == 0 else None,
        "event_id": f"evt_{number}",
        "event_type": "batch.failed",
        "origin": "event",
        "state": "pending" if is_pending else "delivered",
        "created_at": LONG_AGO + number,
        "event_at": LONG_AGO,
        "next_at": number if is_pending else None,
        "expires_at": FAR,
        "ended_at": None if is_pending else LONG_AGO + number,
    }


def test_no_query_reads_what_it_does_not_need(filled: Database) -> None:
    too_much = []
    for name, (act, most) in QUERIES.items():
        if name == INSERTS and filled.dialect == "postgresql":
            continue  # which explains a statement by running it, and this one cannot run twice
        with filled.writers.connect() as connection:
            read, plans = rows_read(connection, act)
            connection.rollback()
        if read > most:
            too_much.append(f"{name}: {read} rows, not {most}\n{plans}")
    assert too_much == [], "\n\n".join(too_much)
