"""Rows of projects, virtual keys and the gateway's own sealed secrets."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from app.data.batches.batches import CANCELLABLE
from app.data.store.database import AnyRow, insert_absent, inserted_id, now_ms
from app.data.tables import batches, projects, sealed_secrets, virtual_keys
from app.data.tables.batches import RUNNING

# How long work that a stopped key made meanwhile is looked for: longer than any request takes.
STOPPING_MS = 7 * 24 * 3600 * 1000

_IS_STOPPED = virtual_keys.c.stopped_at > now_ms() - STOPPING_MS
_IS_EXPIRED = and_(virtual_keys.c.expires_at.is_not(None), virtual_keys.c.expires_at <= now_ms())

# What there is to know of who calls; a row of it is what services call a row of data.keys.
CALLERS = select(
    virtual_keys.c.id,
    virtual_keys.c.public_id,
    virtual_keys.c.secret_hmac,
    case((virtual_keys.c.previous_until > now_ms(), virtual_keys.c.previous_hmac)).label("previous_hmac"),
    virtual_keys.c.expires_at,
    case((_IS_EXPIRED, 1), else_=0).label("is_expired"),
    virtual_keys.c.revoked_at,
    virtual_keys.c.kind,
    virtual_keys.c.role,
    virtual_keys.c.accounts,
    virtual_keys.c.providers,
    virtual_keys.c.models,
    virtual_keys.c.endpoints,
    virtual_keys.c.networks,
    virtual_keys.c.limits,
    virtual_keys.c.project_id,
    projects.c.name.label("project"),
    projects.c.default_provider,
    projects.c.limits.label("project_limits"),
    projects.c.archived_at.label("project_archived_at"),
).join_from(virtual_keys, projects)
# Built once: authentication runs it for every request.
_BY_PUBLIC_ID = CALLERS.where(virtual_keys.c.public_id == bindparam("public_id"))
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


def find_key(connection: Connection, public_id: str) -> AnyRow | None:
    """The key and its project, whatever its state; `previous_hmac` only while it still counts."""
    return connection.execute(_BY_PUBLIC_ID, {"public_id": public_id}).first()


def ensure_project(connection: Connection, name: str) -> int:
    """The id of the project called `name`, made if there is none."""
    find = select(projects.c.id).where(projects.c.name == name)
    found = connection.execute(find).scalar()
    if found is None:
        insert_absent(connection, projects, name=name, created_at=now_ms())
        found = connection.execute(find).scalar_one()
    return int(found)


def insert_key(
    connection: Connection, *, public_id: str, project_id: int, name: str, secret_hmac: str, **values: Any
) -> int:
    """A new virtual key; `values` are its other columns. A list that is None allows all."""
    values |= {"public_id": public_id, "project_id": project_id, "name": name, "secret_hmac": secret_hmac}
    return inserted_id(connection, insert(virtual_keys).values(created_at=now_ms(), **values))


def show_key(connection: Connection, public_id: str) -> AnyRow | None:
    """What may be shown of a key, whatever its state."""
    return connection.execute(_SHOWN.where(virtual_keys.c.public_id == public_id)).first()


def lock_key(connection: Connection, public_id: str) -> AnyRow | None:
    """As `show_key`, with `secret_hmac`; nobody else changes it until the end of the transaction.

    Rows that refer to the key can be made meanwhile.
    """
    statement = _SHOWN.add_columns(virtual_keys.c.secret_hmac).where(virtual_keys.c.public_id == public_id)
    return connection.execute(statement.with_for_update(of=virtual_keys, key_share=True)).first()


def list_keys(
    connection: Connection, *, project: str | None, after: str | None = None, limit: int | None = None
) -> Sequence[AnyRow]:
    """All keys, or those of one project, oldest first; at most `limit`, from behind the one called `after`."""
    statement = _SHOWN
    if project is not None:
        statement = statement.where(projects.c.name == project)
    if after is not None:
        behind = select(virtual_keys.c.id).where(virtual_keys.c.public_id == after).scalar_subquery()
        statement = statement.where(virtual_keys.c.id > behind)
    return connection.execute(statement.order_by(virtual_keys.c.id).limit(limit)).all()


def change_key(connection: Connection, key_id: int, values: Mapping[str, Any]) -> bool:
    """Write columns of a key that is not revoked. False when it is revoked.

    Among `values`, an instant that is True means now, by the database's clock.
    """
    stamped = {name: now_ms() if value is True else value for name, value in values.items()}
    where = (virtual_keys.c.id == key_id, virtual_keys.c.revoked_at.is_(None))
    return connection.execute(update(virtual_keys).where(*where).values(**stamped)).rowcount == 1


def replace_secret(connection: Connection, key_id: int, *, old_hmac: str, new_hmac: str, grace_ms: int) -> bool:
    """Give a key another secret; the old one counts for `grace_ms`. False when it is revoked, or not `old_hmac`'s."""
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
    """End a key, with `stop` its work, too. False when there is no such key, or that is so already."""
    asked = virtual_keys.c.stopped_at if stop else virtual_keys.c.revoked_at
    values: dict[str, Any] = {"revoked_at": func.coalesce(virtual_keys.c.revoked_at, now_ms())}
    if stop:
        values["stopped_at"] = now_ms()
    statement = update(virtual_keys).where(virtual_keys.c.public_id == public_id, asked.is_(None)).values(**values)
    return connection.execute(statement).rowcount == 1


def work_to_stop(connection: Connection, *, limit: int) -> Sequence[AnyRow]:
    """Batches that run though their key was stopped, the oldest first; `key` is its public id."""
    if connection.execute(select(virtual_keys.c.id).where(_IS_STOPPED).limit(1)).first() is None:
        return ()
    columns = (batches.c.id, batches.c.public_id, batches.c.project_id, batches.c.key_id)
    mine = and_(batches.c.key_id == virtual_keys.c.id, batches.c.project_id == virtual_keys.c.project_id)
    statement = (
        select(*columns, virtual_keys.c.public_id.label("key"))
        .join_from(virtual_keys, batches, mine)
        # In the words of the index of open batches, or SQLite does not see that it holds them.
        .where(_IS_STOPPED, text(RUNNING), batches.c.status.in_(CANCELLABLE))
        .order_by(batches.c.id)
        .limit(limit)
    )
    return connection.execute(statement).all()


def models_of(connection: Connection, key_id: int | None) -> Sequence[str] | None:
    """The models that a key may use, as patterns; None: all, also for work that belongs to no key."""
    if key_id is None:
        return None
    found: Sequence[str] | None = connection.execute(
        select(virtual_keys.c.models).where(virtual_keys.c.id == key_id)
    ).scalar()
    return found


def sealed_secret(connection: Connection, name: str) -> bytes | None:
    """The sealed secret called `name`."""
    return connection.execute(select(sealed_secrets.c.sealed).where(sealed_secrets.c.name == name)).scalar()


def insert_sealed_secret(connection: Connection, name: str, sealed: bytes) -> bool:
    """False when another process was first; its secret counts then."""
    try:
        with connection.begin_nested():
            connection.execute(insert(sealed_secrets).values(name=name, sealed=sealed, created_at=now_ms()))
    except IntegrityError:
        return False
    return True
