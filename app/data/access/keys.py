"""Queries on virtual keys, their projects and the gateway's own sealed secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, and_, bindparam, case, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from app.data.batches.batches import CANCELLABLE
from app.data.store.database import insert_absent, inserted_id, now_ms
from app.data.tables import batches, projects, sealed_secrets, virtual_keys
from app.data.tables.batches import RUNNING

# How long workers look for batches that a stopped key created just before it was stopped: longer than any request.
STOPPING_MS = 7 * 24 * 3600 * 1000

_IS_STOPPED = virtual_keys.c.stopped_at > now_ms() - STOPPING_MS
_IS_EXPIRED = and_(virtual_keys.c.expires_at.is_not(None), virtual_keys.c.expires_at <= now_ms())


@dataclass(frozen=True, slots=True)
class CallerRow:
    """What authentication reads of a key and its project. A list that is None allows all.

    `previous_hmac` is None once the grace period of a rotation is over.
    """

    id: int
    public_id: str
    secret_hmac: str = field(repr=False)
    previous_hmac: str | None = field(repr=False)
    expires_at: int | None
    is_expired: int
    revoked_at: int | None
    kind: str
    role: str
    accounts: Sequence[str] | None
    providers: Sequence[str] | None
    models: Sequence[str] | None
    endpoints: Sequence[str] | None
    networks: Sequence[str] | None
    limits: Mapping[str, int] | None
    project_id: int
    project: str
    default_provider: str | None
    project_limits: Mapping[str, int] | None
    project_archived_at: int | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What admins may see of a key. Instants are Unix milliseconds; a list that is None allows all."""

    id: int
    public_id: str
    project_id: int
    name: str
    description: str | None
    kind: str
    role: str
    accounts: Sequence[str] | None
    providers: Sequence[str] | None
    models: Sequence[str] | None
    endpoints: Sequence[str] | None
    networks: Sequence[str] | None
    limits: Mapping[str, int] | None
    issuer: str | None
    subject: str | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    stopped_at: int | None
    previous_until: int | None
    is_expired: int
    project: str
    project_archived_at: int | None


@dataclass(frozen=True, slots=True)
class LockedKey(KeyRow):
    """A key that is locked until the transaction ends."""

    secret_hmac: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoppedBatch:
    """A batch that still runs although its key was stopped; `key` is the key's public id."""

    id: int
    public_id: str
    project_id: int
    key_id: int
    key: str


class KeyValues(TypedDict, total=False):
    """Columns of a key. An instant that is True becomes the current time of the database's clock."""

    name: str
    description: str | None
    role: str
    accounts: Sequence[str] | None
    providers: Sequence[str] | None
    models: Sequence[str] | None
    endpoints: Sequence[str] | None
    networks: Sequence[str] | None
    limits: Mapping[str, int] | None
    expires_at: bool | int | None


_COMPUTED = {
    "previous_hmac": case((virtual_keys.c.previous_until > now_ms(), virtual_keys.c.previous_hmac)),
    "is_expired": case((_IS_EXPIRED, 1), else_=0),
    "project": projects.c.name,
    "default_provider": projects.c.default_provider,
    "project_limits": projects.c.limits,
    "project_archived_at": projects.c.archived_at,
}
# The fields of `CallerRow`, in their order: rows are unpacked by position, the faster way.
CALLERS = select(
    *(
        _COMPUTED[each.name].label(each.name) if each.name in _COMPUTED else virtual_keys.c[each.name]
        for each in fields(CallerRow)
    )
).join_from(virtual_keys, projects)
# Built once: authentication runs it for every request.
_BY_PUBLIC_ID = CALLERS.where(virtual_keys.c.public_id == bindparam("public_id"))
# The columns of `KeyRow`.
_SHOWN = select(
    *(
        virtual_keys.c[name]
        for name in (
            "id",
            "public_id",
            "project_id",
            "name",
            "description",
            "kind",
            "role",
            "accounts",
            "providers",
            "models",
            "endpoints",
            "networks",
            "limits",
            "issuer",
            "subject",
            "created_at",
            "expires_at",
            "revoked_at",
            "stopped_at",
        )
    ),
    case((virtual_keys.c.previous_until > now_ms(), virtual_keys.c.previous_until)).label("previous_until"),
    case((_IS_EXPIRED, 1), else_=0).label("is_expired"),
    projects.c.name.label("project"),
    projects.c.archived_at.label("project_archived_at"),
).join_from(virtual_keys, projects)


def find_key(connection: Connection, public_id: str) -> CallerRow | None:
    """Returns the key and its project, whatever its state."""
    row = connection.execute(_BY_PUBLIC_ID, {"public_id": public_id}).first()
    return None if row is None else CallerRow(*row)


def ensure_project(connection: Connection, name: str) -> int:
    """Returns the id of the project called `name`, inserting it if absent."""
    find = select(projects.c.id).where(projects.c.name == name)
    project_id = connection.execute(find).scalar()
    if project_id is None:
        insert_absent(connection, projects, name=name, created_at=now_ms())
        project_id = connection.execute(find).scalar_one()
    return int(project_id)


def insert_key(
    connection: Connection, *, public_id: str, project_id: int, secret_hmac: str, **values: Unpack[KeyValues]
) -> int:
    """Inserts a virtual key and returns its id. A list that is None allows all."""
    columns = {**values, "public_id": public_id, "project_id": project_id, "secret_hmac": secret_hmac}
    return inserted_id(connection, insert(virtual_keys).values(created_at=now_ms(), **columns))


def show_key(connection: Connection, public_id: str) -> KeyRow | None:
    """Returns the key, whatever its state."""
    row = connection.execute(_SHOWN.where(virtual_keys.c.public_id == public_id)).first()
    return None if row is None else KeyRow(**row._mapping)


def lock_key(connection: Connection, public_id: str) -> LockedKey | None:
    """Returns the key and locks its row until the transaction ends.

    Other transactions can still insert rows that refer to the key.
    """
    statement = _SHOWN.add_columns(virtual_keys.c.secret_hmac).where(virtual_keys.c.public_id == public_id)
    row = connection.execute(statement.with_for_update(of=virtual_keys, key_share=True)).first()
    return None if row is None else LockedKey(**row._mapping)


def list_keys(
    connection: Connection, *, project: str | None, after: str | None = None, limit: int | None = None
) -> Sequence[KeyRow]:
    """Returns at most `limit` keys after the one with public id `after`, oldest first, of all projects or of one."""
    statement = _SHOWN
    if project is not None:
        statement = statement.where(projects.c.name == project)
    if after is not None:
        last_id = select(virtual_keys.c.id).where(virtual_keys.c.public_id == after).scalar_subquery()
        statement = statement.where(virtual_keys.c.id > last_id)
    rows = connection.execute(statement.order_by(virtual_keys.c.id).limit(limit))
    return [KeyRow(**row._mapping) for row in rows]


def change_key(connection: Connection, key_id: int, values: KeyValues) -> bool:
    """Writes columns of a key. Returns False when the key is revoked."""
    stamped = {name: now_ms() if value is True else value for name, value in values.items()}
    where = (virtual_keys.c.id == key_id, virtual_keys.c.revoked_at.is_(None))
    return connection.execute(update(virtual_keys).where(*where).values(**stamped)).rowcount == 1


def replace_secret(connection: Connection, key_id: int, *, old_hmac: str, new_hmac: str, grace_ms: int) -> bool:
    """Replaces the secret of a key; the old one stays valid for `grace_ms`.

    Returns False when the key is revoked or `old_hmac` is no longer its secret.
    """
    where = (
        virtual_keys.c.id == key_id,
        virtual_keys.c.secret_hmac == old_hmac,
        virtual_keys.c.revoked_at.is_(None),
    )
    values: dict[str, Any] = {"secret_hmac": new_hmac, "previous_hmac": None, "previous_until": None}
    if grace_ms:
        values |= {"previous_hmac": old_hmac, "previous_until": now_ms() + grace_ms}
    return connection.execute(update(virtual_keys).where(*where).values(**values)).rowcount == 1


def revoke_key(connection: Connection, public_id: str, *, stop: bool = False) -> bool:
    """Revokes a key; `stop` also marks its batches for cancelling.

    Returns False when the key does not exist or is already revoked (or stopped).
    """
    instant = virtual_keys.c.stopped_at if stop else virtual_keys.c.revoked_at
    values: dict[str, Any] = {"revoked_at": func.coalesce(virtual_keys.c.revoked_at, now_ms())}
    if stop:
        values["stopped_at"] = now_ms()
    statement = update(virtual_keys).where(virtual_keys.c.public_id == public_id, instant.is_(None)).values(**values)
    return connection.execute(statement).rowcount == 1


def work_to_stop(connection: Connection, *, limit: int) -> Sequence[StoppedBatch]:
    """Returns batches that still run although their key was stopped, oldest first."""
    if connection.execute(select(virtual_keys.c.id).where(_IS_STOPPED).limit(1)).first() is None:
        return ()
    columns = (batches.c.id, batches.c.public_id, batches.c.project_id, batches.c.key_id)
    mine = and_(batches.c.key_id == virtual_keys.c.id, batches.c.project_id == virtual_keys.c.project_id)
    statement = (
        select(*columns, virtual_keys.c.public_id.label("key"))
        .join_from(virtual_keys, batches, mine)
        # Spelled exactly as in the partial index of open batches: otherwise SQLite does not use the index.
        .where(_IS_STOPPED, text(RUNNING), batches.c.status.in_(CANCELLABLE))
        .order_by(batches.c.id)
        .limit(limit)
    )
    return [StoppedBatch(**row._mapping) for row in connection.execute(statement)]


def models_of(connection: Connection, key_id: int | None) -> Sequence[str] | None:
    """Returns the patterns of the models that a key may use. None allows all, as does work without a key."""
    if key_id is None:
        return None
    patterns: Sequence[str] | None = connection.execute(
        select(virtual_keys.c.models).where(virtual_keys.c.id == key_id)
    ).scalar()
    return patterns


def sealed_secret(connection: Connection, name: str) -> bytes | None:
    """Returns the sealed secret called `name`."""
    return connection.execute(select(sealed_secrets.c.sealed).where(sealed_secrets.c.name == name)).scalar()


def insert_sealed_secret(connection: Connection, name: str, sealed: bytes) -> bool:
    """Inserts a sealed secret. Returns False when another process inserted one first, which then counts."""
    try:
        with connection.begin_nested():
            connection.execute(insert(sealed_secrets).values(name=name, sealed=sealed, created_at=now_ms()))
    except IntegrityError:
        return False
    return True
