"""Rows of containers.

A container is over when its `expires_at` has passed or it is deleted; its status stays `running` until the bytes of its
files are released, so that the index of running ones finds what a crash left to do.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, literal_column, select, update

from app.data import paging
from app.data.database import AnyRow, now_ms
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
    (containers.c.expires_at <= now_ms()).label("is_over"),
    (now_ms() - containers.c.last_active_at).label("idle_ms"),
)
# Spelled out, not a parameter, so that every plan may use the index of running ones.
_is_running = containers.c.status == literal_column("'running'")
_running = _is_running & containers.c.deleted_at.is_(None) & (containers.c.expires_at > now_ms())
_due = _is_running & (containers.c.expires_at <= now_ms())


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
    """A container of the project that is not deleted."""
    statement = select(*_COLUMNS).where(
        containers.c.public_id == public_id, containers.c.project_id == project_id, containers.c.deleted_at.is_(None)
    )
    return connection.execute(statement).first()


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
    statement = select(*_COLUMNS).where(containers.c.project_id == project_id, containers.c.deleted_at.is_(None))
    if name is not None:
        statement = statement.where(containers.c.name == name)
    if provider is not None:
        statement = statement.where(containers.c.provider == provider)
    return connection.execute(paging.page(statement, containers, after=after, descending=descending, limit=limit)).all()


def position(connection: Connection, *, project_id: int, public_id: str) -> paging.Position | None:
    """Where a container of the project stands in lists, deleted ones included."""
    return paging.position(connection, containers, containers.c.project_id == project_id, public_id=public_id)


def mark_deleted(connection: Connection, container_id: int) -> bool:
    """Hide it and make it due. False when another request was first."""
    statement = (
        update(containers)
        .where(containers.c.id == container_id, containers.c.deleted_at.is_(None))
        .values(deleted_at=now_ms(), expires_at=now_ms() - 1)
    )
    return connection.execute(statement).rowcount == 1


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
