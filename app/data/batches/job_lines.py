"""Lines of a job: those to be sent, and those that results belong to."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, and_, func, select, update
from sqlalchemy.sql import ColumnElement

from app.data.store.database import AnyRow
from app.data.tables import batch_lines, batch_segments

_PLACE = (
    batch_lines.c.line,
    batch_lines.c.custom_id,
    batch_lines.c.request_offset,
    batch_lines.c.request_bytes,
    batch_lines.c.error_code,
)
_FOUND = (*_PLACE, batch_lines.c.state)


def to_send(connection: Connection, batch_id: int, *, first: int, last: int, limit: int) -> Sequence[AnyRow]:
    """At most `limit` lines from number `first` on that may be sent, in order."""
    where = and_(_within(batch_id, first, last), batch_lines.c.error_code.is_(None))
    return connection.execute(select(*_PLACE).where(where).order_by(batch_lines.c.line).limit(limit)).all()


def count_to_send(connection: Connection, batch_id: int, *, first: int, last: int) -> int:
    """How many lines may be sent."""
    where = and_(_within(batch_id, first, last), batch_lines.c.error_code.is_(None))
    return int(connection.execute(select(func.count()).select_from(batch_lines).where(where)).scalar_one())


def nth_sent(connection: Connection, batch_id: int, *, first: int, last: int, position: int) -> int | None:
    """The number of the line that was the `position`-th of the job's input, counted from 1."""
    refused = and_(batch_lines.c.error_code.is_not(None), batch_lines.c.status_code.is_(None))
    where = and_(_within(batch_id, first, last), ~refused)
    statement = select(batch_lines.c.line).where(where).order_by(batch_lines.c.line).offset(position - 1).limit(1)
    return connection.execute(statement).scalar()


def by_custom_id(
    connection: Connection, batch_id: int, custom_ids: Collection[str], *, first: int, last: int
) -> Sequence[AnyRow]:
    """What `_FOUND` names of the job's lines with these ids."""
    where = and_(_within(batch_id, first, last), batch_lines.c.custom_id.in_(list(custom_ids)))
    return connection.execute(select(*_FOUND).where(where)).all()


def by_number(
    connection: Connection, batch_id: int, numbers: Collection[int], *, first: int, last: int
) -> Sequence[AnyRow]:
    """What `_FOUND` names of the job's lines with these numbers."""
    where = and_(_within(batch_id, first, last), batch_lines.c.line.in_(list(numbers)))
    return connection.execute(select(*_FOUND).where(where)).all()


def pending(
    connection: Connection, batch_id: int, *, first: int, last: int, only_refused: bool, limit: int
) -> Sequence[AnyRow]:
    """At most `limit` lines from number `first` on without a result; `only_refused`: those that may not be sent."""
    where = and_(_within(batch_id, first, last), batch_lines.c.state == "pending")
    if only_refused:
        where = and_(where, batch_lines.c.error_code.is_not(None))
    return connection.execute(select(*_PLACE).where(where).order_by(batch_lines.c.line).limit(limit)).all()


def fail_pending(connection: Connection, batch_id: int, *, code: str) -> None:
    """All lines without a result have failed, for the reason of their jobs."""
    where = (batch_lines.c.batch_id == batch_id, batch_lines.c.state == "pending")
    connection.execute(update(batch_lines).where(*where).values(state="failed", error_code=code))


def segment_of(connection: Connection, batch_id: int, *, first: int) -> int:
    """The row that the chunks of a job belong to."""
    where = (batch_segments.c.batch_id == batch_id, batch_segments.c.first_line == first)
    return int(connection.execute(select(batch_segments.c.id).where(*where)).scalar_one())


def _within(batch_id: int, first: int, last: int) -> ColumnElement[bool]:
    return and_(batch_lines.c.batch_id == batch_id, batch_lines.c.line.between(first, last))
