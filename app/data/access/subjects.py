"""Rows of virtual_keys that stand for subjects of JWTs, or for keys of providers: one for each in a project."""

from typing import Any

from sqlalchemy import Connection, bindparam, or_, select

from app.data.access.keys import CALLERS
from app.data.store.database import AnyRow, insert_new, now_ms
from app.data.tables import projects, virtual_keys

JWT = "jwt"
PROVIDER = "provider"
# No HMAC is empty, so no secret ever proves such a key.
NO_SECRET = ""

# Built once: authentication runs it for every request.
_OF_SUBJECT = CALLERS.where(
    virtual_keys.c.issuer == bindparam("issuer"),
    virtual_keys.c.subject == bindparam("subject"),
    projects.c.name == bindparam("project"),
)


def find(connection: Connection, *, issuer: str, subject: str, project: str) -> AnyRow | None:
    """The key row of a subject in a project, whatever its state, with the columns of `keys.find_key`."""
    named = {"issuer": issuer, "subject": subject, "project": project}
    return connection.execute(_OF_SUBJECT, named).first()


def project(connection: Connection, name: str) -> AnyRow | None:
    """(id, archived_at) of the project called `name`."""
    statement = select(projects.c.id, projects.c.archived_at).where(projects.c.name == name)
    return connection.execute(statement).first()


def insert(
    connection: Connection, *, issuer: str, subject: str, project_id: int, kind: str = JWT, **values: Any
) -> bool:
    """A key row for a subject in a project. False when it has one: another request was first."""
    named = {"issuer": issuer, "subject": subject, "project_id": project_id}
    return insert_new(
        connection, virtual_keys, kind=kind, secret_hmac=NO_SECRET, created_at=now_ms(), **named, **values
    )


def is_ended(connection: Connection, *, issuer: str, subject: str) -> bool:
    """True when a key row of the subject, in whichever project, is revoked or expired."""
    where = (
        virtual_keys.c.issuer == issuer,
        virtual_keys.c.subject == subject,
        or_(virtual_keys.c.revoked_at.is_not(None), virtual_keys.c.expires_at <= now_ms()),
    )
    return connection.execute(select(virtual_keys.c.id).where(*where).limit(1)).first() is not None
