"""Rows of projects, by their names, which are never changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from app.data.store.database import AnyRow, insert_new, now_ms
from app.data.tables import projects


def insert(
    connection: Connection,
    *,
    name: str,
    description: str | None = None,
    default_provider: str | None = None,
    limits: Mapping[str, int] | None = None,
) -> bool:
    """A new project. False when there is one of this name, also one that is archived."""
    values = {"description": description, "default_provider": default_provider, "limits": limits}
    return insert_new(connection, projects, name=name, created_at=now_ms(), **values)


def find(connection: Connection, name: str) -> AnyRow | None:
    """The project of this name, whatever its state."""
    return connection.execute(select(projects).where(projects.c.name == name)).first()


def page(connection: Connection, *, after: str | None, archived: bool | None, limit: int) -> Sequence[AnyRow]:
    """Projects by name beyond `after`: archived ones, those that are not, or all (None)."""
    statement = select(projects)
    if after is not None:
        statement = statement.where(projects.c.name > after)
    if archived is not None:
        statement = statement.where(
            projects.c.archived_at.is_not(None) if archived else projects.c.archived_at.is_(None)
        )
    return connection.execute(statement.order_by(projects.c.name).limit(limit)).all()


def change(connection: Connection, project_id: int, **values: Any) -> None:
    """Set the columns `values`."""
    connection.execute(update(projects).where(projects.c.id == project_id).values(**values))


def archive(connection: Connection, project_id: int) -> bool:
    """False when it is archived already."""
    where = (projects.c.id == project_id, projects.c.archived_at.is_(None))
    return connection.execute(update(projects).where(*where).values(archived_at=now_ms())).rowcount == 1


def restore(connection: Connection, project_id: int) -> bool:
    """Take a project out of the archive. False when it is not in there."""
    where = (projects.c.id == project_id, projects.c.archived_at.is_not(None))
    return connection.execute(update(projects).where(*where).values(archived_at=None)).rowcount == 1
