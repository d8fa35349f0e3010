"""Rows of blobs: pending before the first byte, live when durable, deleting until the bytes are gone."""

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from app.data.store.database import AnyRow, inserted_id, now_ms
from app.data.tables import blobs, container_files, files, upload_parts
from app.data.tables.batches import batch_chunks


def insert_pending(connection: Connection, *, key: str, store: str, lease_s: float) -> int:
    """The row that says bytes are coming; the sweeper leaves it alone while its lease runs."""
    return inserted_id(
        connection,
        insert(blobs).values(
            key=key, store=store, state="pending", created_at=now_ms(), lease_until=now_ms() + int(lease_s * 1000)
        ),
    )


def renew(connection: Connection, blob_id: int, *, lease_s: float) -> bool:
    """Keep a pending blob on lease. False when the sweeper has taken it."""
    statement = (
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.state == "pending")
        .values(lease_until=now_ms() + int(lease_s * 1000))
    )
    return connection.execute(statement).rowcount == 1


def mark_live(connection: Connection, blob_id: int, *, size: int, sha256: str | None) -> bool:
    """The bytes are durable. False when the row is no longer pending: then they must not be used."""
    statement = (
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.state == "pending")
        .values(state="live", bytes=size, sha256=sha256, lease_until=None)
    )
    return connection.execute(statement).rowcount == 1


def forget(connection: Connection, blob_id: int) -> None:
    """Remove the row of a blob whose bytes are gone."""
    connection.execute(delete(blobs).where(blobs.c.id == blob_id, blobs.c.state != "live"))


def acquire(connection: Connection, blob_id: int) -> bool:
    """One more row refers to a live blob. False when it is going away."""
    statement = update(blobs).where(blobs.c.id == blob_id, blobs.c.state == "live").values(refs=blobs.c.refs + 1)
    return connection.execute(statement).rowcount == 1


def release(connection: Connection, blob_id: int) -> None:
    """One row fewer refers to the blob; with the last one it is marked for deletion."""
    connection.execute(update(blobs).where(blobs.c.id == blob_id).values(refs=blobs.c.refs - 1))
    connection.execute(
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.refs <= 0, blobs.c.state == "live")
        .values(state="deleting", lease_until=None)
    )


def condemn(connection: Connection, blob_id: int) -> bool:
    """Mark a pending blob for deletion by its own writer. False when it is live or taken."""
    statement = (
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.state == "pending")
        .values(state="deleting", lease_until=None)
    )
    return connection.execute(statement).rowcount == 1


def condemn_abandoned(connection: Connection, blob_id: int) -> bool:
    """Mark a pending blob whose lease ran out for deletion. False when its writer came back."""
    statement = (
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.state == "pending", blobs.c.lease_until < now_ms())
        .values(state="deleting")
    )
    return connection.execute(statement).rowcount == 1


def unsettled(connection: Connection, *, limit: int) -> list[AnyRow]:
    """(id, key, state) of blobs to delete: condemned ones, and pending ones whose writer went silent."""
    statement = (
        select(blobs.c.id, blobs.c.key, blobs.c.state)
        .where(
            blobs.c.state != "live",
            or_(blobs.c.state == "deleting", blobs.c.lease_until < now_ms()),
        )
        .limit(limit)
    )
    return list(connection.execute(statement))


def condemned(connection: Connection, blob_id: int) -> AnyRow | None:
    """(id, key) of a blob if it is to be deleted."""
    statement = select(blobs.c.id, blobs.c.key).where(blobs.c.id == blob_id, blobs.c.state == "deleting")
    return connection.execute(statement).first()


def locate(connection: Connection, blob_id: int) -> AnyRow | None:
    """(key, store, bytes, sha256) of a live blob."""
    statement = select(blobs.c.key, blobs.c.store, blobs.c.bytes, blobs.c.sha256).where(
        blobs.c.id == blob_id, blobs.c.state == "live"
    )
    return connection.execute(statement).first()


def count_orphans(connection: Connection) -> int:
    """Live blobs that no row refers to: zero, or something is wrong. Reads the whole table; for tests and audits."""
    used = [
        select(column).where(column.is_not(None))
        for column in (files.c.blob_id, upload_parts.c.blob_id, container_files.c.blob_id, batch_chunks.c.blob_id)
    ]
    statement = select(func.count()).select_from(blobs).where(blobs.c.state == "live")
    for ids in used:
        statement = statement.where(blobs.c.id.not_in(ids))
    return int(connection.execute(statement).scalar_one())
