"""Segments on lease, and the results that their lines come to. Every write carries the epoch."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql import ColumnElement

from app.data.store.database import AnyRow, inserted_id, now_ms
from app.data.store.leases import Lease, LeasedTable
from app.data.tables import batch_chunks, batch_lines, batch_segments, batches

_LEASES = LeasedTable(batch_segments)
_OPEN = batch_segments.c.state == "open"
_CLAIMABLE = and_(batch_segments.c.batch_id == batches.c.id, _OPEN, _LEASES.free)
_BATCH_RUNS = exists(
    select(literal(1)).where(batches.c.id == batch_segments.c.batch_id, batches.c.status == "in_progress")
)
# How often a worker went silent with the segment: a claim finds its name there still.
_LOST_EPOCHS = batch_segments.c.lost_epochs + case((batch_segments.c.worker.is_(None), 0), else_=1)
_RESULT = (
    update(batch_lines)
    .where(
        batch_lines.c.batch_id == bindparam("the_batch"),
        batch_lines.c.line == bindparam("the_line"),
        batch_lines.c.state == "pending",
    )
    .values(
        {
            name: bindparam(name)
            for name in (
                "state",
                "attempts",
                "unknown_attempts",
                "status_code",
                "error_code",
                "latency_ms",
                "input_tokens",
                "output_tokens",
                "chunk_id",
                "response_offset",
                "response_bytes",
            )
        }
        # Of a job's lines it was noted when they were planned.
        | {"dropped_fields": func.coalesce(bindparam("told_dropped", type_=Text), batch_lines.c.dropped_fields)}
    )
)
_RETRIED = (
    update(batch_lines)
    .where(batch_lines.c.batch_id == bindparam("the_batch"), batch_lines.c.line == bindparam("the_line"))
    .values(attempts=bindparam("attempts"), unknown_attempts=bindparam("unknown_attempts"))
)


def projects_with_work(
    connection: Connection, *, accounts: Collection[int], skip: Collection[tuple[int, str]]
) -> Sequence[AnyRow]:
    """(project_id, leased) of projects with a claimable segment, those with the fewest leased ones first."""
    leased = (
        select(batches.c.project_id, func.count().label("leased"))
        .join_from(batch_segments, batches)
        .where(batch_segments.c.state == "open", batch_segments.c.lease_until >= now_ms())
        .group_by(batches.c.project_id)
        .subquery()
    )
    statement = (
        select(batches.c.project_id, func.coalesce(leased.c.leased, 0).label("leased"))
        .outerjoin_from(batches, leased, batches.c.project_id == leased.c.project_id)
        .where(_runnable(accounts, skip))
        .group_by(batches.c.project_id, leased.c.leased)
        .order_by(func.coalesce(leased.c.leased, 0), func.min(batches.c.expires_at))
    )
    return connection.execute(statement).all()


def next_segment(
    connection: Connection, *, project_id: int, accounts: Collection[int], skip: Collection[tuple[int, str]]
) -> AnyRow | None:
    """The claimable segment of the project's batch with the earliest deadline, with what a worker must know."""
    batch = (
        select(batches.c.id)
        .where(batches.c.project_id == project_id, _runnable(accounts, skip))
        .order_by(batches.c.expires_at, batches.c.id)
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(
            batch_segments.c.id,
            batch_segments.c.batch_id,
            batch_segments.c.epoch,
            batch_segments.c.first_line,
            batch_segments.c.last_line,
            batch_segments.c.lost_epochs,
            batch_segments.c.probe_line,
            batch_segments.c.worker,
            batches.c.project_id,
            batches.c.account_id,
            batches.c.model,
            (batches.c.expires_at - now_ms()).label("left_ms"),
        )
        .join_from(batch_segments, batches)
        .where(batch_segments.c.batch_id == batch, _OPEN, _LEASES.free)
        .order_by(batch_segments.c.first_line)
        .limit(1)
    )
    return connection.execute(statement).first()


def claim(connection: Connection, lease: Lease, *, lease_ms: int) -> bool:
    """Take a free segment of a batch that runs. False when another worker was faster."""
    return _LEASES.claim(connection, lease, _OPEN, _BATCH_RUNS, lease_ms=lease_ms, lost_epochs=_LOST_EPOCHS)


def pending_lines(connection: Connection, *, batch_id: int, first: int, last: int) -> Sequence[AnyRow]:
    """Lines of a segment without a result, in order."""
    statement = (
        select(
            batch_lines.c.line,
            batch_lines.c.custom_id,
            batch_lines.c.request_offset,
            batch_lines.c.request_bytes,
            batch_lines.c.attempts,
            batch_lines.c.unknown_attempts,
        )
        .where(
            batch_lines.c.batch_id == batch_id,
            batch_lines.c.line.between(first, last),
            batch_lines.c.state == "pending",
        )
        .order_by(batch_lines.c.line)
    )
    return connection.execute(statement).all()


def renew(connection: Connection, leases: Collection[Lease], *, worker: str, lease_ms: int) -> set[int]:
    """Renew the leases that `worker` still holds; returns the ids of those segments."""
    return _LEASES.renew(connection, leases, _OPEN, worker=worker, lease_ms=lease_ms)


def hold(connection: Connection, lease: Lease, *, lease_ms: int) -> bool:
    """Fence the writes of this transaction. False when the lease is lost."""
    return _LEASES.hold(connection, lease, _OPEN, lease_ms=lease_ms)


def release(connection: Connection, lease: Lease) -> None:
    """Give a segment back."""
    _LEASES.release(connection, lease, _OPEN)


def close_if_done(connection: Connection, lease: Lease) -> None:
    """Mark the segment done when none of its lines waits for a result."""
    waits = exists(
        select(literal(1)).where(
            batch_lines.c.batch_id == batch_segments.c.batch_id,
            batch_lines.c.line.between(batch_segments.c.first_line, batch_segments.c.last_line),
            batch_lines.c.state == "pending",
        )
    )
    _LEASES.release(connection, lease, _OPEN, ~waits, state="done")


def set_probe(connection: Connection, lease: Lease, *, line: int | None) -> bool:
    """Note which line of a segment that runs alone is about to be sent. False when the lease is lost."""
    return _LEASES.write(connection, lease, _OPEN, probe_line=line)


def ended(connection: Connection, batch_ids: Collection[int]) -> set[int]:
    """Those of the batches that no longer run."""
    statement = select(batches.c.id).where(batches.c.id.in_(batch_ids), batches.c.status != "in_progress")
    return set(connection.execute(statement).scalars())


def insert_chunk(
    connection: Connection, *, batch_id: int, segment_id: int, epoch: int, blob_id: int, lines: int, size: int
) -> int:
    """The row of a chunk whose blob is settled in the same transaction."""
    values = {"batch_id": batch_id, "segment_id": segment_id, "blob_id": blob_id, "epoch": epoch}
    return inserted_id(connection, insert(batch_chunks).values(lines=lines, bytes=size, created_at=now_ms(), **values))


def write_results(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Results of pending lines: `the_batch`, `the_line` and the columns of the result."""
    connection.execute(_RESULT, rows)


def write_retries(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Attempts of lines that are to be sent again."""
    connection.execute(_RETRIED, rows)


def count(connection: Connection, batch_id: int, **added: int) -> None:
    """Add to the batch's live counters."""
    values = {name: batches.c[name] + number for name, number in added.items() if number}
    if values:
        connection.execute(update(batches).where(batches.c.id == batch_id).values(**values))


def _runnable(accounts: Collection[int], skip: Collection[tuple[int, str]]) -> ColumnElement[bool]:
    runnable = and_(
        batches.c.status == "in_progress",
        batches.c.execution == "gateway",
        batches.c.expires_at > now_ms(),
        batches.c.account_id.in_(accounts),
        exists(select(literal(1)).where(_CLAIMABLE).correlate(batches)),
    )
    return and_(runnable, tuple_(batches.c.account_id, batches.c.model).not_in(skip)) if skip else runnable
