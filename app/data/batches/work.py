"""Batches as workers move them on.

The gateway plans, ends and finalises a batch under the lease of the batch; every such write carries it. What follows
for a batch from its jobs is written under a lock instead, since several of them may end at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
    update,
)

from app.data.batches import lines as batch_lines
from app.data.batches import named_files
from app.data.batches.job_facts import Errors
from app.data.batches.jobs import Instant, NewJob, stamped
from app.data.batches.segments import HELD_UNTIL
from app.data.money import budgets
from app.data.store.database import now_ms
from app.data.store.leases import RELEASED, Lease, LeasedTable
from app.data.store.rows import columns
from app.data.tables import batch_jobs, batch_segments, batches, blobs, files, webhook_endpoints
from app.data.tables.batches import IS_RUNNING
from app.data.webhooks import outbox
from app.lib.states import TERMINAL

_LEASES = LeasedTable(batches)
_FREE = _LEASES.free
_RUNS = batches.c.status.not_in(TERMINAL)
# A claim that still finds a worker's name counts that worker as lost.
_LOST_EPOCHS = batches.c.lost_epochs + case((batches.c.worker.is_(None), 0), else_=1)
_LEASED_SEGMENT = exists(
    select(literal(1)).where(
        batch_segments.c.batch_id == batches.c.id,
        batch_segments.c.state == "open",
        batch_segments.c.lease_until >= now_ms(),
    )
).correlate(batches)
_HELD = and_(batch_segments.c.state == "open", batch_segments.c.lease_until == HELD_UNTIL)
_OPEN = and_(batch_segments.c.batch_id == batches.c.id, batch_segments.c.state == "open")
# Two conditions, since an index answers each: a batch may have many segments that are done.
_OPEN_SEGMENT = or_(
    exists(select(literal(1)).where(_OPEN, batch_segments.c.lease_until.is_(None)).correlate(batches)),
    exists(select(literal(1)).where(_OPEN, batch_segments.c.lease_until.is_not(None)).correlate(batches)),
)
_GATEWAY_RUN = batches.c.execution == "gateway"
_UNDONE_JOB = exists(
    select(literal(1)).where(batch_jobs.c.batch_id == batches.c.id, batch_jobs.c.state != "done")
).correlate(batches)
# A batch that a provider runs stays `validating` after it was planned, until one of its jobs runs.
_UNPLANNED = and_(IS_RUNNING, batches.c.status == "validating", or_(_GATEWAY_RUN, batches.c.lines_total == 0))
_UNFINISHED = and_(IS_RUNNING, batches.c.status.in_(("finalizing", "cancelling")), ~_LEASED_SEGMENT, ~_UNDONE_JOB)
_IN_PROGRESS = and_(IS_RUNNING, batches.c.status == "in_progress", _GATEWAY_RUN)
_EXPIRED = batches.c.expires_at <= now_ms()
_OVER = or_(and_(_IN_PROGRESS, or_(~_OPEN_SEGMENT, _EXPIRED)), and_(_UNPLANNED, _FREE, _EXPIRED))
_MAY_BE_DUE = union_all(
    select(literal(1)).select_from(batches).where(IS_RUNNING).limit(1).subquery().select(),
    select(literal(1)).select_from(batch_jobs).where(batch_jobs.c.state != "done").limit(1).subquery().select(),
    select(literal(1))
    .where(webhook_endpoints.c.next_at <= now_ms(), webhook_endpoints.c.deleted_at.is_(None))
    .limit(1)
    .subquery()
    .select(),
).limit(1)
# Small batches overtake large ones, but only among so many: a query reads no more, however many wait.
DUE_CONSIDERED = 50
DUE_RETURNED = 4
# Of a batch that ends with its last job; the names of more files go with its lines.
MOST_NAMES = 10_000
_STAMPS = {"completed": "completed_at", "expired": "expired_at", "cancelled": "cancelled_at"}


@dataclass(frozen=True, slots=True)
class DueBatch:
    """A batch that a worker may claim. `lost_epochs` counts workers that died with it, or failed on it."""

    id: int
    epoch: int
    lost_epochs: int
    public_id: str


@dataclass(frozen=True, slots=True)
class LockedBatch:
    """The batch of jobs that are about to be written."""

    id: int
    status: str
    lines_total: int
    in_progress_at: int | None
    finish_by: int | None


class BatchChanges(TypedDict, total=False):
    """Columns of a batch that follow from its jobs. Instants are Unix milliseconds, or NOW."""

    status: str
    ending: str
    errors: Errors
    lines_failed: int
    expires_at: int
    in_progress_at: Instant
    finalizing_at: Instant
    failed_at: Instant


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What planning, sending and finalising need to know of a batch and its input.

    `input_lines` is how many lines the upload counted, None if it did not; `input_key` is None when the bytes of the
    input file are deleted.
    """

    id: int
    public_id: str
    project_id: int
    key_id: int | None
    account_id: int
    provider: str
    execution: str
    endpoint: str
    model_override: str | None
    status: str
    ending: str | None
    lines_total: int
    output_expires_after_s: int | None
    expires_at: int
    input_bytes: int
    input_lines: int | None
    input_key: str | None


_FACTS = (
    select(
        *columns(batches, BatchFacts),
        files.c.bytes.label("input_bytes"),
        files.c.lines.label("input_lines"),
        blobs.c.key.label("input_key"),
    )
    .select_from(batches)
    .join(files, files.c.id == batches.c.input_file_id)
    .outerjoin(blobs, and_(blobs.c.id == files.c.blob_id, blobs.c.state == "live"))
)


def may_be_due(connection: Connection) -> bool:
    """True while a batch or a job is not over, so that something may become due at any time, or webhooks are due."""
    return connection.execute(_MAY_BE_DUE).first() is not None


def count_running(connection: Connection) -> int:
    """How many batches are not over."""
    return int(connection.execute(select(func.count()).select_from(batches).where(IS_RUNNING)).scalar_one())


def projects_to_plan(connection: Connection) -> Sequence[int]:
    """Projects with a batch that waits to be planned, or is being planned."""
    return connection.execute(select(batches.c.project_id).where(_UNPLANNED).distinct()).scalars().all()


def to_plan(connection: Connection, project_id: int) -> Sequence[DueBatch]:
    """A few batches of the project that wait to be planned: of those with the highest priority and
    the earliest deadlines, the smallest."""
    return _due(connection, project_id, _UNPLANNED)


def projects_to_finalise(connection: Connection) -> Sequence[int]:
    """Projects with a batch that is to be finalised, or is being finalised."""
    return connection.execute(select(batches.c.project_id).where(_UNFINISHED).distinct()).scalars().all()


def projects_to_index(connection: Connection) -> Sequence[int]:
    """Projects with a batch that has been started, but some of whose lines are not in SQL yet."""
    statement = select(batches.c.project_id).join_from(batch_segments, batches).where(_HELD)
    return connection.execute(statement.distinct()).scalars().all()


def to_index(connection: Connection, project_id: int) -> Sequence[DueBatch]:
    """As `to_plan`, of batches that have been started, but some of whose lines are not in SQL yet."""
    held = batches.c.id.in_(select(batch_segments.c.batch_id).where(_HELD))
    return _due(connection, project_id, and_(IS_RUNNING, held))


def to_finalise(connection: Connection, project_id: int) -> Sequence[DueBatch]:
    """As `to_plan`, of batches that send no more lines, and of which no worker holds any part."""
    return _due(connection, project_id, _UNFINISHED)


def any_due(connection: Connection) -> bool:
    """True when `end_due` has something to do."""
    return connection.execute(select(batches.c.id).where(_OVER).limit(1)).first() is not None


def end_due(connection: Connection) -> int:
    """Batches whose lines have all ended, or whose window has, become `finalizing`; returns how many."""
    ending = case((or_(_OPEN_SEGMENT, batches.c.status == "validating"), "expired"), else_="completed")
    values = {"status": "finalizing", "finalizing_at": now_ms(), "ending": ending}
    return connection.execute(update(batches).where(_OVER).values(**values)).rowcount


def claim(connection: Connection, lease: Lease, *, statuses: Sequence[str], lease_ms: int) -> bool:
    """Take a batch to plan or finalise it. False when another worker was faster."""
    where = batches.c.status.in_(statuses)
    return _LEASES.claim(connection, lease, where, lease_ms=lease_ms, lost_epochs=_LOST_EPOCHS)


def hold(connection: Connection, lease: Lease, *, statuses: Sequence[str], lease_ms: int) -> bool:
    """Fence the writes of this transaction. False when the lease is lost, or the batch is in another status."""
    return _LEASES.hold(connection, lease, _RUNS, batches.c.status.in_(statuses), lease_ms=lease_ms)


def renew(
    connection: Connection, leases: Sequence[Lease], *, worker: str, statuses: Sequence[str], lease_ms: int
) -> set[int]:
    """Renew the leases that `worker` still holds; returns the ids of those batches that are in one of `statuses`."""
    return _LEASES.renew(connection, leases, batches.c.status.in_(statuses), worker=worker, lease_ms=lease_ms)


def release(connection: Connection, lease: Lease) -> None:
    """Give a batch back that has not ended."""
    _LEASES.release(connection, lease, _RUNS)


def close_segments(connection: Connection, lease: Lease) -> bool:
    """Close all segments, so that no worker writes to them any more. False while one is leased."""
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


def facts(connection: Connection, batch_id: int) -> BatchFacts:
    """A batch as its workers need it."""
    row = connection.execute(_FACTS.where(batches.c.id == batch_id)).one()
    return BatchFacts(**row._asdict())


def input_facts(connection: Connection, batch_id: int) -> dict[str, Any] | None:
    """What was found out about the bytes of a batch's input while they were stored."""
    statement = (
        select(blobs.c.input_facts)
        .select_from(batches)
        .join(files, files.c.id == batches.c.input_file_id)
        .join(blobs, and_(blobs.c.id == files.c.blob_id, blobs.c.state == "live"))
    )
    found: dict[str, Any] | None = connection.execute(statement.where(batches.c.id == batch_id)).scalar()
    return found


def start(
    connection: Connection,
    lease: Lease,
    *,
    model: str,
    lines: int,
    segments: Sequence[tuple[int, int]],
    indexed_to: int,
) -> None:
    """Run a planned batch in `segments` (first and last line of each). The caller holds the lease.

    The lines up to number `indexed_to` are in SQL; segments with later ones are held until they are let go.
    """
    rows = [
        {
            "batch_id": lease.id,
            "first_line": first,
            "last_line": last,
            "state": "open",
            "lease_until": None if last <= indexed_to else HELD_UNTIL,
        }
        for first, last in segments
    ]
    connection.execute(insert(batch_segments), rows)
    connection.execute(
        update(batches)
        .where(batches.c.id == lease.id)
        .values(status="in_progress", in_progress_at=now_ms(), lines_total=lines, model=model, **RELEASED)
    )


def start_jobs(connection: Connection, lease: Lease, *, model: str, lines: int, jobs: Sequence[NewJob]) -> None:
    """Run a planned batch as `jobs`, none of which is at its provider yet. The caller holds the lease.

    Each job gets a segment that is done, for the chunks of its results to belong to.
    """
    segments = [
        {"batch_id": lease.id, "first_line": job.first_line, "last_line": job.last_line, "state": "done"}
        for job in jobs
    ]
    connection.execute(insert(batch_segments), segments)
    rows = [job.columns() for job in jobs]
    connection.execute(insert(batch_jobs).values(batch_id=lease.id, state="pending", next_at=now_ms()), rows)
    values = {"lines_total": lines, "model": model, **RELEASED}
    connection.execute(update(batches).where(batches.c.id == lease.id).values(**values))


def fail(connection: Connection, lease: Lease, *, errors: Errors) -> None:
    """Fail a batch whose input cannot be run; `errors` become its `errors.data`. The caller holds the lease."""
    connection.execute(
        update(batches)
        .where(batches.c.id == lease.id)
        .values(status="failed", failed_at=now_ms(), errors=errors, **RELEASED)
    )
    budgets.refund(connection, lease.id)
    outbox.announce(connection, lease.id)


def end(
    connection: Connection, lease: Lease, *, ending: str, output_file_id: int | None, error_file_id: int | None
) -> None:
    """End the batch, whose lines have all ended. The caller holds the lease."""
    values: dict[str, Any] = {"status": ending, _STAMPS[ending]: now_ms(), "ending": ending}
    if ending != "completed":
        values[f"lines_{ending}"] = batch_lines.count_in(connection, lease.id, state=ending)
    values |= {"output_file_id": output_file_id, "error_file_id": error_file_id, **RELEASED}
    connection.execute(update(batches).where(batches.c.id == lease.id).values(**values))
    budgets.refund(connection, lease.id)
    outbox.announce(connection, lease.id)


def lock(connection: Connection, batch_id: int) -> LockedBatch:
    """Lock the batch of jobs that are about to be written: before the jobs, so that two that end see each other."""
    statement = select(*columns(batches, LockedBatch)).where(batches.c.id == batch_id)
    return LockedBatch(*connection.execute(statement.with_for_update()).one())


def follow(connection: Connection, batch_id: int, counts: Mapping[str, int], **changes: Unpack[BatchChanges]) -> None:
    """Write what follows for a batch from its jobs, unless it has ended; `counts` are its counters by column."""
    where = (batches.c.id == batch_id, batches.c.status.not_in(TERMINAL))
    written = connection.execute(update(batches).where(*where).values(**{**counts, **stamped(changes)})).rowcount
    if written and changes.get("status") in TERMINAL:
        budgets.refund(connection, batch_id)
        named_files.drop(connection, batch_id, limit=MOST_NAMES)
        outbox.announce(connection, batch_id)


def _due(connection: Connection, project_id: int, where: ColumnElement[bool]) -> Sequence[DueBatch]:
    first = (
        select(
            batches.c.id,
            batches.c.epoch,
            _LOST_EPOCHS.label("lost"),
            batches.c.public_id,
            batches.c.priority,
            batches.c.expires_at,
            files.c.bytes,
        )
        .join_from(batches, files, files.c.id == batches.c.input_file_id)
        .where(batches.c.project_id == project_id, where, _FREE)
        .order_by(batches.c.priority.desc(), batches.c.expires_at, batches.c.id)
        .limit(DUE_CONSIDERED)
        .subquery()
    )
    statement = select(first.c.id, first.c.epoch, first.c.lost, first.c.public_id).order_by(
        first.c.priority.desc(), first.c.bytes, first.c.expires_at, first.c.id
    )
    return [DueBatch(*row) for row in connection.execute(statement.limit(DUE_RETURNED))]
