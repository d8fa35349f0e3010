"""Projects as admins and operators make, change and archive them; the name is the id, and never changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from app.data.access import projects as rows
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services.events import record
from app.services.gateway import Actor, Gateway
from app.services.limits import limits as rates

NAME_LENGTH = 64
DESCRIPTION_LENGTH = 256
DOTS = (".", "..")


@dataclass(frozen=True, slots=True)
class Project:
    """A project. Instants are Unix milliseconds; `limits` has those that are set."""

    name: str
    description: str | None
    default_provider: str | None
    limits: Mapping[str, int]
    created_at: int
    archived_at: int | None


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """A page of a list, and whether more follow."""

    items: list[Project]
    has_more: bool


def list_(gateway: Gateway, *, limit: int, after: str | None = None, archived: bool | None = None) -> ProjectPage:
    """Projects by name, beyond the name `after`: archived ones, those that are not, or all (None)."""
    with gateway.database.read() as connection:
        found = rows.page(connection, after=after, archived=archived, limit=limit + 1)
    return ProjectPage([_project(row) for row in found[:limit]], has_more=len(found) > limit)


def retrieve(gateway: Gateway, name: str) -> Project:
    """The project called `name`. Raises NotFoundError."""
    with gateway.database.read() as connection:
        return _project(_existing(connection, name))


def create(
    gateway: Gateway,
    *,
    name: str,
    description: str | None = None,
    default_provider: str | None = None,
    limits: Mapping[str, int] | None = None,
    actor: Actor = record.OPERATOR,
) -> Project:
    """A new project. Raises InvalidRequestError, and ConflictError when there is one of this name."""
    values = _checked(
        gateway, {"description": description, "default_provider": default_provider, "limits": limits or None}
    )
    checked_name(name)
    with gateway.database.write() as connection:
        if not rows.insert(connection, name=name, **values):
            raise ConflictError(f"name: there is a project {name!r:.80} already.", param="name")
        row = _existing(connection, name)
        record.record_act(
            connection, operation="project_create", object_id=name, detail=_said(values), actor=actor, project_id=row.id
        )
    gateway.log.info("project.created", project=name, actor=actor.name)
    return _project(row)


def change(gateway: Gateway, name: str, values: Mapping[str, Any], *, actor: Actor = record.OPERATOR) -> Project:
    """Set what `values` has of `description`, `default_provider`, `limits` (all of them; None: none) and `archived`.

    Raises NotFoundError, InvalidRequestError.
    """
    wanted = _checked(gateway, {key: value for key, value in values.items() if key != "archived"})
    with gateway.database.write() as connection:
        row = _existing(connection, name)
        changed = {key: value for key, value in wanted.items() if getattr(row, key) != value}
        if changed:
            rows.change(connection, row.id, **changed)
            record.record_act(
                connection,
                operation="project_change",
                object_id=name,
                detail=_said(changed),
                actor=actor,
                project_id=row.id,
            )
        if "archived" in values:
            _set_archived(connection, row, values["archived"], actor)
        row = _existing(connection, name)
    gateway.log.info("project.changed", project=name, fields=sorted(values), actor=actor.name)
    return _project(row)


def archive(gateway: Gateway, name: str, *, actor: Actor = record.OPERATOR) -> Project:
    """End a project: its keys are refused, what runs goes on, rows stay; again, nothing. Raises NotFoundError."""
    return change(gateway, name, {"archived": True}, actor=actor)


def checked_name(name: str) -> str:
    """`name` if a project may be called so. Raises InvalidRequestError."""
    if not name or len(name) > NAME_LENGTH or not name.isprintable() or name != name.strip() or name in DOTS:
        text = f"name: must be 1 to {NAME_LENGTH} printable characters without space around them."
        raise InvalidRequestError(text, param="name")
    return name


def _checked(gateway: Gateway, values: Mapping[str, Any]) -> dict[str, Any]:
    provider = values.get("default_provider")
    if provider is not None and not gateway.accounts.is_known(provider):
        text = f"default_provider: {provider!r:.80} is no provider; `batchgate providers` lists them."
        raise InvalidRequestError(text, param="default_provider")
    if not values.get("limits"):
        return {**values, "limits": None} if "limits" in values else dict(values)
    return {**values, "limits": rates.validate(values["limits"], owner="project") or None}


def _set_archived(connection: Connection, row: AnyRow, archived: bool, actor: Actor) -> None:
    act = rows.archive if archived else rows.restore
    if act(connection, row.id):
        operation = "project_archive" if archived else "project_restore"
        record.record_act(connection, operation=operation, object_id=row.name, actor=actor, project_id=row.id)


def _existing(connection: Connection, name: str) -> AnyRow:
    # PostgreSQL refuses NUL in text, and no name has anything odd in it.
    row = rows.find(connection, name) if name.isprintable() else None
    if row is None:
        raise NotFoundError(f"There is no project {name!r:.80}.", param="project")
    return row


def _said(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an event tells of the fields that were set."""
    return {key: value for key, value in values.items() if value is not None} or None


def _project(row: AnyRow) -> Project:
    return Project(
        name=row.name,
        description=row.description,
        default_provider=row.default_provider,
        limits=row.limits or {},
        created_at=row.created_at,
        archived_at=row.archived_at,
    )
