"""Creates, changes and archives projects. The name of a project is its id and never changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection

from app.data.access import projects as rows
from app.data.access.projects import ProjectRow, ProjectValues
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services.events import record
from app.services.gateway import Actor, Gateway
from app.services.limits import limits as rates

NAME_LENGTH = 64
DESCRIPTION_LENGTH = 256
DOTS = (".", "..")


@dataclass(frozen=True, slots=True)
class Project:
    """A project. Instants are Unix milliseconds; `limits` contains only limits that are set."""

    name: str
    description: str | None
    default_provider: str | None
    limits: Mapping[str, int]
    created_at: int
    archived_at: int | None


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """One page of projects, and whether more follow."""

    items: list[Project]
    has_more: bool


def list_(gateway: Gateway, *, limit: int, after: str | None = None, archived: bool | None = None) -> ProjectPage:
    """Returns projects in order of their names, after the name `after`. `archived` None returns all of them."""
    with gateway.database.read() as connection:
        page = rows.page(connection, after=after, archived=archived, limit=limit + 1)
    return ProjectPage([_project(row) for row in page[:limit]], has_more=len(page) > limit)


def retrieve(gateway: Gateway, name: str) -> Project:
    """Returns the project called `name`. Raises NotFoundError."""
    with gateway.database.read() as connection:
        return _project(_existing(connection, name))


def find_id(gateway: Gateway, name: str) -> int:
    """Returns the row id of the project called `name`. Raises NotFoundError."""
    with gateway.database.read() as connection:
        return _existing(connection, name).id


def create(
    gateway: Gateway,
    *,
    name: str,
    description: str | None = None,
    default_provider: str | None = None,
    limits: Mapping[str, int] | None = None,
    actor: Actor = record.OPERATOR,
) -> Project:
    """Creates a project. Raises InvalidRequestError, or ConflictError when the name is taken."""
    values = _checked(
        gateway, {"description": description, "default_provider": default_provider, "limits": limits or None}
    )
    checked_name(name)
    with gateway.database.write() as connection:
        if not rows.insert(connection, name=name, **values):
            raise ConflictError(f"name: there is already a project {name!r:.80}.", param="name")
        row = _existing(connection, name)
        record.record_act(
            connection,
            operation="project_create",
            object_id=name,
            detail=_detail(values),
            actor=actor,
            project_id=row.id,
        )
    gateway.log.info("project.created", project=name, actor=actor.name)
    return _project(row)


def change(gateway: Gateway, name: str, values: Mapping[str, Any], *, actor: Actor = record.OPERATOR) -> Project:
    """Changes the fields in `values`: `description`, `default_provider`, `limits` and `archived`.

    `limits` replaces all limits; None removes them. Raises NotFoundError, InvalidRequestError.
    """
    fields = _checked(gateway, {key: value for key, value in values.items() if key != "archived"})
    with gateway.database.write() as connection:
        row = _existing(connection, name)
        changed = cast(ProjectValues, {key: value for key, value in fields.items() if getattr(row, key) != value})
        if changed:
            rows.change(connection, row.id, **changed)
            record.record_act(
                connection,
                operation="project_change",
                object_id=name,
                detail=_detail(changed),
                actor=actor,
                project_id=row.id,
            )
        if "archived" in values:
            _set_archived(connection, row, values["archived"], actor)
        row = _existing(connection, name)
    gateway.log.info("project.changed", project=name, fields=sorted(values), actor=actor.name)
    return _project(row)


def archive(gateway: Gateway, name: str, *, actor: Actor = record.OPERATOR) -> Project:
    """Archives a project: its keys are rejected, running batches continue, rows are kept. Raises NotFoundError.

    Archiving a project again does nothing.
    """
    return change(gateway, name, {"archived": True}, actor=actor)


def checked_name(name: str) -> str:
    """Returns `name` if it is a valid name of a project. Raises InvalidRequestError."""
    if not name or len(name) > NAME_LENGTH or not name.isprintable() or name != name.strip() or name in DOTS:
        text = f"name: must be 1 to {NAME_LENGTH} printable characters without leading or trailing spaces."
        raise InvalidRequestError(text, param="name")
    return name


def _checked(gateway: Gateway, values: Mapping[str, Any]) -> ProjectValues:
    provider = values.get("default_provider")
    if provider is not None and not gateway.accounts.is_known(provider):
        text = f"default_provider: {provider!r:.80} is not a provider; `batchgate providers` lists them."
        raise InvalidRequestError(text, param="default_provider")
    columns = dict(values)
    if "limits" in columns:
        columns["limits"] = rates.validate(columns["limits"] or {}, owner="project") or None
    return cast(ProjectValues, columns)


def _set_archived(connection: Connection, row: ProjectRow, archived: bool, actor: Actor) -> None:
    act = rows.archive if archived else rows.restore
    if act(connection, row.id):
        operation = "project_archive" if archived else "project_restore"
        record.record_act(connection, operation=operation, object_id=row.name, actor=actor, project_id=row.id)


def _existing(connection: Connection, name: str) -> ProjectRow:
    # Names are printable. Anything else is rejected here, since PostgreSQL raises an error on NUL in text.
    row = rows.find(connection, name) if name.isprintable() else None
    if row is None:
        raise NotFoundError(f"There is no project {name!r:.80}.", param="project")
    return row


def _detail(values: ProjectValues) -> dict[str, Any] | None:
    """Returns the fields that were set, for the event."""
    return {key: value for key, value in values.items() if value is not None} or None


def _project(row: ProjectRow) -> Project:
    return Project(
        name=row.name,
        description=row.description,
        default_provider=row.default_provider,
        limits=row.limits or {},
        created_at=row.created_at,
        archived_at=row.archived_at,
    )
