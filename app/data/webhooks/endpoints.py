"""Webhook endpoints: those that a project has, and those that single batches brought along."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, exists, func, insert, literal, select, update

from app.data.store import paging
from app.data.store.database import insert_absent, now_ms
from app.data.store.rows import columns
from app.data.tables import batches, projects, webhook_deliveries, webhook_endpoints
from app.data.tables.batches import IS_RUNNING

PROJECT, BATCH = "project", "batch"

_T = webhook_endpoints
_LISTED = (_T.c.deleted_at.is_(None), _T.c.scope == PROJECT)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as its project sees it. Instants are Unix milliseconds; `event_types` None is all."""

    id: int
    public_id: str
    project_id: int
    scope: str
    name: str
    url: str
    event_types: Sequence[str] | None
    payload: str
    secret_hint: str | None
    failures: int
    paused_until: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Secrets:
    """The sealed secrets of an endpoint; `old` is None unless it is still to be signed with."""

    public_id: str
    sealed: bytes = field(repr=False)
    old: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """Columns of an endpoint that is about to be inserted."""

    public_id: str
    project_id: int
    key_id: int | None
    scope: str
    name: str
    url: str
    event_types: Sequence[str] | None
    payload: str
    sealed_secret: bytes = field(repr=False)
    secret_hint: str
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class ShownEndpoint:
    """An endpoint as operators see it. `pending` is how many deliveries wait."""

    endpoint: str
    project: str
    scope: str
    name: str
    url: str
    event_types: Sequence[str] | None
    payload: str
    failures: int
    paused_until: int | None
    pending: int
    created_at: int


class Changes(TypedDict, total=False):
    """Columns that a project may change."""

    name: str
    url: str
    event_types: Sequence[str]
    payload: str


_ENDPOINT = select(*columns(_T, Endpoint))


def insert_endpoint(connection: Connection, new: NewEndpoint) -> Endpoint:
    """Insert an endpoint."""
    now = connection.execute(select(now_ms())).scalar_one()
    values = {name: getattr(new, name) for name in NewEndpoint.__dataclass_fields__}
    row_id = connection.execute(insert(_T).values(created_at=now, updated_at=now, **values).returning(_T.c.id))
    return _endpoint(connection, _T.c.id == row_id.scalar_one())


def ensure_brought(connection: Connection, new: NewEndpoint) -> int:
    """The row id of an endpoint that a batch brought along; of two that bring the same at once, one inserts it."""
    values = {name: getattr(new, name) for name in NewEndpoint.__dataclass_fields__}
    insert_absent(connection, _T, created_at=now_ms(), updated_at=now_ms(), **values)
    found = find_by_fingerprint(connection, project_id=new.project_id, fingerprint=str(new.fingerprint))
    assert found is not None  # noqa: S101 - for mypy: it was inserted here or by another
    return found


def count(connection: Connection, project_id: int) -> int:
    """How many endpoints the project has."""
    return int(connection.execute(select(func.count()).where(_T.c.project_id == project_id, *_LISTED)).scalar_one())


def find(connection: Connection, *, project_id: int, public_id: str) -> Endpoint | None:
    """An endpoint of the project that is not deleted."""
    where = (paging.within(_T.c.project_id, project_id), paging.alive(_T.c.deleted_at), _T.c.scope == PROJECT)
    row = connection.execute(_ENDPOINT.where(_T.c.public_id == public_id, *where)).first()
    return None if row is None else Endpoint(*row)


def owner(connection: Connection, public_id: str) -> Endpoint | None:
    """An endpoint of whatever project, also one that a batch brought along, that is not deleted."""
    row = connection.execute(_ENDPOINT.where(_T.c.public_id == public_id, paging.alive(_T.c.deleted_at))).first()
    return None if row is None else Endpoint(*row)


def list_all(connection: Connection, *, project_id: int | None, limit: int) -> Sequence[ShownEndpoint]:
    """Endpoints of a project, or of all of them, oldest first, also those that batches brought along."""
    pending = (
        select(func.count())
        .where(webhook_deliveries.c.endpoint_id == _T.c.id, webhook_deliveries.c.state == "pending")
        .correlate(_T)
        .scalar_subquery()
    )
    statement = (
        select(
            _T.c.public_id.label("endpoint"),
            projects.c.name.label("project"),
            *[_T.c[name] for name in ("scope", "name", "url", "event_types", "payload", "failures", "paused_until")],
            pending.label("pending"),
            _T.c.created_at,
        )
        .join_from(_T, projects, projects.c.id == _T.c.project_id)
        .where(_T.c.deleted_at.is_(None))
    )
    if project_id is not None:
        statement = statement.where(_T.c.project_id == project_id)
    return [ShownEndpoint(*row) for row in connection.execute(statement.order_by(_T.c.id).limit(limit))]


def find_by_fingerprint(connection: Connection, *, project_id: int, fingerprint: str) -> int | None:
    """The row id of the endpoint that an earlier batch of the project brought along with the same URL and secret."""
    where = (_T.c.project_id == project_id, _T.c.fingerprint == fingerprint, _T.c.deleted_at.is_(None))
    found: int | None = connection.execute(select(_T.c.id).where(*where)).scalar()
    return found


def touch(connection: Connection, endpoint_id: int) -> bool:
    """Note that an endpoint was used again. False when it is deleted."""
    statement = update(_T).where(_T.c.id == endpoint_id, _T.c.deleted_at.is_(None))
    return connection.execute(statement.values(updated_at=now_ms())).rowcount == 1


def list_page(
    connection: Connection, *, project_id: int, after: paging.Position | None, limit: int, descending: bool = True
) -> list[Endpoint]:
    """At most `limit` + 1 endpoints of the project."""
    statement = _ENDPOINT.where(_T.c.project_id == project_id, *_LISTED)
    page = paging.page(statement, _T, after=after, descending=descending, limit=limit)
    return [Endpoint(*row) for row in connection.execute(page)]


def position(connection: Connection, *, project_id: int, public_id: str) -> paging.Position | None:
    """The position of an endpoint of the project in lists, also of a deleted one."""
    return paging.position(connection, _T, paging.within(_T.c.project_id, project_id), public_id=public_id)


def change(connection: Connection, endpoint_id: int, **changes: Unpack[Changes]) -> Endpoint | None:
    """Write columns. A new URL has no failures yet. None when the endpoint is deleted."""
    values: dict[str, Any] = {**changes, "updated_at": now_ms()}
    if "url" in changes:
        values |= {"failures": 0, "paused_until": None}
    statement = update(_T).where(_T.c.id == endpoint_id, _T.c.deleted_at.is_(None)).values(**values)
    if connection.execute(statement).rowcount != 1:
        return None
    return _endpoint(connection, _T.c.id == endpoint_id)


def secrets(connection: Connection, endpoint_id: int) -> Secrets | None:
    """The sealed secrets of an endpoint; None when it is deleted."""
    old = func.coalesce(_T.c.old_secret_until, 0) > now_ms()
    statement = select(_T.c.public_id, _T.c.sealed_secret, _T.c.sealed_old_secret, old.label("is_old_good"))
    row = connection.execute(statement.where(_T.c.id == endpoint_id, _T.c.deleted_at.is_(None))).first()
    if row is None or row.sealed_secret is None:
        return None
    return Secrets(row.public_id, row.sealed_secret, row.sealed_old_secret if row.is_old_good else None)


def rotate(
    connection: Connection, endpoint_id: int, *, sealed: bytes, hint: str, old: bytes | None, old_for_ms: int
) -> Endpoint | None:
    """Write a new secret; `old`, if it stays, is good for `old_for_ms`. None when the endpoint is deleted."""
    values = {
        "sealed_secret": sealed,
        "secret_hint": hint,
        "sealed_old_secret": old,
        "old_secret_until": None if old is None else now_ms() + old_for_ms,
        "updated_at": now_ms(),
    }
    statement = update(_T).where(_T.c.id == endpoint_id, _T.c.deleted_at.is_(None)).values(**values)
    if connection.execute(statement).rowcount != 1:
        return None
    return _endpoint(connection, _T.c.id == endpoint_id)


def delete(connection: Connection, endpoint_id: int) -> bool:
    """Delete an endpoint and its secrets; the row stays as a tombstone. False when it is deleted already."""
    statement = update(_T).where(_T.c.id == endpoint_id, _T.c.deleted_at.is_(None))
    return connection.execute(statement.values(deleted_at=now_ms(), **_GONE)).rowcount == 1


def expire_old_secrets(connection: Connection, *, limit: int) -> int:
    """Delete secrets that were replaced and are not signed with any more; returns how many."""
    some = select(_T.c.id).where(_T.c.sealed_old_secret.is_not(None), _T.c.old_secret_until <= now_ms()).limit(limit)
    statement = update(_T).where(_T.c.id.in_(some)).values(sealed_old_secret=None, old_secret_until=None)
    return connection.execute(statement).rowcount


def unused(connection: Connection, *, older_than_ms: int, limit: int) -> Sequence[int]:
    """Ids of endpoints that batches brought along, which nothing has used or will use for so long."""
    statement = select(_T.c.id).where(_T.c.updated_at < now_ms() - older_than_ms, *_idle())
    return connection.execute(statement.order_by(_T.c.id).limit(limit)).scalars().all()


def delete_unused(connection: Connection, endpoint_id: int, *, older_than_ms: int) -> bool:
    """Delete an endpoint that `unused` found. False when something uses it again."""
    where = (_T.c.id == endpoint_id, _T.c.updated_at < now_ms() - older_than_ms, *_idle())
    return connection.execute(update(_T).where(*where).values(deleted_at=now_ms(), **_GONE)).rowcount == 1


_GONE: dict[str, Any] = {"sealed_secret": None, "sealed_old_secret": None, "old_secret_until": None}


def _idle() -> tuple[ColumnElement[bool], ...]:
    running = exists(
        select(literal(1)).where(batches.c.webhook_endpoint_id == _T.c.id, IS_RUNNING).correlate(_T)
    ).correlate(_T)
    pending = exists(
        select(literal(1)).where(webhook_deliveries.c.endpoint_id == _T.c.id, webhook_deliveries.c.state == "pending")
    ).correlate(_T)
    return _T.c.fingerprint.is_not(None), _T.c.deleted_at.is_(None), ~running, ~pending


def _endpoint(connection: Connection, *where: ColumnElement[bool]) -> Endpoint:
    return Endpoint(*connection.execute(_ENDPOINT.where(*where)).one())
