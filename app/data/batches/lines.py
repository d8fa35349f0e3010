"""Lines of batches as clients read them: how each went, and where its request and its answer lie."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from app.data.store.database import AnyRow
from app.data.tables import batch_chunks, batch_lines, blobs


def states(connection: Connection, batch_id: int, *, state: str | None, after: int, limit: int) -> Sequence[AnyRow]:
    """At most `limit` lines behind number `after`, in order."""
    statement = (
        select(batch_lines)
        .where(batch_lines.c.batch_id == batch_id, batch_lines.c.line > after)
        .order_by(batch_lines.c.line)
        .limit(limit)
    )
    if state is not None:
        statement = statement.where(batch_lines.c.state == state)
    return connection.execute(statement).all()


def finished(connection: Connection, batch_id: int, *, after: int, limit: int) -> Sequence[AnyRow]:
    """At most `limit` lines behind number `after` that are over, in order, with the `key` of each answer's blob."""
    statement = (
        select(
            batch_lines.c.line,
            batch_lines.c.custom_id,
            batch_lines.c.state,
            batch_lines.c.error_code,
            batch_lines.c.response_offset,
            batch_lines.c.response_bytes,
            blobs.c.key,
        )
        .outerjoin_from(batch_lines, batch_chunks, batch_chunks.c.id == batch_lines.c.chunk_id)
        .outerjoin(blobs, blobs.c.id == batch_chunks.c.blob_id)
        .where(batch_lines.c.batch_id == batch_id, batch_lines.c.line > after, batch_lines.c.state != "pending")
        .order_by(batch_lines.c.line)
        .limit(limit)
    )
    return connection.execute(statement).all()


def unsuccessful(connection: Connection, batch_id: int, *, after: int, limit: int) -> Sequence[AnyRow]:
    """(line, request_offset, request_bytes) of at most `limit` lines that failed, expired or were cancelled."""
    statement = (
        select(batch_lines.c.line, batch_lines.c.request_offset, batch_lines.c.request_bytes)
        .where(
            batch_lines.c.batch_id == batch_id,
            batch_lines.c.line > after,
            batch_lines.c.state.in_(("failed", "expired", "cancelled")),
        )
        .order_by(batch_lines.c.line)
        .limit(limit)
    )
    return connection.execute(statement).all()
