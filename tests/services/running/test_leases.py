"""A worker that takes its own work again after the lease has expired: what it began under the first lease is void."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Table, select, update

from app.data import tables
from app.data.batches import work as batch_rows
from app.data.store.leases import Lease
from app.engine.outcomes import Result
from app.engine.run import Segment
from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from tests.conftest import KeyClient
from tests.support.batches import chat_line, create, jsonl, retrieve
from tests.support.losing_blobs import LosingBlobs
from tests.support.waiting import until
from tests.support.working import settle, step

LEASE_MS = 60_000
STATUSES = ("validating",)


@pytest.fixture
def batch(client: KeyClient) -> str:
    """The id of a batch of one line that nobody has planned yet."""
    return str(create(client, jsonl([chat_line("a")]))["id"])


def test_a_segment_is_written_under_its_last_epoch_alone(gateway: Gateway, client: KeyClient, batch: str) -> None:
    work = BatchWork(gateway, worker="worker")
    settle(work)
    first = claimed(work)
    assert work.claim(skip=()) is None  # it holds the only one
    expire(gateway, tables.batch_segments)
    second = claimed(work)

    assert work.renew([first]) == {first.id}
    assert not work.flush(first, [result(first)], (), last=True)
    assert counts(client, batch)["completed"] == 0
    work.release(first)
    assert BatchWork(gateway, worker="other").claim(skip=()) is None  # the second lease holds
    assert work.flush(second, [result(second)], (), last=True)
    assert counts(client, batch)["completed"] == 1


def test_a_batch_is_held_under_its_last_epoch_alone(gateway: Gateway, batch: str) -> None:
    (batch_id,) = column(gateway, select(tables.batches.c.id).where(tables.batches.c.public_id == batch))
    first, second = Lease(batch_id, 1, "worker"), Lease(batch_id, 2, "worker")

    assert claim(gateway, first)
    assert not claim(gateway, second)  # the first lease holds
    expire(gateway, tables.batches)
    assert claim(gateway, second)
    assert not hold(gateway, first)
    with gateway.database.write() as connection:
        batch_rows.release(connection, first)
    assert hold(gateway, second)


def test_a_batch_whose_lease_is_lost_while_its_files_are_written_is_not_ended(
    gateway: Gateway, client: KeyClient, batch: str
) -> None:
    planner = BatchWork(gateway, worker="worker")
    settle(planner)
    assert client.post(f"/v1/batches/{batch}/cancel").status_code == 200
    slow = replace(gateway, blobs=LosingBlobs(gateway, tables.batches))
    late = BatchWork(slow, worker="worker")
    while step(late):
        pass
    assert retrieve(client, batch)["status"] == "cancelling"
    expire(gateway, tables.batches)
    work = BatchWork(gateway, worker="worker")
    until(lambda: step(work) and retrieve(client, batch)["status"] == "cancelled")


def test_a_batch_is_not_finalised_while_a_worker_may_write_to_it(
    gateway: Gateway, client: KeyClient, batch: str
) -> None:
    work = BatchWork(gateway, worker="worker")
    settle(work)
    segment = claimed(work)
    assert client.post(f"/v1/batches/{batch}/cancel").status_code == 200
    other = BatchWork(gateway, worker="other")
    assert not step(other)
    lease = Lease(segment.batch_id, 2, "other")
    with gateway.database.write() as connection:
        assert not batch_rows.close_segments(connection, lease)
    expire(gateway, tables.batch_segments)
    until(lambda: step(other) and retrieve(client, batch)["status"] == "cancelled")
    assert not work.flush(segment, [result(segment)], (), last=True)


def claimed(work: BatchWork) -> Segment:
    """The segment that the worker gets."""
    found = work.claim(skip=())
    assert found is not None
    return found[1]


def result(segment: Segment) -> Result:
    """A line of the segment that went well."""
    return Result(line=segment.lines[0], succeeded=True, data=b"{}\n", status_code=200)


def counts(client: KeyClient, batch: str) -> dict[str, Any]:
    """What the batch tells of its lines."""
    return dict(retrieve(client, batch)["request_counts"])


def claim(gateway: Gateway, lease: Lease) -> bool:
    """Take the batch to plan it."""
    with gateway.database.write() as connection:
        return batch_rows.claim(connection, lease, statuses=STATUSES, lease_ms=LEASE_MS)


def hold(gateway: Gateway, lease: Lease) -> bool:
    """Fence a write."""
    with gateway.database.write() as connection:
        return batch_rows.hold(connection, lease, statuses=STATUSES, lease_ms=LEASE_MS)


def expire(gateway: Gateway, table: Table) -> None:
    """Let all leases of a table expire."""
    with gateway.database.write() as connection:
        connection.execute(update(table).where(table.c.lease_until.is_not(None)).values(lease_until=0))


def column(gateway: Gateway, statement: Any) -> list[Any]:
    """The first column of what a statement selects."""

    def unit(connection: Connection) -> list[Any]:
        return list(connection.execute(statement).scalars())

    return gateway.database.run(unit)
