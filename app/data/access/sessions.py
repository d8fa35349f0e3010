"""Queries on sessions of the dashboard. The database's clock decides when one is over."""

from dataclasses import dataclass, field, fields

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from app.data.access.keys import CALLERS, CallerRow
from app.data.access.projects import ProjectRow
from app.data.store.database import now_ms
from app.data.tables import projects, ui_sessions, virtual_keys


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session that is not over, with the key that was signed in with. Instants are Unix milliseconds.

    `key_hmac` is of the secret that was given, None for a JWT's; `role` is the role of the JWT. `project_id` is the
    project that an admin has chosen, None for the key's own. `seen_ms` is how long ago it was last used.
    """

    id: int
    project_id: int | None
    key_hmac: str | None = field(repr=False)
    role: str | None
    expires_at: int
    seen_ms: int
    issuer: str | None
    subject: str | None
    key: CallerRow


_KEY_FIELDS = len(fields(CallerRow))
# Built once: every request for a page runs it.
_OPEN = (
    CALLERS.add_columns(
        ui_sessions.c.id.label("session_id"),
        ui_sessions.c.project_id.label("chosen"),
        ui_sessions.c.key_hmac,
        ui_sessions.c.role.label("session_role"),
        ui_sessions.c.expires_at.label("session_ends"),
        (now_ms() - ui_sessions.c.seen_at).label("seen_ms"),
        virtual_keys.c.issuer,
        virtual_keys.c.subject,
    )
    .join(ui_sessions, ui_sessions.c.key_id == virtual_keys.c.id)
    .where(
        ui_sessions.c.token_sha256 == bindparam("token_sha256"),
        ui_sessions.c.expires_at > now_ms(),
        ui_sessions.c.seen_at > now_ms() - bindparam("idle_ms"),
    )
)
_PROJECT = select(*(projects.c[column.name] for column in fields(ProjectRow)))


def open_session(
    connection: Connection,
    *,
    token_sha256: str,
    key_id: int,
    key_hmac: str | None,
    role: str | None,
    for_ms: int,
    until: int | None,
    project_id: int | None = None,
) -> None:
    """Insert a session that lasts `for_ms`, and at most `until` (Unix ms)."""
    now = connection.execute(select(now_ms())).scalar_one()
    expires_at = now + for_ms if until is None else min(now + for_ms, until)
    values = {"token_sha256": token_sha256, "key_id": key_id, "key_hmac": key_hmac, "role": role}
    connection.execute(
        insert(ui_sessions).values(**values, project_id=project_id, created_at=now, seen_at=now, expires_at=expires_at)
    )


def find(connection: Connection, *, token_sha256: str, idle_ms: int) -> SessionRow | None:
    """The session of a token, with its key whatever the key's state; None when it is over."""
    row = connection.execute(_OPEN, {"token_sha256": token_sha256, "idle_ms": idle_ms}).first()
    return None if row is None else SessionRow(*(*row[_KEY_FIELDS:], CallerRow(*row[:_KEY_FIELDS])))


def project(connection: Connection, project_id: int) -> ProjectRow | None:
    """The project with this integer id."""
    row = connection.execute(_PROJECT.where(projects.c.id == project_id)).first()
    return None if row is None else ProjectRow(**row._mapping)


def seen(connection: Connection, session_id: int) -> None:
    """Record that a session is in use."""
    connection.execute(update(ui_sessions).where(ui_sessions.c.id == session_id).values(seen_at=now_ms()))


def choose(connection: Connection, session_id: int, project_id: int | None) -> None:
    """Let a session show another project; None is the key's own."""
    connection.execute(update(ui_sessions).where(ui_sessions.c.id == session_id).values(project_id=project_id))


def close(connection: Connection, *, token_sha256: str) -> bool:
    """End a session. False when there is none."""
    return connection.execute(delete(ui_sessions).where(ui_sessions.c.token_sha256 == token_sha256)).rowcount == 1


def drop(connection: Connection, *, idle_ms: int, limit: int) -> int:
    """Delete up to `limit` sessions that are over; returns how many."""
    over = or_(ui_sessions.c.expires_at <= now_ms(), ui_sessions.c.seen_at <= now_ms() - idle_ms)
    ids = select(ui_sessions.c.id).where(over).limit(limit)
    return connection.execute(delete(ui_sessions).where(ui_sessions.c.id.in_(ids))).rowcount
