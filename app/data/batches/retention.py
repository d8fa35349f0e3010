"""Retention: batches that ended long ago, and the deletion of their chunks and segments (lines: see `lines`)."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select, update

from app.data.files import blobs
from app.data.store.database import now_ms
from app.data.tables import batch_chunks, batch_segments, batches
from app.lib.states import TERMINAL


def due(connection: Connection, *, older_than_ms: int, limit: int) -> Sequence[int]:
    """Ids of batches that ended longer ago than `older_than_ms` and still have some of their lines."""
    ended_at = func.coalesce(batches.c.completed_at, batches.c.failed_at, batches.c.expired_at, batches.c.cancelled_at)
    statement = (
        select(batches.c.id)
        .where(
            batches.c.status.in_(TERMINAL),
            batches.c.created_at < now_ms() - older_than_ms,
            ended_at < now_ms() - older_than_ms,
            batches.c.lines_state != "dropped",
        )
        .order_by(batches.c.created_at)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def mark(connection: Connection, batch_id: int, state: str) -> None:
    """Set the state of the batch's lines: `dropping` (being deleted, no longer read) or `dropped`."""
    connection.execute(update(batches).where(batches.c.id == batch_id).values(lines_state=state))


def drop_chunks(connection: Connection, batch_id: int, *, limit: int) -> int:
    """Delete up to `limit` chunks of the batch and release their blobs; returns how many were deleted."""
    statement = select(batch_chunks.c.id, batch_chunks.c.blob_id).where(batch_chunks.c.batch_id == batch_id)
    rows = connection.execute(statement.limit(limit)).all()
    for row in rows:
        connection.execute(delete(batch_chunks).where(batch_chunks.c.id == row.id))
        blobs.release(connection, row.blob_id)
    return len(rows)


def drop_segments(connection: Connection, batch_id: int, *, limit: int) -> int:
    """Delete up to `limit` segments of the batch; returns how many were deleted."""
    some = select(batch_segments.c.id).where(batch_segments.c.batch_id == batch_id).limit(limit)
    return connection.execute(delete(batch_segments).where(batch_segments.c.id.in_(some))).rowcount
