"""Batches as a worker moves them on: planning, ending, finalising. Every write carries the batch's epoch."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, exists, func, insert, literal, or_, select, update

from app.data.money import budgets
from app.data.store.database import AnyRow, now_ms
from app.data.store.leases import RELEASED, Lease, LeasedTable
from app.data.tables import batch_chunks, batch_jobs, batch_lines, batch_segments, batches, blobs, files
from app.data.tables.batches import TERMINAL

_LEASES = LeasedTable(batches)
_RUNS = batches.c.status.not_in(TERMINAL)
# How often a worker went silent with the batch: a claim finds its name there still.
_LOST_EPOCHS = batches.c.lost_epochs + case((batches.c.worker.is_(None), 0), else_=1)
_LEASED_SEGMENT = exists(
    select(literal(1)).where(
        batch_segments.c.batch_id == batches.c.id,
        batch_segments.c.state == "open",
        batch_segments.c.lease_until >= now_ms(),
    )
).correlate(batches)
_OPEN_SEGMENT = exists(
    select(literal(1)).where(batch_segments.c.batch_id == batches.c.id, batch_segments.c.state == "open")
).correlate(batches)
_GATEWAY_RUN = batches.c.execution == "gateway"
_UNDONE_JOB = exists(
    select(literal(1)).where(batch_jobs.c.batch_id == batches.c.id, batch_jobs.c.state != "done")
).correlate(batches)
# A batch that a provider runs stays `validating` after its plan is made, until a job runs.
_UNPLANNED = and_(batches.c.status == "validating", or_(_GATEWAY_RUN, batches.c.lines_total == 0))
_OVER = and_(batches.c.status == "in_progress", _GATEWAY_RUN, or_(~_OPEN_SEGMENT, batches.c.expires_at <= now_ms()))
_STAMPS = {"completed": "completed_at", "expired": "expired_at", "cancelled": "cancelled_at"}


def to_plan(connection: Connection) -> AnyRow | None:
    """A batch that waits to be planned: the one with the earliest deadline."""
    return connection.execute(
        select(batches.c.id, batches.c.epoch).where(_UNPLANNED, _LEASES.free).order_by(batches.c.expires_at).limit(1)
    ).first()


def to_finalise(connection: Connection) -> AnyRow | None:
    """A batch whose lines are over, or are to run no more, and that no worker holds any part of."""
    where = and_(batches.c.status.in_(("finalizing", "cancelling")), _LEASES.free, ~_LEASED_SEGMENT, ~_UNDONE_JOB)
    return connection.execute(
        select(batches.c.id, batches.c.epoch).where(where).order_by(batches.c.expires_at).limit(1)
    ).first()


def any_due(connection: Connection) -> bool:
    """True when `end_due` has something to do."""
    return connection.execute(select(batches.c.id).where(_OVER).limit(1)).first() is not None


def end_due(connection: Connection) -> int:
    """Batches whose lines are all over, or whose window is, become `finalizing`; returns how many."""
    ending = case((_OPEN_SEGMENT, "expired"), else_="completed")
    values = {"status": "finalizing", "finalizing_at": now_ms(), "ending": ending}
    return connection.execute(update(batches).where(_OVER).values(**values)).rowcount


def claim(connection: Connection, lease: Lease, *, statuses: Sequence[str], lease_ms: int) -> bool:
    """Take a batch to plan or finalise it. False when another worker was faster."""
    where = batches.c.status.in_(statuses)
    return _LEASES.claim(connection, lease, where, lease_ms=lease_ms, lost_epochs=_LOST_EPOCHS)


def hold(connection: Connection, lease: Lease, *, statuses: Sequence[str], lease_ms: int) -> bool:
    """Fence the writes of this transaction. False when the lease is lost, or the batch is in another status."""
    return _LEASES.hold(connection, lease, _RUNS, batches.c.status.in_(statuses), lease_ms=lease_ms)


def release(connection: Connection, lease: Lease) -> None:
    """Give a batch back, if it still runs under this lease."""
    _LEASES.release(connection, lease, _RUNS)


def close_segments(connection: Connection, lease: Lease) -> bool:
    """No worker may write to any segment any more. False when one still holds a lease."""
    where = batch_segments.c.batch_id == lease.id
    leased = and_(where, batch_segments.c.state == "open", batch_segments.c.lease_until >= now_ms())
    if connection.execute(select(batch_segments.c.id).where(leased).limit(1)).first():
        return False
    connection.execute(
        update(batch_segments)
        .where(where, batch_segments.c.state == "open")
        .values(state="done", epoch=batch_segments.c.epoch + 1, **RELEASED)
    )
    return True


def facts(connection: Connection, batch_id: int) -> AnyRow:
    """What planning, running and finalising need to know of a batch."""
    statement = (
        select(
            batches,
            files.c.public_id.label("input_public_id"),
            files.c.filename.label("input_filename"),
            files.c.bytes.label("input_bytes"),
            blobs.c.key.label("input_key"),
        )
        .select_from(batches)
        .join(files, files.c.id == batches.c.input_file_id)
        .outerjoin(blobs, and_(blobs.c.id == files.c.blob_id, blobs.c.state == "live"))
        .where(batches.c.id == batch_id)
    )
    return connection.execute(statement).one()


def insert_lines(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Lines of a batch that is being planned."""
    connection.execute(insert(batch_lines), rows)


def duplicates(connection: Connection, batch_id: int, *, limit: int) -> Sequence[AnyRow]:
    """(line, custom_id) of lines whose custom_id an earlier line has, in order."""
    mine = batch_lines.c.batch_id == batch_id
    repeated = select(batch_lines.c.custom_id).where(mine).group_by(batch_lines.c.custom_id).having(func.count() > 1)
    firsts = (
        select(func.min(batch_lines.c.line))
        .where(mine, batch_lines.c.custom_id.in_(repeated))
        .group_by(batch_lines.c.custom_id)
    )
    statement = select(batch_lines.c.line, batch_lines.c.custom_id).where(
        mine, batch_lines.c.custom_id.in_(repeated), batch_lines.c.line.not_in(firsts)
    )
    return connection.execute(statement.order_by(batch_lines.c.line).limit(limit)).all()


def start(connection: Connection, lease: Lease, *, model: str, lines: int, segments: Sequence[tuple[int, int]]) -> None:
    """The plan is made: segments are there and the batch runs. The caller holds the lease in this transaction."""
    rows = [{"batch_id": lease.id, "first_line": first, "last_line": last, "state": "open"} for first, last in segments]
    connection.execute(insert(batch_segments), rows)
    connection.execute(
        update(batches)
        .where(batches.c.id == lease.id)
        .values(status="in_progress", in_progress_at=now_ms(), lines_total=lines, model=model, **RELEASED)
    )


def start_jobs(connection: Connection, lease: Lease, *, model: str, lines: int, jobs: Sequence[dict[str, Any]]) -> None:
    """The plan is made: jobs are there, none of them at its provider yet. The caller holds the lease.

    `jobs` are columns of batch_jobs. Each gets a segment that is done, for the chunks of its results to belong to.
    """
    segments = [
        {"batch_id": lease.id, "first_line": job["first_line"], "last_line": job["last_line"], "state": "done"}
        for job in jobs
    ]
    connection.execute(insert(batch_segments), segments)
    connection.execute(
        insert(batch_jobs).values(batch_id=lease.id, state="pending", next_at=now_ms()), [dict(job) for job in jobs]
    )
    values = {"lines_total": lines, "model": model, **RELEASED}
    connection.execute(update(batches).where(batches.c.id == lease.id).values(**values))


def fail(connection: Connection, lease: Lease, *, errors: list[dict[str, Any]]) -> None:
    """The input cannot be run. The caller holds the lease in this transaction."""
    connection.execute(
        update(batches)
        .where(batches.c.id == lease.id)
        .values(status="failed", failed_at=now_ms(), errors=errors, **RELEASED)
    )
    budgets.refund(connection, lease.id)


def slice_of_lines(connection: Connection, batch_id: int, *, after: int, limit: int) -> Sequence[AnyRow]:
    """Lines behind number `after`, in order, with the blob that holds each answer."""
    statement = (
        select(
            batch_lines.c.line,
            batch_lines.c.custom_id,
            batch_lines.c.state,
            batch_lines.c.response_offset,
            batch_lines.c.response_bytes,
            blobs.c.key.label("chunk_key"),
        )
        .outerjoin_from(batch_lines, batch_chunks, batch_chunks.c.id == batch_lines.c.chunk_id)
        .outerjoin(blobs, blobs.c.id == batch_chunks.c.blob_id)
        .where(batch_lines.c.batch_id == batch_id, batch_lines.c.line > after)
        .order_by(batch_lines.c.line)
        .limit(limit)
    )
    return connection.execute(statement).all()


def end(
    connection: Connection, lease: Lease, *, ending: str, output_file_id: int | None, error_file_id: int | None
) -> None:
    """The batch is over; lines without a result become expired or cancelled. The caller holds the lease."""
    values: dict[str, Any] = {"status": ending, _STAMPS[ending]: now_ms(), "ending": ending}
    if ending != "completed":
        left = connection.execute(
            update(batch_lines)
            .where(batch_lines.c.batch_id == lease.id, batch_lines.c.state == "pending")
            .values(state=ending)
        ).rowcount
        values[f"lines_{ending}"] = left
    values |= {"output_file_id": output_file_id, "error_file_id": error_file_id, **RELEASED}
    connection.execute(update(batches).where(batches.c.id == lease.id).values(**values))
    budgets.refund(connection, lease.id)
