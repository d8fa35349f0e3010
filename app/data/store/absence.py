"""Objects that their provider says it does not have: one such answer proves nothing, several over minutes do.

The columns are in `app.data.tables.meta.absence`. Looks that follow each other closely count as one.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, or_, select, update

from app.data.store.database import now_ms

LOOKS = 5
SETTLED_MS = 600_000
APART_MS = 60_000
# What was asked for: the object itself, or its bytes. A provider may have one and not the other.
OBJECT, CONTENT = "object", "content"

_FOUND = {"missing_at": None, "missing_looks": 0, "missing_part": None, "look_at": None}


def miss(connection: Connection, table: Table, row_id: int, *, part: str = OBJECT) -> bool:
    """Count a look that did not find a row's object, or its content. True when that is enough to believe it."""
    miss_all(connection, table, [row_id], part=part)
    is_gone = (table.c.id == row_id, believed(table))
    return connection.execute(select(table.c.id).where(*is_gone)).first() is not None


def miss_all(connection: Connection, table: Table, row_ids: Sequence[int], *, part: str = OBJECT) -> None:
    """As `miss`, for several rows."""
    is_apart = or_(table.c.look_at.is_(None), table.c.look_at <= now_ms())
    statement = update(table).where(table.c.id.in_(row_ids), is_apart)
    connection.execute(
        statement.values(
            missing_at=func.coalesce(table.c.missing_at, now_ms()),
            missing_looks=table.c.missing_looks + 1,
            missing_part=part,
            look_at=now_ms() + APART_MS,
        )
    )


def believed(table: Table) -> ColumnElement[bool]:
    """True of a row whose object was looked for often enough, for long enough."""
    return and_(table.c.missing_looks >= LOOKS, table.c.missing_at <= now_ms() - SETTLED_MS)


def found(connection: Connection, table: Table, row_id: int, *, part: str = OBJECT) -> None:
    """Forget the looks that did not find a row's object. Who has seen the object has not seen its content."""
    where = [table.c.id == row_id, table.c.missing_at.is_not(None)]
    if part != CONTENT:
        where.append(table.c.missing_part != CONTENT)
    connection.execute(update(table).where(*where).values(**_FOUND))


def cleared(table: Table) -> dict[str, Any]:
    """Columns of a row whose object has just been seen; missing content stays missing."""
    stays = table.c.missing_part == CONTENT
    return {name: case((stays, table.c[name]), else_=value) for name, value in _FOUND.items()}


def forgotten() -> dict[str, Any]:
    """Columns of a row for which counting starts again."""
    return dict(_FOUND)


def rest(connection: Connection, table: Table, row_id: int, *, for_ms: int | None = None) -> None:
    """Look again after `for_ms`, or only when a caller asks."""
    after = None if for_ms is None else now_ms() + for_ms
    connection.execute(update(table).where(table.c.id == row_id).values(look_at=after))
