"""The SQL of batch lines: sent, ended, read by clients, deleted by retention.

Rows that are read by the ten thousand are named tuples, which are built in a third of the time of a dataclass.
"""

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.sql import ColumnElement

from app.data.store import paging
from app.data.store.bulk import Bulk
from app.data.store.database import in_index_order, now_ms
from app.data.tables import batch_chunks, batch_line_waits, batch_lines, batch_segments, blobs

UNSUCCESSFUL = ("failed", "expired", "cancelled")

_RESULT_COLUMNS = (
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
_LINE = and_(batch_lines.c.batch_id == bindparam("the_batch"), batch_lines.c.line == bindparam("the_line"))
_RESULT = (
    update(batch_lines)
    .where(_LINE, batch_lines.c.state == "pending")
    .values(
        {name: bindparam(name) for name in _RESULT_COLUMNS}
        # Planning notes the dropped fields of lines that go into jobs; their results know nothing of them.
        | {"dropped_fields": func.coalesce(bindparam("result_dropped", type_=Text), batch_lines.c.dropped_fields)}
    )
)
_RETRIED = (
    update(batch_lines)
    .where(_LINE)
    .values(attempts=bindparam("attempts"), unknown_attempts=bindparam("unknown_attempts"))
)


class WaitingLine(NamedTuple):
    """A line of a segment that has no result yet. It was refused `refusals` times, the first time `refused_ms` ago."""

    line: int
    custom_id: str
    request_offset: int
    request_bytes: int
    attempts: int
    unknown_attempts: int
    refusals: int
    refused_ms: int | None


class LineOfJob(NamedTuple):
    """A line of a job; `error_code` of a pending one says why it is not sent."""

    line: int
    custom_id: str
    request_offset: int
    request_bytes: int
    error_code: str | None
    state: str


class RequestPlace(NamedTuple):
    """The place of a line's request in the input blob."""

    line: int
    request_offset: int
    request_bytes: int


class LineResult(NamedTuple):
    """How a line ended, and the place of its answer in a chunk.

    `result_dropped` (comma-separated) replaces the dropped fields that planning noted, unless it is None.
    """

    line: int
    state: str
    attempts: int
    unknown_attempts: int
    status_code: int | None
    error_code: str | None
    latency_ms: int | None
    input_tokens: int
    output_tokens: int
    result_dropped: str | None
    chunk_id: int
    response_offset: int
    response_bytes: int


class LineAttempts(NamedTuple):
    """How often a line was tried that is to be sent again."""

    line: int
    attempts: int
    unknown_attempts: int


class LineAnswer(NamedTuple):
    """A line with the place of its answer: a blob's key (None without an answer), offset and length."""

    line: int
    custom_id: str
    state: str
    error_code: str | None
    key: str | None
    response_offset: int | None
    response_bytes: int | None


class LineEnd(NamedTuple):
    """A line with the place of its answer, as LineAnswer has it, but with the row id of the chunk."""

    line: int
    custom_id: str
    state: str
    chunk_id: int | None
    response_offset: int | None
    response_bytes: int | None


class LineStatus(NamedTuple):
    """How a line goes, as clients see it. `dropped_fields` are comma-separated."""

    line: int
    custom_id: str
    wire_id: str | None
    state: str
    attempts: int
    unknown_attempts: int
    status_code: int | None
    error_code: str | None
    latency_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    dropped_fields: str | None


class DuplicateId(NamedTuple):
    """A line whose custom_id an earlier line has."""

    line: int
    custom_id: str


# A bind parameter may not be called like a column that the statement does not set with it.
_RESULTS = Bulk(_RESULT, ("the_line", *LineResult._fields[1:], "the_batch"))
_RETRIES = Bulk(_RETRIED, ("the_line", *LineAttempts._fields[1:], "the_batch"))
_WAITING = select(*(batch_lines.c[name] for name in WaitingLine._fields[:-2]))
_REFUSED = select(batch_line_waits.c.line, batch_line_waits.c.refusals, now_ms() - batch_line_waits.c.refused_since)
_OF_JOB = [batch_lines.c[name] for name in LineOfJob._fields]
_PLACE = [batch_lines.c[name] for name in RequestPlace._fields]
_STATUS = [batch_lines.c[name] for name in LineStatus._fields]
_line_end = partial(tuple.__new__, LineEnd)
_ENDS = select(*(batch_lines.c[name] for name in LineEnd._fields)).order_by(batch_lines.c.line)
_ANSWER = (
    select(
        batch_lines.c.line,
        batch_lines.c.custom_id,
        batch_lines.c.state,
        batch_lines.c.error_code,
        blobs.c.key,
        batch_lines.c.response_offset,
        batch_lines.c.response_bytes,
    )
    .outerjoin_from(batch_lines, batch_chunks, batch_chunks.c.id == batch_lines.c.chunk_id)
    .outerjoin(blobs, blobs.c.id == batch_chunks.c.blob_id)
    .order_by(batch_lines.c.line)
)

# A line that a job leaves out: it has an error code, and no provider answered with it.
_HELD_BACK = and_(batch_lines.c.error_code.is_not(None), batch_lines.c.status_code.is_(None))
_PENDING = batch_lines.c.state == "pending"


def end_of_last(connection: Connection, batch_id: int) -> tuple[int, int]:
    """The number of the last line that is in SQL, and the offset of its end in the input; 0 when there is none."""
    end = (batch_lines.c.request_offset + batch_lines.c.request_bytes).label("end")
    statement = select(batch_lines.c.line, end).where(batch_lines.c.batch_id == batch_id)
    row = connection.execute(statement.order_by(batch_lines.c.line.desc()).limit(1)).first()
    return (0, 0) if row is None else (row.line, row.end)


def duplicates(
    connection: Connection, batch_id: int, *, first_id: str, slice_lines: int, limit: int
) -> tuple[list[DuplicateId], str | None]:
    """(up to `limit` lines whose custom_id an earlier line has, the `first_id` of the next slice or None at the end).

    A slice is `slice_lines` lines in the order of their ids, from `first_id` on; the first one begins at "". It is read
    from the index in that order and numbered: joining the lines with themselves takes quadratic time on PostgreSQL
    while they have no statistics.
    """
    mine = and_(batch_lines.c.batch_id == batch_id, batch_lines.c.custom_id >= first_id)
    ordered = select(batch_lines.c.custom_id, batch_lines.c.line).where(mine).order_by(batch_lines.c.custom_id)
    following = ordered.offset(slice_lines - 1).limit(1)
    part = ordered.limit(slice_lines).subquery()
    earlier = func.row_number().over(partition_by=part.c.custom_id, order_by=part.c.line) - 1
    counted = select(part.c.line, part.c.custom_id, earlier.label("earlier")).subquery()
    repeated = select(counted.c.line, counted.c.custom_id).where(counted.c.earlier > 0).order_by(counted.c.line)
    with in_index_order(connection):
        last = connection.execute(following).first()
        rows = connection.execute(repeated.limit(limit)).all()
    return [DuplicateId(*row) for row in rows], None if last is None else str(last.custom_id)


def delete_lines(connection: Connection, batch_id: int, *, limit: int) -> int:
    """Delete up to `limit` lines of the batch; returns how many were deleted."""
    mine = select(batch_lines.c.line).where(batch_lines.c.batch_id == batch_id).order_by(batch_lines.c.line)
    with in_index_order(connection):
        last = connection.execute(mine.offset(limit - 1).limit(1)).scalar()
    statement = delete(batch_lines).where(batch_lines.c.batch_id == batch_id)
    if last is not None:
        statement = statement.where(batch_lines.c.line <= last)
    return connection.execute(statement).rowcount


def waiting(connection: Connection, batch_id: int, *, first: int, last: int) -> list[WaitingLine]:
    """Lines of a segment without a result, in order."""
    # Not joined: without statistics PostgreSQL looks at all waits of the batch for each line.
    waits = (batch_line_waits.c.batch_id == batch_id, batch_line_waits.c.line.between(first, last))
    refused = {line: (times, age_ms) for line, times, age_ms in connection.execute(_REFUSED.where(*waits))}
    statement = _WAITING.where(_within(batch_id, first, last), _PENDING).order_by(batch_lines.c.line)
    return [WaitingLine._make((*row, *refused.get(row.line, (0, None)))) for row in connection.execute(statement)]


def any_waiting_in_segment() -> ColumnElement[bool]:
    """True of a row of batch_segments while one of its lines has no result."""
    within = batch_lines.c.line.between(batch_segments.c.first_line, batch_segments.c.last_line)
    mine = batch_lines.c.batch_id == batch_segments.c.batch_id
    return exists(select(literal(1)).where(mine, within, _PENDING)).correlate(batch_segments)


def write_results(connection: Connection, batch_id: int, results: Iterable[LineResult]) -> int:
    """End pending lines; returns how many. A line that has ended already keeps its first result."""
    return _RESULTS.run(connection, [(*result, batch_id) for result in results])


def write_retries(connection: Connection, batch_id: int, attempts: Iterable[LineAttempts]) -> None:
    """Count the attempts of lines that are to be sent again."""
    _RETRIES.run(connection, [(*tried, batch_id) for tried in attempts])


def fail_pending(connection: Connection, batch_id: int, *, code: str) -> None:
    """Fail every line without a result, for the reason of the batch's jobs."""
    where = (batch_lines.c.batch_id == batch_id, _PENDING)
    connection.execute(update(batch_lines).where(*where).values(state="failed", error_code=code))


def end_pending(connection: Connection, batch_id: int, *, state: str, after: int, limit: int) -> int | None:
    """Put lines without a result into `state` (expired or cancelled), of the next `limit` lines after number `after`.

    Returns the number of the last of these, None when no lines follow.
    """
    mine = (batch_lines.c.batch_id == batch_id, batch_lines.c.line > after)
    ordered = select(batch_lines.c.line).where(*mine).order_by(batch_lines.c.line)
    with in_index_order(connection):
        last = connection.execute(ordered.offset(limit - 1).limit(1)).scalar()
    upto = (batch_lines.c.line <= last,) if last is not None else ()
    connection.execute(update(batch_lines).where(*mine, _PENDING, *upto).values(state=state))
    return last


def count_in(connection: Connection, batch_id: int, *, state: str) -> int:
    """How many lines of the batch are in `state`."""
    where = (batch_lines.c.batch_id == batch_id, batch_lines.c.state == state)
    return int(connection.execute(select(func.count()).select_from(batch_lines).where(*where)).scalar_one())


def to_send(connection: Connection, batch_id: int, *, first: int, last: int, limit: int) -> list[LineOfJob]:
    """At most `limit` lines from number `first` on that go into a job, in order."""
    return _of_job(connection, batch_id, batch_lines.c.error_code.is_(None), first=first, last=last, limit=limit)


def count_to_send(connection: Connection, batch_id: int, *, first: int, last: int) -> int:
    """How many lines go into a job."""
    where = and_(_within(batch_id, first, last), batch_lines.c.error_code.is_(None))
    return int(connection.execute(select(func.count()).select_from(batch_lines).where(where)).scalar_one())


def hold_back(connection: Connection, batch_id: int, line: int, *, code: str) -> None:
    """Leave a pending line out of its job, for the reason `code`."""
    where = (batch_lines.c.batch_id == batch_id, batch_lines.c.line == line, _PENDING)
    connection.execute(update(batch_lines).where(*where).values(error_code=code))


def nth_sent(connection: Connection, batch_id: int, *, first: int, last: int, position: int) -> int | None:
    """The number of the line that was the `position`-th of the job's input, counted from 1."""
    where = and_(_within(batch_id, first, last), ~_HELD_BACK)
    statement = select(batch_lines.c.line).where(where).order_by(batch_lines.c.line).offset(position - 1).limit(1)
    return connection.execute(statement).scalar()


def by_custom_id(
    connection: Connection, batch_id: int, custom_ids: Collection[str], *, first: int, last: int
) -> list[LineOfJob]:
    """The job's lines with these ids, in no order."""
    where = and_(_within(batch_id, first, last), batch_lines.c.custom_id.in_(list(custom_ids)))
    return [LineOfJob(*row) for row in connection.execute(select(*_OF_JOB).where(where))]


def by_number(
    connection: Connection, batch_id: int, numbers: Collection[int], *, first: int, last: int
) -> list[LineOfJob]:
    """The job's lines with these numbers, in no order."""
    own = [number for number in numbers if first <= number <= last]
    if not own:
        return []
    # `+ 0`: the index of the lines answers the range; for the list PostgreSQL may prefer another that reads them all.
    where = and_(_within(batch_id, min(own), max(own)), (batch_lines.c.line + 0).in_(own))
    return [LineOfJob(*row) for row in connection.execute(select(*_OF_JOB).where(where))]


def pending(
    connection: Connection, batch_id: int, *, first: int, last: int, only_held_back: bool, limit: int
) -> list[LineOfJob]:
    """At most `limit` lines from number `first` on without a result; `only_held_back`: those that were never sent."""
    where = and_(_PENDING, batch_lines.c.error_code.is_not(None)) if only_held_back else _PENDING
    return _of_job(connection, batch_id, where, first=first, last=last, limit=limit)


def statuses(connection: Connection, batch_id: int, *, state: str | None, after: int, limit: int) -> list[LineStatus]:
    """At most `limit` lines after number `after`, in order, all of them or those in `state`."""
    statement = _page(select(*_STATUS).order_by(batch_lines.c.line), batch_id, after=after, limit=limit)
    if state is not None:
        statement = statement.where(paging.few(batch_lines.c.state == state))
    with in_index_order(connection):
        return [LineStatus(*row) for row in connection.execute(statement)]


def answers(
    connection: Connection, batch_id: int, *, after: int, limit: int, only_ended: bool = False
) -> list[LineAnswer]:
    """At most `limit` lines after number `after`, in order; `only_ended` leaves out those without a result."""
    statement = _page(_ANSWER, batch_id, after=after, limit=limit)
    if only_ended:
        statement = statement.where(~_PENDING)
    with in_index_order(connection):
        return [LineAnswer(*row) for row in connection.execute(statement)]


def ends(connection: Connection, batch_id: int, *, after: int, limit: int) -> list[LineEnd]:
    """At most `limit` lines after number `after`, in order."""
    with in_index_order(connection):
        found = connection.execute(_page(_ENDS, batch_id, after=after, limit=limit))
        rows = found.cursor.fetchall()  # as the driver has them: SQLAlchemy's rows take longer than reading them
        found.close()
    return list(map(_line_end, rows))


def unsuccessful(
    connection: Connection, batch_id: int, *, after: int, limit: int, code: str | None = None
) -> list[RequestPlace]:
    """At most `limit` lines after number `after` that failed (with `code`), expired or were cancelled, in order."""
    statement = _page(select(*_PLACE).order_by(batch_lines.c.line), batch_id, after=after, limit=limit)
    statement = statement if code is None else statement.where(batch_lines.c.error_code == code)
    found: list[RequestPlace] = []
    for state in UNSUCCESSFUL:  # one by one, since the index has the lines of each in order
        rows = connection.execute(statement.where(paging.few(batch_lines.c.state == state)))
        found += [RequestPlace(*row) for row in rows]
    return sorted(found)[:limit]


def _of_job(
    connection: Connection, batch_id: int, where: ColumnElement[bool], *, first: int, last: int, limit: int
) -> list[LineOfJob]:
    statement = select(*_OF_JOB).where(_within(batch_id, first, last), where).order_by(batch_lines.c.line).limit(limit)
    return [LineOfJob(*row) for row in connection.execute(statement)]


def _page(statement: Select[Any], batch_id: int, *, after: int, limit: int) -> Select[Any]:
    return statement.where(batch_lines.c.batch_id == batch_id, batch_lines.c.line > after).limit(limit)


def _within(batch_id: int, first: int, last: int) -> ColumnElement[bool]:
    return and_(batch_lines.c.batch_id == batch_id, batch_lines.c.line.between(first, last))
