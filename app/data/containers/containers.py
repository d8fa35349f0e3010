"""Rows of containers.

A container is over when its `expires_at` has passed or it is deleted; its status stays `running` until the bytes of its
files are released, so that the index of running ones finds what a crash left to do. One at a provider (`account_id`) is
over when the provider says so. Until that has made it, and the gateway knows (`refreshed_at`), it is an intent that
nobody sees (data.container_intents).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, insert, literal_column, or_, select, update

from app.data.store import paging
from app.data.store.database import AnyRow, now_ms
from app.data.tables import containers

MINUTE_MS = 60_000

_COLUMNS = (
    containers.c.id,
    containers.c.public_id,
    containers.c.provider,
    containers.c.name,
    containers.c.status,
    containers.c.expires_after_minutes,
    containers.c.memory_limit,
    containers.c.network_policy,
    containers.c.metadata,
    containers.c.created_at,
    containers.c.last_active_at,
    and_(containers.c.account_id.is_(None), containers.c.expires_at <= now_ms()).label("is_over"),
    (now_ms() - containers.c.last_active_at).label("idle_ms"),
    (now_ms() - containers.c.refreshed_at).label("seen_ms"),
    containers.c.account_id,
    containers.c.native_id,
)
_shown = and_(
    containers.c.deleted_at.is_(None), or_(containers.c.account_id.is_(None), containers.c.refreshed_at.is_not(None))
)
# Spelled out, not a parameter, so that every plan may use the index of running ones.
_is_running = containers.c.status == literal_column("'running'")
_running = _is_running & containers.c.deleted_at.is_(None) & (containers.c.expires_at > now_ms())
_due = _is_running & containers.c.account_id.is_(None) & (containers.c.expires_at <= now_ms())


def insert_container(connection: Connection, *, expires_after_minutes: int, **values: Any) -> AnyRow:
    """A new running container; `values` are its other columns. Returns it as `find` does."""
    statement = (
        insert(containers)
        .returning(*_COLUMNS)
        .values(
            status="running",
            expires_after_minutes=expires_after_minutes,
            created_at=now_ms(),
            last_active_at=now_ms(),
            expires_at=now_ms() + expires_after_minutes * MINUTE_MS,
            **values,
        )
    )
    return connection.execute(statement).one()


def find(connection: Connection, *, project_id: int, public_id: str) -> AnyRow | None:
    """A container of the project that is not deleted, by its id here or at its provider."""
    statement = select(*_COLUMNS).where(
        containers.c.public_id == public_id, containers.c.project_id == project_id, _shown
    )
    return connection.execute(statement).first() or _find_native(connection, project_id, public_id)


def _find_native(connection: Connection, project_id: int, native_id: str) -> AnyRow | None:
    statement = select(*_COLUMNS).where(
        containers.c.native_id == native_id, containers.c.project_id == project_id, _shown
    )
    return connection.execute(statement.order_by(containers.c.id.desc()).limit(1)).first()


def touch(connection: Connection, container_id: int) -> AnyRow | None:
    """Begin its idle time anew, and keep others from ending it until the transaction is over.

    Returns the container; None when it is over.
    """
    statement = (
        update(containers)
        .where(containers.c.id == container_id, _running)
        .values(last_active_at=now_ms(), expires_at=now_ms() + containers.c.expires_after_minutes * MINUTE_MS)
        .returning(*_COLUMNS)
    )
    return connection.execute(statement).first()


def list_page(
    connection: Connection,
    *,
    project_id: int,
    name: str | None,
    provider: str | None,
    after: paging.Position | None,
    descending: bool,
    limit: int,
) -> Sequence[AnyRow]:
    """At most `limit` + 1 containers of the project, in the order of lists."""
    statement = select(*_COLUMNS).where(containers.c.project_id == project_id, _shown)
    if name is not None:
        statement = statement.where(containers.c.name == name)
    if provider is not None:
        statement = statement.where(containers.c.provider == provider)
    return connection.execute(paging.page(statement, containers, after=after, descending=descending, limit=limit)).all()


def position(connection: Connection, *, project_id: int, public_id: str) -> paging.Position | None:
    """Where a container of the project, by its id here or at its provider, stands in lists; deleted ones included."""
    scope = containers.c.project_id == project_id
    found = paging.position(connection, containers, scope, public_id=public_id)
    return found or paging.native_position(connection, containers, scope, native_id=public_id)


def mark_deleted(connection: Connection, container_id: int) -> bool:
    """Hide it and make it due. False when another request was first."""
    statement = (
        update(containers)
        .where(containers.c.id == container_id, containers.c.deleted_at.is_(None))
        .values(deleted_at=now_ms(), expires_at=now_ms() - 1)
    )
    return connection.execute(statement).rowcount == 1


def is_deleted(connection: Connection, container_id: int) -> bool:
    """True when a caller deleted it."""
    where = (containers.c.id == container_id, containers.c.deleted_at.is_not(None))
    return connection.execute(select(containers.c.id).where(*where)).first() is not None


def list_due(connection: Connection, *, limit: int) -> list[int]:
    """Ids of containers that are over and whose files may still hold bytes."""
    return list(connection.execute(select(containers.c.id).where(_due).limit(limit)).scalars())


def hold_due(connection: Connection, container_id: int) -> bool:
    """Keep others off a container that is due, until the transaction is over. False when it came back or is done."""
    statement = update(containers).where(containers.c.id == container_id, _due).values(status="running")
    return connection.execute(statement).rowcount == 1


def finish(connection: Connection, container_id: int) -> None:
    """Its files hold nothing any more: expired, or deleted when a caller deleted it."""
    for condition, status in (
        (containers.c.deleted_at.is_(None), "expired"),
        (containers.c.deleted_at.is_not(None), "deleted"),
    ):
        connection.execute(
            update(containers).where(containers.c.id == container_id, _due, condition).values(status=status)
        )


def take_look(connection: Connection, container_id: int, *, stale_ms: int) -> bool:
    """True for the one caller who may ask the provider about a container that nobody has seen for `stale_ms`."""
    stale = containers.c.refreshed_at <= now_ms() - stale_ms
    where = (containers.c.id == container_id, _is_running, _shown, stale)
    return connection.execute(update(containers).where(*where).values(refreshed_at=now_ms())).rowcount == 1


def observe(connection: Connection, container_id: int, **values: Any) -> None:
    """What the provider says of a container now: `status`, `last_active_at`."""
    where = (containers.c.id == container_id, containers.c.deleted_at.is_(None))
    connection.execute(update(containers).where(*where).values(refreshed_at=now_ms(), **_told(values)))


def bury(connection: Connection, container_id: int) -> bool:
    """A container at a provider is gone there, or was never made. False when another request was first."""
    where = (containers.c.id == container_id, containers.c.deleted_at.is_(None))
    values = {"deleted_at": now_ms(), "status": "deleted"}
    return connection.execute(update(containers).where(*where).values(**values)).rowcount == 1


def overdue(connection: Connection, *, margin_ms: int, seen_ms: int, limit: int) -> Sequence[AnyRow]:
    """Containers at providers that should be over by the gateway's clock; nobody looked at them for `seen_ms`."""
    statement = select(*_COLUMNS).where(
        _is_running,
        _shown,
        containers.c.account_id.is_not(None),
        containers.c.expires_at <= now_ms() - margin_ms,
        containers.c.refreshed_at <= now_ms() - seen_ms,
    )
    return connection.execute(statement.order_by(containers.c.refreshed_at).limit(limit)).all()


def _told(values: dict[str, Any]) -> dict[str, Any]:
    """What a provider leaves out stays as it is."""
    told = {name: value for name, value in values.items() if value is not None}
    if "last_active_at" in told:
        told["expires_at"] = told["last_active_at"] + containers.c.expires_after_minutes * MINUTE_MS
    return told
