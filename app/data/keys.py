"""Rows of projects, virtual keys and the gateway's own sealed secrets."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.data.database import AnyRow, insert_absent, inserted_id, now_ms
from app.data.tables import projects, sealed_secrets, virtual_keys

# Built once: authentication runs it for every request.
_BY_PUBLIC_ID = (
    select(
        virtual_keys.c.id,
        virtual_keys.c.secret_hmac,
        virtual_keys.c.expires_at,
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
    )
    .join_from(virtual_keys, projects)
    .where(virtual_keys.c.public_id == bindparam("public_id"))
)


def find_key(connection: Connection, public_id: str) -> AnyRow | None:
    """The key and its project, whatever its state."""
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
    connection: Connection,
    *,
    public_id: str,
    project_id: int,
    name: str,
    secret_hmac: str,
    accounts: Sequence[str] | None = None,
) -> int:
    """A new virtual key. `accounts` are the names of those that it may use; None: all."""
    values = {"public_id": public_id, "project_id": project_id, "name": name, "secret_hmac": secret_hmac}
    return inserted_id(connection, insert(virtual_keys).values(created_at=now_ms(), accounts=accounts, **values))


def list_keys(connection: Connection, *, project: str | None) -> Sequence[AnyRow]:
    """All keys, or those of one project, oldest first."""
    statement = select(
        virtual_keys.c.public_id,
        projects.c.name.label("project"),
        virtual_keys.c.name,
        virtual_keys.c.created_at,
        virtual_keys.c.revoked_at,
        virtual_keys.c.accounts,
    ).join_from(virtual_keys, projects)
    if project is not None:
        statement = statement.where(projects.c.name == project)
    return connection.execute(statement.order_by(virtual_keys.c.id)).all()


def revoke_key(connection: Connection, public_id: str) -> bool:
    """False when there is no such key, or it is revoked already."""
    statement = (
        update(virtual_keys)
        .where(virtual_keys.c.public_id == public_id, virtual_keys.c.revoked_at.is_(None))
        .values(revoked_at=now_ms())
    )
    return connection.execute(statement).rowcount == 1


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
