"""Rows of events: written once, never edited."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select

from app.data.store.database import AnyRow, now_ms
from app.data.tables import events, projects, virtual_keys

# Built once: every write of the API runs it.
_INSERT = insert(events).values(created_at=now_ms())
_AT = select(events.c.id, events.c.created_at).order_by(events.c.id).limit(1)
# Ids are given out, and instants taken, a little before rows can be seen.
DISORDER_MS = 120_000


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events: those of a project (its name), an operation, an outcome, since an instant (Unix ms)."""

    project: str | None = None
    operation: str | None = None
    outcome: str | None = None
    since: int | None = None


def insert_event(connection: Connection, **values: Any) -> None:
    """One event; `values` are its columns but `id` and `created_at`."""
    connection.execute(_INSERT.values(**values))


def page(
    connection: Connection, filters: Filters, *, after: int | None, descending: bool, limit: int
) -> Sequence[AnyRow]:
    """Events in the order of their ids beyond `after`, at most `limit`, with the names of project and key."""
    statement = _filtered(connection, filters)
    if filters.since is not None:
        statement = statement.where(events.c.id >= _first_since(connection, filters.since - DISORDER_MS))
    if after is not None:
        statement = statement.where(events.c.id < after if descending else events.c.id > after)
    order = events.c.id.desc() if descending else events.c.id.asc()
    return connection.execute(statement.order_by(order).limit(limit)).all()


def of_ids(connection: Connection, filters: Filters, ids: Collection[int]) -> Sequence[AnyRow]:
    """Those of the events `ids` that fit, oldest first."""
    statement = _filtered(connection, filters).where(events.c.id.in_(ids))
    return connection.execute(statement.order_by(events.c.id)).all()


def ids_beyond(connection: Connection, after: int, *, limit: int) -> list[int]:
    """Ids of events beyond `after` in order, at most `limit`."""
    statement = select(events.c.id).where(events.c.id > after).order_by(events.c.id).limit(limit)
    return list(connection.execute(statement).scalars())


def ids_among(connection: Connection, wanted: Collection[int]) -> list[int]:
    """Which of the ids `wanted` there are."""
    return list(connection.execute(select(events.c.id).where(events.c.id.in_(wanted))).scalars())


def newest_ids(connection: Connection, limit: int) -> list[int]:
    """Ids of the newest `limit` events, oldest first."""
    statement = select(events.c.id).order_by(events.c.id.desc()).limit(limit)
    return list(connection.execute(statement).scalars())[::-1]


def _filtered(connection: Connection, filters: Filters) -> Select[Any]:
    statement = (
        select(events, projects.c.name.label("project"), virtual_keys.c.public_id.label("virtual_key"))
        .select_from(events)
        .outerjoin(projects, projects.c.id == events.c.project_id)
        .outerjoin(virtual_keys, virtual_keys.c.id == events.c.key_id)
    )
    if filters.project is not None:
        # As a number, from which PostgreSQL knows how rare the project is; there is no project 0.
        project = connection.execute(select(projects.c.id).where(projects.c.name == filters.project)).scalar()
        statement = statement.where(events.c.project_id == (project or 0))
    if filters.operation is not None:
        statement = statement.where(events.c.operation == filters.operation)
    if filters.outcome is not None:
        statement = statement.where(events.c.outcome == filters.outcome)
    if filters.since is not None:
        statement = statement.where(events.c.created_at >= filters.since)
    return statement


def _first_since(connection: Connection, instant: int) -> int:
    """The id of about the first event since `instant`: ids grow with time, so that halving finds it, unindexed."""
    low, high = connection.execute(select(func.min(events.c.id), func.max(events.c.id))).one()
    low, high = low or 0, (high or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(_AT.where(events.c.id >= middle)).first()
        if row is not None and row.created_at < instant:
            low = row.id + 1
        else:
            high = middle
    return int(low)
