"""What goes on at this moment, in a few bounded queries: running batches, permits, ceilings, workers."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, tuple_

from app.data.store.database import now_ms
from app.data.tables import account_capacity, accounts, batches, capacity_permits, projects, workers
from app.data.tables.batches import IS_RUNNING

# A worker of the release before, which does not say until when it counts as alive.
SILENT_MS = 60_000


@dataclass(frozen=True, slots=True)
class RunningBatch:
    """A batch that is not over. `waiting` are its lines without a result; instants are Unix milliseconds."""

    id: int
    batch: str
    project: str
    account_id: int
    model: str | None
    execution: str
    status: str
    lines_total: int
    lines_completed: int
    lines_failed: int
    waiting: int
    began: int
    expires_at: int
    is_held: bool


@dataclass(frozen=True, slots=True)
class Permits:
    """What live workers hold of an account and model: permits, lines in flight, and permits that they want."""

    account_id: int
    model: str
    held: int
    in_flight: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How many lines may be in flight at an account for a model: by its settings, and as overload taught."""

    account_id: int
    model: str
    ceiling: int
    learned: float


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process. `seen_ms` is how long ago it was seen; `fault` is what keeps it from working."""

    host: str
    pid: int
    started_at: int
    seen_ms: int
    is_alive: bool
    fault: str | None


def running(connection: Connection, *, limit: int) -> list[RunningBatch]:
    """At most `limit` batches that are not over, in no order."""
    done = batches.c.lines_completed + batches.c.lines_failed + batches.c.lines_expired + batches.c.lines_cancelled
    # Not joined: without statistics PostgreSQL would read all projects for it.
    project = select(projects.c.name).where(projects.c.id == batches.c.project_id).scalar_subquery()
    columns = (
        batches.c.id,
        batches.c.public_id.label("batch"),
        project.label("project"),
        *(batches.c[name] for name in ("account_id", "model", "execution", "status")),
        *(batches.c[name] for name in ("lines_total", "lines_completed", "lines_failed")),
        (batches.c.lines_total - done).label("waiting"),
        func.coalesce(batches.c.in_progress_at, batches.c.created_at).label("began"),
        batches.c.expires_at,
        batches.c.paused_at.is_not(None).label("is_held"),
    )
    rows = connection.execute(select(*columns).where(IS_RUNNING, batches.c.deleted_at.is_(None)).limit(limit))
    return [RunningBatch(**row._asdict()) for row in rows]


def permits(connection: Connection, *, limit: int) -> list[Permits]:
    """What live workers hold, by account and model."""
    held = select(
        capacity_permits.c.capacity_id,
        func.sum(capacity_permits.c.held).label("held"),
        func.sum(func.coalesce(capacity_permits.c.in_flight, capacity_permits.c.held)).label("in_flight"),
        func.sum(capacity_permits.c.wanted).label("wanted"),
    ).where(capacity_permits.c.lease_until >= now_ms())
    rows = connection.execute(held.group_by(capacity_permits.c.capacity_id).limit(limit))
    found = {row.capacity_id: row for row in rows}
    named = select(account_capacity.c.id, account_capacity.c.account_id, account_capacity.c.model)
    return [
        Permits(row.account_id, row.model, int(one.held), int(one.in_flight), int(one.wanted))
        for row in connection.execute(named.where(account_capacity.c.id.in_(list(found))))
        for one in [found[row.id]]
    ]


def ceilings(connection: Connection, keys: Collection[tuple[int, str]]) -> list[Ceiling]:
    """The capacities of accounts and models that have one."""
    columns = (account_capacity.c.account_id, account_capacity.c.model)
    statement = select(*columns, account_capacity.c.ceiling, account_capacity.c.adapted_limit).where(
        tuple_(*columns).in_(list(keys))
    )
    return [Ceiling(*row) for row in connection.execute(statement)]


def account_names(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """PROVIDER/NAME of accounts."""
    statement = select(accounts.c.id, accounts.c.provider, accounts.c.name).where(accounts.c.id.in_(list(ids)))
    return {row.id: f"{row.provider}/{row.name}" for row in connection.execute(statement)}


def workers_seen(connection: Connection, *, limit: int) -> list[Worker]:
    """At most `limit` worker processes, the newest first."""
    until = func.coalesce(workers.c.lease_until, workers.c.seen_at + SILENT_MS)
    columns = (
        workers.c.host,
        workers.c.pid,
        workers.c.started_at,
        (now_ms() - workers.c.seen_at).label("seen_ms"),
        (until >= now_ms()).label("is_alive"),
        workers.c.fault,
    )
    rows = connection.execute(select(*columns).order_by(workers.c.id.desc()).limit(limit))
    return [Worker(**{**row._asdict(), "is_alive": bool(row.is_alive)}) for row in rows]


def clock_ms(connection: Connection) -> int:
    """The present instant, by the database's clock."""
    return int(connection.execute(select(now_ms())).scalar_one())
