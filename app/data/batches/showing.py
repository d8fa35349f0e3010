"""What people look at of a batch: one line, and its failures by code."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from app.data.batches.lines import RequestPlace
from app.data.store import paging
from app.data.tables import batch_lines


@dataclass(frozen=True, slots=True)
class Failures:
    """How many lines ended with the same code and status, and the number of the first of them."""

    error_code: str | None
    status_code: int | None
    lines: int
    first_line: int


def place(connection: Connection, batch_id: int, line: int) -> RequestPlace | None:
    """Where the request of a line is in the input."""
    columns = (batch_lines.c.line, batch_lines.c.request_offset, batch_lines.c.request_bytes)
    where = (batch_lines.c.batch_id == batch_id, batch_lines.c.line == line)
    row = connection.execute(select(*columns).where(*where)).first()
    return None if row is None else RequestPlace(*row)


def numbered(connection: Connection, batch_id: int, custom_id: str) -> int | None:
    """The number of the first line with this id."""
    where = (batch_lines.c.batch_id == batch_id, batch_lines.c.custom_id == custom_id)
    return connection.execute(select(func.min(batch_lines.c.line)).where(*where)).scalar()


def failures(connection: Connection, batch_id: int, *, among: int) -> list[Failures]:
    """The first `among` lines that failed, by code and status, the most frequent first."""
    columns = (batch_lines.c.error_code, batch_lines.c.status_code, batch_lines.c.line)
    failed = paging.few(batch_lines.c.state == "failed")
    statement = select(*columns).where(batch_lines.c.batch_id == batch_id, failed)
    first = statement.order_by(batch_lines.c.line).limit(among).subquery()
    lines = func.count().label("lines")
    groups = select(first.c.error_code, first.c.status_code, lines, func.min(first.c.line))
    grouped = groups.group_by(first.c.error_code, first.c.status_code).order_by(lines.desc())
    return [Failures(*row) for row in connection.execute(grouped)]
