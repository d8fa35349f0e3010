"""Segments: which one a worker takes next, their leases, and the chunks that their results go into."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql import ColumnElement

from app.data.batches import lines
from app.data.store.database import inserted_id, now_ms
from app.data.store.leases import Lease, LeasedTable
from app.data.tables import accounts, batch_chunks, batch_permits, batch_segments, batches, blobs
from app.data.tables.batches import IS_RUNNING

_LEASES = LeasedTable(batch_segments)
# The lease of a segment whose lines are not in SQL yet: nobody's, and without an end (it is the last day of year 9999).
HELD_UNTIL = 253_402_214_400_000
_OPEN = batch_segments.c.state == "open"
_OF_BATCH = and_(batch_segments.c.batch_id == batches.c.id, _OPEN)
# Two conditions, since an index answers each: a batch may have many segments that are done, or leased.
_HAS_FREE = or_(
    exists(select(literal(1)).where(_OF_BATCH, batch_segments.c.lease_until.is_(None)).correlate(batches)),
    exists(select(literal(1)).where(_OF_BATCH, batch_segments.c.lease_until < now_ms()).correlate(batches)),
)
_NOT_HELD = and_(
    batches.c.paused_at.is_(None),
    or_(batches.c.not_before.is_(None), batches.c.not_before <= now_ms()),
    or_(batches.c.off_peak_until.is_(None), batches.c.off_peak_until > now_ms()),
)
_BATCH_RUNS = exists(
    select(literal(1)).where(batches.c.id == batch_segments.c.batch_id, batches.c.status == "in_progress", _NOT_HELD)
)
# A claim that still finds a worker's name counts that worker as lost.
_LOST_EPOCHS = batch_segments.c.lost_epochs + case((batch_segments.c.worker.is_(None), 0), else_=1)


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """A segment that may be claimed. `worker` is the last holder, if it went silent; `left_ms` is left of the window,
    and the batch has been running for `age_ms`.

    `probe_line` is the line that the last holder was sending alone, `public_id` the batch's.
    """

    id: int
    batch_id: int
    epoch: int
    first_line: int
    last_line: int
    lost_epochs: int
    probe_line: int | None
    worker: str | None
    project_id: int
    account_id: int
    model: str
    left_ms: int
    age_ms: int
    public_id: str
    priority: int
    concurrency: int | None


@dataclass(frozen=True, slots=True)
class Steered:
    """How a batch is to be run: not at all any more (`is_over`), not now (`is_held`), or as the other fields say."""

    id: int
    is_over: bool
    is_held: bool
    priority: int
    left_ms: int
    concurrency: int | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where answers are in the blob store, and how many bytes there are."""

    key: str
    bytes: int


_SEGMENT = select(
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
    (now_ms() - func.coalesce(batches.c.in_progress_at, batches.c.created_at)).label("age_ms"),
    batches.c.public_id,
    batches.c.priority,
    batches.c.concurrency,
).join_from(batch_segments, batches)
# Of a batch with a limit of its own, the lines that others have in flight leave room.
_OTHERS = (
    select(func.coalesce(func.sum(batch_permits.c.held), 0))
    .where(
        batch_permits.c.batch_id == batches.c.id,
        batch_permits.c.worker != bindparam("worker"),
        batch_permits.c.lease_until >= now_ms(),
    )
    .correlate(batches)
    .scalar_subquery()
)
_HAS_PERMITS = or_(batches.c.concurrency.is_(None), batches.c.concurrency > _OTHERS)
# What comes first of one project's batches.
_ORDER = (batches.c.priority.desc(), batches.c.expires_at, batches.c.id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `worker` may claim: segments of these accounts, but not of the projects, with an account and a model, in
    `skip`, nor of the batches in `used_up`, of which it needs no more.
    """

    worker: str
    accounts: Collection[int]
    skip: Collection[tuple[int, int, str]] = ()
    used_up: Collection[int] = ()


def projects_with_work(connection: Connection, wanted: Wanted) -> Sequence[int]:
    """Projects with a segment to claim, those with the fewest leased segments first."""
    return connection.execute(_projects(bool(wanted.skip)), _values(wanted)).scalars().all()


@cache
def _projects(skips: bool) -> Select[Any]:
    """Built once: workers ask this all the time, and building it takes longer than answering it."""
    leased = (
        select(batches.c.project_id, func.count().label("leased"))
        .join_from(batch_segments, batches)
        .where(_OPEN, batch_segments.c.lease_until >= now_ms(), batch_segments.c.lease_until < HELD_UNTIL)
        .group_by(batches.c.project_id)
        .subquery()
    )
    return (
        select(batches.c.project_id)
        .outerjoin_from(batches, leased, batches.c.project_id == leased.c.project_id)
        .where(_runnable(skips))
        .group_by(batches.c.project_id, leased.c.leased)
        .order_by(func.coalesce(leased.c.leased, 0), func.min(batches.c.expires_at))
    )


def next_segment(connection: Connection, wanted: Wanted, *, project_id: int) -> OpenSegment | None:
    """The first free segment of the project's batch with the highest priority, and then the earliest deadline."""
    row = connection.execute(_next(bool(wanted.skip)), {"project": project_id, **_values(wanted)}).first()
    return None if row is None else OpenSegment(**row._asdict())


def sooner_segment(
    connection: Connection, wanted: Wanted, *, lane: tuple[int, int, str], priority: int, left_ms: int
) -> OpenSegment | None:
    """As `next_segment`, of a lane that `wanted` may skip, if it comes before what this priority and deadline have."""
    project_id, account_id, model = lane
    values = {"project": project_id, "account": account_id, "model": model, "priority": priority, "left_ms": left_ms}
    row = connection.execute(_sooner(), {**values, **_values(replace(wanted, skip=()))}).first()
    return None if row is None else OpenSegment(**row._asdict())


@cache
def _next(skips: bool) -> Select[Any]:
    return _first_of(batches.c.project_id == bindparam("project"), _runnable(skips))


@cache
def _sooner() -> Select[Any]:
    lane = (batches.c.account_id == bindparam("account"), batches.c.model == bindparam("model"))
    before = or_(
        batches.c.priority > bindparam("priority"),
        and_(
            batches.c.priority == bindparam("priority"),
            batches.c.expires_at < now_ms() + bindparam("left_ms", type_=BigInteger),
        ),
    )
    return _first_of(batches.c.project_id == bindparam("project"), *lane, before, _runnable(skips=False))


def _first_of(*where: ColumnElement[bool]) -> Select[Any]:
    batch = select(batches.c.id).where(*where).order_by(*_ORDER).limit(1).scalar_subquery()
    mine = (batch_segments.c.batch_id == batch, _OPEN, _LEASES.free)
    return _SEGMENT.where(*mine).order_by(batch_segments.c.first_line).limit(1)


def claim(connection: Connection, lease: Lease, *, lease_ms: int) -> bool:
    """Take a free segment of a batch that runs. False when another worker was faster, or a person has paused it."""
    return _LEASES.claim(connection, lease, _OPEN, _BATCH_RUNS, lease_ms=lease_ms, lost_epochs=_LOST_EPOCHS)


def renew(connection: Connection, leases: Collection[Lease], *, worker: str, lease_ms: int) -> set[int]:
    """Renew the leases that `worker` still holds; returns the ids of those segments."""
    return _LEASES.renew(connection, leases, _OPEN, worker=worker, lease_ms=lease_ms)


def hold(connection: Connection, lease: Lease, *, lease_ms: int) -> bool:
    """Fence the writes of this transaction. False when the lease is lost."""
    return _LEASES.hold(connection, lease, _OPEN, lease_ms=lease_ms)


def let_go(connection: Connection, batch_id: int, *, last_line: int) -> None:
    """Offer the held segments of a batch up to `last_line`: their lines are in SQL now."""
    held = (batch_segments.c.batch_id == batch_id, _OPEN, batch_segments.c.lease_until == HELD_UNTIL)
    upto = batch_segments.c.last_line <= last_line
    connection.execute(update(batch_segments).where(*held, upto).values(lease_until=None))


def release(connection: Connection, lease: Lease) -> None:
    """Give a segment back."""
    _LEASES.release(connection, lease, _OPEN)


def close_if_done(connection: Connection, lease: Lease) -> None:
    """Mark the segment done when each of its lines has a result."""
    _LEASES.release(connection, lease, _OPEN, ~lines.any_waiting_in_segment(), state="done")


def set_probe(connection: Connection, lease: Lease, *, line: int | None) -> bool:
    """Note which line of a segment that runs alone is about to be sent. False when the lease is lost."""
    return _LEASES.write(connection, lease, _OPEN, probe_line=line)


def steered(connection: Connection, batch_ids: Collection[int]) -> list[Steered]:
    """How the batches are to be run from now on."""
    return [Steered(*row) for row in connection.execute(_steered(), {"ids": list(batch_ids)})]


@cache
def _steered() -> Select[Any]:
    disabled = select(accounts.c.id).where(accounts.c.disabled_at.is_not(None))
    return select(
        batches.c.id,
        (batches.c.status != "in_progress").label("is_over"),
        or_(batches.c.account_id.in_(disabled), ~_NOT_HELD).label("is_held"),
        batches.c.priority,
        (batches.c.expires_at - now_ms()).label("left_ms"),
        batches.c.concurrency,
    ).where(batches.c.id.in_(bindparam("ids", expanding=True)))


def of_job(connection: Connection, batch_id: int, *, first: int) -> int:
    """The segment that the chunks of the job with the first line `first` belong to."""
    where = (batch_segments.c.batch_id == batch_id, batch_segments.c.first_line == first)
    return int(connection.execute(select(batch_segments.c.id).where(*where)).scalar_one())


def insert_chunk(
    connection: Connection, *, batch_id: int, segment_id: int, epoch: int, blob_id: int, lines: int, size: int
) -> int:
    """The row of a chunk whose blob is settled in the same transaction; `size` is bytes. Returns its id."""
    values = {"batch_id": batch_id, "segment_id": segment_id, "blob_id": blob_id, "epoch": epoch}
    return inserted_id(connection, insert(batch_chunks).values(lines=lines, bytes=size, created_at=now_ms(), **values))


def chunks(connection: Connection, chunk_ids: Collection[int]) -> dict[int, Chunk]:
    """Chunks by their row ids, of which some may be unknown."""
    if not chunk_ids:
        return {}
    mine = select(batch_chunks.c.id, batch_chunks.c.blob_id, batch_chunks.c.bytes)
    rows = connection.execute(mine.where(batch_chunks.c.id.in_(chunk_ids))).all()
    # Not joined: without statistics PostgreSQL reads all blobs.
    theirs = select(blobs.c.id, blobs.c.key).where(blobs.c.id.in_([row.blob_id for row in rows]))
    keys = {row.id: row.key for row in connection.execute(theirs)}
    return {row.id: Chunk(keys[row.blob_id], row.bytes) for row in rows}


def count(connection: Connection, batch_id: int, **added: int) -> None:
    """Add to the live counters of a batch."""
    names = tuple(name for name, number in added.items() if number)
    if names:
        numbers = {f"more_{name}": added[name] for name in names}
        connection.execute(_adding(names), {"the_batch": batch_id, **numbers})


@lru_cache(maxsize=256)
def _adding(names: tuple[str, ...]) -> Update:
    values = {name: batches.c[name] + bindparam(f"more_{name}") for name in names}
    return update(batches).where(batches.c.id == bindparam("the_batch")).values(values)


def _values(wanted: Wanted) -> dict[str, Any]:
    """The parameters of `_runnable`."""
    values = {"worker": wanted.worker, "accounts": list(wanted.accounts), "used_up": list(wanted.used_up)}
    return {**values, "skip": list(wanted.skip)} if wanted.skip else values


def _runnable(skips: bool) -> ColumnElement[bool]:
    runnable = and_(
        IS_RUNNING,
        batches.c.status == "in_progress",
        batches.c.execution == "gateway",
        batches.c.expires_at > now_ms(),
        batches.c.account_id.in_(bindparam("accounts", expanding=True)),
        batches.c.id.not_in(bindparam("used_up", expanding=True)),
        _NOT_HELD,
        _HAS_PERMITS,
        _HAS_FREE,
    )
    lane = tuple_(batches.c.project_id, batches.c.account_id, batches.c.model)
    return and_(runnable, lane.not_in(bindparam("skip", expanding=True))) if skips else runnable
