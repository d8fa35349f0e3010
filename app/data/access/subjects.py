"""Key rows of callers without a virtual key: JWT subjects and holders of provider keys, one row for each project."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, or_, select

from app.data.access.keys import CALLERS, CallerRow
from app.data.store.database import insert_new, now_ms
from app.data.tables import projects, virtual_keys

JWT = "jwt"
PROVIDER = "provider"
# No HMAC is empty, so no secret can match such a row.
NO_SECRET = ""


@dataclass(frozen=True, slots=True)
class Project:
    """The id of a project, and when it was archived (Unix ms)."""

    id: int
    archived_at: int | None


# Built once: authentication runs it for every request.
_OF_SUBJECT = CALLERS.where(
    virtual_keys.c.issuer == bindparam("issuer"),
    virtual_keys.c.subject == bindparam("subject"),
    projects.c.name == bindparam("project"),
)


def find(connection: Connection, *, issuer: str, subject: str, project: str) -> CallerRow | None:
    """Returns the key row of a subject in a project, whatever its state."""
    row = connection.execute(_OF_SUBJECT, {"issuer": issuer, "subject": subject, "project": project}).first()
    return None if row is None else CallerRow(*row)


def project(connection: Connection, name: str) -> Project | None:
    """Returns the project called `name`."""
    statement = select(projects.c.id, projects.c.archived_at).where(projects.c.name == name)
    row = connection.execute(statement).first()
    return None if row is None else Project(**row._mapping)


def insert(
    connection: Connection,
    *,
    issuer: str,
    subject: str,
    project_id: int,
    public_id: str,
    name: str,
    role: str,
    kind: str = JWT,
) -> bool:
    """Inserts a key row for a subject in a project. Returns False when another request has inserted one first."""
    return insert_new(
        connection,
        virtual_keys,
        kind=kind,
        secret_hmac=NO_SECRET,
        created_at=now_ms(),
        issuer=issuer,
        subject=subject,
        project_id=project_id,
        public_id=public_id,
        name=name,
        role=role,
    )


def is_ended(connection: Connection, *, issuer: str, subject: str) -> bool:
    """Returns True when a key row of the subject is revoked or expired, in any project."""
    where = (
        virtual_keys.c.issuer == issuer,
        virtual_keys.c.subject == subject,
        or_(virtual_keys.c.revoked_at.is_not(None), virtual_keys.c.expires_at <= now_ms()),
    )
    return connection.execute(select(virtual_keys.c.id).where(*where).limit(1)).first() is not None
