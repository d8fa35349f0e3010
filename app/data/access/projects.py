"""Queries on projects. A project is found by its name, which never changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypedDict, Unpack

from sqlalchemy import Connection, select, update

from app.data.store.database import insert_new, now_ms
from app.data.tables import projects


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project. Instants are Unix milliseconds."""

    id: int
    name: str
    description: str | None
    default_provider: str | None
    limits: Mapping[str, int] | None
    created_at: int
    archived_at: int | None


class ProjectValues(TypedDict, total=False):
    """Columns that can be changed."""

    description: str | None
    default_provider: str | None
    limits: Mapping[str, int] | None


_ROWS = select(*(projects.c[column.name] for column in fields(ProjectRow)))


def insert(connection: Connection, *, name: str, **values: Unpack[ProjectValues]) -> bool:
    """Inserts a project. Returns False when the name is taken, even by an archived project."""
    return insert_new(connection, projects, name=name, created_at=now_ms(), **values)


def find(connection: Connection, name: str) -> ProjectRow | None:
    """Returns the project of this name, archived or not."""
    row = connection.execute(_ROWS.where(projects.c.name == name)).first()
    return None if row is None else ProjectRow(**row._mapping)


def name_of(connection: Connection, project_id: int) -> str:
    """Returns the name of a project that exists."""
    return str(connection.execute(select(projects.c.name).where(projects.c.id == project_id)).scalar_one())


def page(connection: Connection, *, after: str | None, archived: bool | None, limit: int) -> Sequence[ProjectRow]:
    """Returns projects in order of their names, after the name `after`. `archived` None returns all of them."""
    statement = _ROWS
    if after is not None:
        statement = statement.where(projects.c.name > after)
    if archived is not None:
        statement = statement.where(
            projects.c.archived_at.is_not(None) if archived else projects.c.archived_at.is_(None)
        )
    rows = connection.execute(statement.order_by(projects.c.name).limit(limit))
    return [ProjectRow(**row._mapping) for row in rows]


def change(connection: Connection, project_id: int, **values: Unpack[ProjectValues]) -> None:
    """Writes columns of a project."""
    connection.execute(update(projects).where(projects.c.id == project_id).values(**values))


def archive(connection: Connection, project_id: int) -> bool:
    """Archives a project. Returns False when it is already archived."""
    where = (projects.c.id == project_id, projects.c.archived_at.is_(None))
    return connection.execute(update(projects).where(*where).values(archived_at=now_ms())).rowcount == 1


def restore(connection: Connection, project_id: int) -> bool:
    """Restores an archived project. Returns False when it is not archived."""
    where = (projects.c.id == project_id, projects.c.archived_at.is_not(None))
    return connection.execute(update(projects).where(*where).values(archived_at=None)).rowcount == 1
