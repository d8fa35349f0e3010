"""Lines that have run for a while, or wait to be sent again: rows that come and go while a batch runs."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    and_,
    bindparam,
    column,
    delete,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    table,
)
from sqlalchemy.dialects import postgresql, sqlite

from app.data.store.database import now_ms
from app.data.tables import batch_jobs, batch_line_waits, batch_segments, batches
from app.data.tables.batches import IS_RUNNING

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_KEPT = ("state", "epoch", "since", "until", "refusals", "refused_since", "kind", "status_code", "code", "message")

# Reasons that end when it is a batch's turn.
HAVE_TURNS = ("planning", "queue", "permits")
MAX_AHEAD = 1000
_ORDER = ("project_id", "status", "priority", "expires_at")


class NewWait(NamedTuple):
    """Why a line of a segment waits; milliseconds from now. `epoch` is that of the segment's lease."""

    line: int
    state: str
    epoch: int
    age_ms: int
    left_ms: int | None
    refusals: int
    refused_ms: int | None
    kind: str | None
    status_code: int | None
    code: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class WaitingOn:
    """Why a batch or a line waits. Instants are Unix milliseconds; `lines` are how many wait to be sent again.

    `message` is the provider's, of `store_away` the store's. `kind` is what the table of refusals makes of it, or
    `timeout`; `refusals` is how often that happened to the line that waits longest. `in_flight`, `ceiling` and
    `learned_limit` are of the account and model. `ahead` are batches of the project that come before this one, at most
    MAX_AHEAD. `jobs` are how many jobs there are in each state, and `polled_ms` is when one was last looked at.
    """

    reason: str
    since_ms: int | None
    until_ms: int | None = None
    lines: int = 0
    refusals: int = 0
    kind: str | None = None
    status_code: int | None = None
    code: str | None = None
    message: str | None = None
    in_flight: int = 0
    ceiling: int | None = None
    learned_limit: float | None = None
    ahead: int | None = None
    jobs: Mapping[str, int] = field(default_factory=dict)
    polled_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How fast a batch runs, of late, and when it ends if it goes on like that (Unix milliseconds)."""

    lines_per_second: float
    eta_ms: int | None


class LineWaiting(NamedTuple):
    """Why a line waits, as its row has it; instants are Unix milliseconds."""

    line: int
    state: str
    since: int
    until: int | None
    refusals: int
    kind: str | None
    status_code: int | None
    code: str | None
    message: str | None


_NAMES = (
    *("reason", "since_ms", "until_ms", "lines", "refusals", "kind", "status_code", "code", "message"),
    *("in_flight", "ceiling", "learned_limit"),
)
_VIEW = table("v_reasons", column("batch_id"), column("execution"), *(column(name) for name in _NAMES))
_PROGRESS = table("v_progress", column("batch_id"), column("lines_per_second"), column("eta_ms"))
_LINE = select(*(batch_line_waits.c[name] for name in LineWaiting._fields))


def of_batches(connection: Connection, batch_ids: Collection[int]) -> dict[int, WaitingOn]:
    """Why each of the batches waits that is not over."""
    rows = connection.execute(select(_VIEW).where(_VIEW.c.batch_id.in_(list(batch_ids)))).mappings().all()
    found = {row["batch_id"]: WaitingOn(**{name: row[name] for name in _NAMES}) for row in rows}
    native = _jobs(connection, [row["batch_id"] for row in rows if row["execution"] == "provider"])
    for batch_id, waits in found.items():
        ahead = _ahead(connection, batch_id) if waits.reason in HAVE_TURNS else None
        jobs, polled_ms = native.get(batch_id, ({}, None))
        found[batch_id] = replace(waits, ahead=ahead, jobs=jobs, polled_ms=polled_ms)
    return found


def progress(connection: Connection, batch_ids: Collection[int]) -> dict[int, Progress]:
    """How fast those of the batches run that do."""
    rows = connection.execute(select(_PROGRESS).where(_PROGRESS.c.batch_id.in_(list(batch_ids)))).all()
    return {
        row.batch_id: Progress(round(row.lines_per_second, 3), row.eta_ms)
        for row in rows
        if row.lines_per_second is not None
    }


def _ahead(connection: Connection, batch_id: int) -> int:
    """How many batches of the same project in the same status come before this one; no more than MAX_AHEAD."""
    own = connection.execute(select(*(batches.c[name] for name in _ORDER)).where(batches.c.id == batch_id)).one()
    sooner = or_(
        batches.c.priority > own.priority,
        and_(
            batches.c.priority == own.priority,
            or_(
                batches.c.expires_at < own.expires_at,
                and_(batches.c.expires_at == own.expires_at, batches.c.id < batch_id),
            ),
        ),
    )
    mine = and_(IS_RUNNING, batches.c.project_id == own.project_id, batches.c.status == own.status)
    held = or_(batches.c.paused_at.is_not(None), batches.c.not_before > now_ms())
    before = select(batches.c.id).where(mine, sooner, ~func.coalesce(held, false())).limit(MAX_AHEAD).subquery()
    return int(connection.execute(select(func.count()).select_from(before)).scalar_one())


def _jobs(connection: Connection, batch_ids: Collection[int]) -> dict[int, tuple[dict[str, int], int | None]]:
    """How many jobs each batch has in each state, and when one was last looked at."""
    if not batch_ids:
        return {}
    counted = select(
        batch_jobs.c.batch_id, batch_jobs.c.state, func.count().label("jobs"), func.max(batch_jobs.c.refreshed_at)
    ).group_by(batch_jobs.c.batch_id, batch_jobs.c.state)
    found: dict[int, tuple[dict[str, int], int | None]] = {}
    for batch_id, state, jobs, polled in connection.execute(counted.where(batch_jobs.c.batch_id.in_(list(batch_ids)))):
        states, before = found.get(batch_id, ({}, None))
        found[batch_id] = {**states, state: jobs}, max(filter(None, (before, polled)), default=None)
    return found


@dataclass(frozen=True, slots=True)
class WaitingBatch:
    """A batch that waits, and why. Instants are Unix milliseconds."""

    batch: str
    project: str
    provider: str
    reason: str
    since_ms: int | None
    until_ms: int | None
    lines: int
    refusals: int
    kind: str | None
    status_code: int | None
    code: str | None
    message: str | None
    in_flight: int
    ceiling: int | None
    learned_limit: float | None


_ALL = table("v_reasons", *(column(name) for name in WaitingBatch.__annotations__))


def list_all(connection: Connection, *, limit: int) -> list[WaitingBatch]:
    """At most `limit` batches that wait, the longest first."""
    rows = connection.execute(select(_ALL).order_by(_ALL.c.since_ms).limit(limit))
    return [WaitingBatch(**row._asdict()) for row in rows]


def of_lines(connection: Connection, batch_id: int, *, first: int, last: int) -> dict[int, LineWaiting]:
    """Why lines wait to be sent again, and since when others run; by number, from `first` to `last`."""
    held = exists(
        select(literal(1)).where(
            batch_segments.c.batch_id == batch_line_waits.c.batch_id,
            batch_line_waits.c.line.between(batch_segments.c.first_line, batch_segments.c.last_line),
            batch_segments.c.epoch == batch_line_waits.c.epoch,
            batch_segments.c.lease_until >= now_ms(),
        )
    )
    mine = and_(batch_line_waits.c.batch_id == batch_id, batch_line_waits.c.line.between(first, last))
    # What a worker wrote that is gone says nothing about what runs now.
    rows = connection.execute(_LINE.where(mine, (batch_line_waits.c.state == "retry") | held))
    return {row.line: LineWaiting(*row) for row in rows}


def note(connection: Connection, batch_id: int, waits: Iterable[NewWait]) -> None:
    """Record waits; one of a later epoch replaces an earlier one."""
    rows = [_row(batch_id, wait) for wait in waits]
    new = _INSERT[connection.dialect.name](batch_line_waits).values(
        batch_id=bindparam("batch_id"),
        line=bindparam("line"),
        since=now_ms() - bindparam("age_ms", type_=BigInteger),
        until=now_ms() + bindparam("left_ms", type_=BigInteger),
        refused_since=now_ms() - bindparam("refused_ms", type_=BigInteger),
        **{name: bindparam(name) for name in _KEPT if name not in ("since", "until", "refused_since")},
    )
    upsert = new.on_conflict_do_update(
        index_elements=["batch_id", "line"],
        set_={name: new.excluded[name] for name in _KEPT},
        where=batch_line_waits.c.epoch <= new.excluded.epoch,
    )
    connection.execute(upsert, rows)


def forget(connection: Connection, batch_id: int, lines: Collection[int]) -> None:
    """Delete the waits of lines that no longer do."""
    mine = (batch_line_waits.c.batch_id == batch_id, batch_line_waits.c.line.in_(list(lines)))
    connection.execute(delete(batch_line_waits).where(*mine))


def forget_ended(connection: Connection) -> None:
    """Delete the waits of batches that have ended."""
    # Few batches wait or run, and a statement that looked for those that have ended might read all of them.
    waiting = set(connection.execute(select(batch_line_waits.c.batch_id).distinct()).scalars())
    ended = waiting.difference(connection.execute(select(batches.c.id).where(IS_RUNNING)).scalars())
    if ended:
        connection.execute(delete(batch_line_waits).where(batch_line_waits.c.batch_id.in_(ended)))


def _row(batch_id: int, wait: NewWait) -> dict[str, Any]:
    return {"batch_id": batch_id, **wait._asdict()}
