"""Lines that have run for a while, or wait to be sent again: rows that come and go while a batch runs."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, and_, bindparam, column, delete, exists, literal, select, table
from sqlalchemy.dialects import postgresql, sqlite

from app.data.store.database import now_ms
from app.data.tables import batch_line_waits, batch_segments, batches
from app.data.tables.batches import IS_RUNNING

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_KEPT = ("state", "epoch", "since", "until", "refusals", "refused_since", "kind", "status_code", "code", "message")


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

    `message` is the provider's. `kind` is what the table of refusals makes of it, or `timeout`.
    """

    reason: str
    since_ms: int | None
    until_ms: int | None = None
    lines: int = 0
    kind: str | None = None
    status_code: int | None = None
    code: str | None = None
    message: str | None = None


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


_NAMES = ("batch_id", "reason", "since_ms", "until_ms", "lines", "kind", "status_code", "code", "message")
_VIEW = table("v_waiting", *(column(name) for name in _NAMES))
_LINE = select(*(batch_line_waits.c[name] for name in LineWaiting._fields))


def of_batches(connection: Connection, batch_ids: Collection[int]) -> dict[int, WaitingOn]:
    """Why each of the batches waits that does."""
    rows = connection.execute(select(_VIEW).where(_VIEW.c.batch_id.in_(list(batch_ids)))).mappings()
    return {row["batch_id"]: WaitingOn(**{name: row[name] for name in _NAMES if name != "batch_id"}) for row in rows}


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
    kind: str | None
    status_code: int | None
    code: str | None
    message: str | None


_ALL = table("v_waiting", *(column(name) for name in WaitingBatch.__annotations__))


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
