"""What of a project expires within some time: files, running batches, containers and keys."""

from sqlalchemy import Connection, literal, select, text

from app.data.store.database import now_ms
from app.data.tables import batches, containers, files, virtual_keys
from app.data.tables.batches import IS_RUNNING

# Files are found in the order in which all projects' expire: so many are looked at.
AMONG_FILES = 2000

Expiry = tuple[str, str, str, int]  # kind, public id, name, Unix ms


def of_project(connection: Connection, project_id: int, *, within_ms: int, limit: int) -> list[Expiry]:
    """At most `limit` of each kind, in no order."""
    until = now_ms() + within_ms
    first = (
        select(files.c.project_id, files.c.public_id, files.c.filename, files.c.expires_at)
        .where(
            text("files.deleted_at IS NULL AND files.expires_at IS NOT NULL"),
            files.c.expires_at.between(now_ms(), until),
        )
        .order_by(files.c.expires_at)
        .limit(AMONG_FILES)
        .subquery()
    )
    statements = (
        select(literal("file"), first.c.public_id, first.c.filename, first.c.expires_at).where(
            first.c.project_id == project_id
        ),
        select(literal("batch"), batches.c.public_id, batches.c.provider, batches.c.expires_at)
        .where(IS_RUNNING, batches.c.project_id == project_id, batches.c.expires_at <= until)
        .order_by(batches.c.expires_at),
        select(literal("container"), containers.c.public_id, containers.c.name, containers.c.expires_at).where(
            containers.c.project_id == project_id,
            containers.c.deleted_at.is_(None),
            containers.c.status == "running",
            containers.c.expires_at.between(now_ms(), until),
        ),
        select(literal("key"), virtual_keys.c.public_id, virtual_keys.c.name, virtual_keys.c.expires_at)
        .where(
            virtual_keys.c.project_id == project_id,
            virtual_keys.c.revoked_at.is_(None),
            virtual_keys.c.expires_at.between(now_ms(), until),
        )
        .order_by(virtual_keys.c.expires_at),
    )
    rows = (row for statement in statements for row in connection.execute(statement.limit(limit)))
    return [(str(row[0]), str(row[1]), str(row[2]), int(row[3])) for row in rows]
