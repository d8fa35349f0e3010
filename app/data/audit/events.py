"""Queries on events: written once, never edited, and deleted when they are old."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, Select, delete, func, insert, select

from app.data.store import paging
from app.data.store.database import now_ms
from app.data.tables import events, projects, virtual_keys

# Built once: every API call that writes runs it.
_INSERT = insert(events).values(created_at=now_ms())
_AT = select(events.c.id, events.c.created_at).order_by(events.c.id).limit(1)
# A transaction takes its id and instant before it commits, so rows may become visible this much out of order.
DISORDER_MS = 120_000


@dataclass(frozen=True, slots=True)
class Filters:
    """Selects events by project name, operation, outcome, earliest instant (Unix ms) and object. None selects all."""

    project: str | None = None
    operation: str | None = None
    outcome: str | None = None
    since: int | None = None
    object_id: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `created_at` is Unix milliseconds; `actor` is a key, a JWT subject or the operator."""

    id: int
    created_at: int
    project: str | None
    virtual_key: str | None
    actor: str | None
    address: str | None
    source: str
    operation: str
    object_id: str | None
    outcome: str
    status_code: int | None
    latency_ms: int | None
    request_id: str
    detail: Mapping[str, Any] | None


class EventValues(TypedDict, total=False):
    """Columns of a new event; `created_at` is the current time of the database's clock."""

    request_id: str
    project_id: int | None
    key_id: int | None
    source: str
    operation: str
    object_id: str | None
    outcome: str
    status_code: int | None
    latency_ms: int | None
    actor: str | None
    address: str | None
    detail: dict[str, Any] | None


_JOINED = {
    "project": projects.c.name.label("project"),
    "virtual_key": virtual_keys.c.public_id.label("virtual_key"),
}
_COLUMNS = [_JOINED[each.name] if each.name in _JOINED else events.c[each.name] for each in fields(Event)]


def insert_event(connection: Connection, **values: Unpack[EventValues]) -> None:
    """Inserts one event."""
    connection.execute(_INSERT.values(**values))


def page(
    connection: Connection, filters: Filters, *, after: int | None, descending: bool, limit: int
) -> Sequence[Event]:
    """Returns at most `limit` events in order of their ids, after the id `after`."""
    statement = _filtered(connection, filters)
    if filters.since is not None:
        statement = statement.where(events.c.id >= _first_since(connection, filters.since - DISORDER_MS))
    if after is not None:
        statement = statement.where(events.c.id < after if descending else events.c.id > after)
    order = events.c.id.desc() if descending else events.c.id.asc()
    return [Event(**row._mapping) for row in connection.execute(statement.order_by(order).limit(limit))]


def of_ids(connection: Connection, filters: Filters, ids: Collection[int]) -> Sequence[Event]:
    """Returns those of the events `ids` that match the filters, oldest first."""
    statement = _filtered(connection, filters).where(events.c.id.in_(ids))
    return [Event(**row._mapping) for row in connection.execute(statement.order_by(events.c.id))]


def ids_beyond(connection: Connection, after: int, *, limit: int) -> list[int]:
    """Returns at most `limit` event ids after `after`, in order."""
    statement = select(events.c.id).where(events.c.id > after).order_by(events.c.id).limit(limit)
    return list(connection.execute(statement).scalars())


def ids_among(connection: Connection, ids: Collection[int]) -> list[int]:
    """Returns those of `ids` that exist."""
    return list(connection.execute(select(events.c.id).where(events.c.id.in_(ids))).scalars())


def drop(connection: Connection, *, older_than_ms: int, limit: int) -> int:
    """Deletes at most `limit` events that are older than `older_than_ms`, oldest first; returns how many."""
    now = int(connection.execute(select(now_ms())).scalar_one())
    first_kept = _first_since(connection, now - older_than_ms)
    oldest = select(events.c.id).where(events.c.id < first_kept).order_by(events.c.id).limit(limit)
    return connection.execute(delete(events).where(events.c.id.in_(oldest))).rowcount


def newest_ids(connection: Connection, limit: int) -> list[int]:
    """Returns the ids of the newest `limit` events, oldest first."""
    statement = select(events.c.id).order_by(events.c.id.desc()).limit(limit)
    return list(connection.execute(statement).scalars())[::-1]


def _filtered(connection: Connection, filters: Filters) -> Select[Any]:
    statement = (
        select(*_COLUMNS)
        .select_from(events)
        .outerjoin(projects, projects.c.id == events.c.project_id)
        .outerjoin(virtual_keys, virtual_keys.c.id == events.c.key_id)
    )
    if filters.project is not None:
        # By id: its statistics tell PostgreSQL how rare the project is. No project has the id 0.
        project = connection.execute(select(projects.c.id).where(projects.c.name == filters.project)).scalar()
        statement = statement.where(events.c.project_id == (project or 0))
    if filters.operation is not None:
        statement = statement.where(events.c.operation == filters.operation)
    if filters.object_id is not None:
        statement = statement.where(paging.few(events.c.object_id == filters.object_id))
    if filters.outcome is not None:
        statement = statement.where(events.c.outcome == filters.outcome)
    if filters.since is not None:
        statement = statement.where(events.c.created_at >= filters.since)
    return statement


def _first_since(connection: Connection, instant: int) -> int:
    """Returns the id of approximately the first event since `instant`.

    Ids grow with time, so a binary search over ids replaces an index on the instant.
    """
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
