"""Rows of uploads and their parts. The bytes of the parts are let go in the transaction that ends the upload."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from app.data.store.database import AnyRow, now_ms
from app.data.tables import blobs, upload_parts, uploads

_COLUMNS = (
    uploads.c.id,
    uploads.c.public_id,
    uploads.c.home,
    uploads.c.purpose,
    uploads.c.filename,
    uploads.c.bytes,
    uploads.c.state,
    uploads.c.expires_after_s,
    uploads.c.created_at,
    uploads.c.expires_at,
)
_PART = (upload_parts.c.id, upload_parts.c.public_id, upload_parts.c.bytes, upload_parts.c.created_at)


def insert_upload(connection: Connection, *, lifetime_ms: int, **values: Any) -> AnyRow:
    """A new `pending` upload; `values` are its other columns. Returns it as `find` does."""
    # Asked once: two readings of the clock may be a millisecond apart, and then a second apart on the wire.
    now = connection.execute(select(now_ms())).scalar_one()
    statement = insert(uploads).values(state="pending", created_at=now, expires_at=now + lifetime_ms, **values)
    return connection.execute(statement.returning(*_COLUMNS)).one()


def find(connection: Connection, *, project_id: int, public_id: str) -> AnyRow | None:
    """An upload of the project, and as `is_due` whether its time is over."""
    statement = select(*_COLUMNS, (uploads.c.expires_at <= now_ms()).label("is_due")).where(
        uploads.c.public_id == public_id, uploads.c.project_id == project_id
    )
    return connection.execute(statement).first()


def hold(connection: Connection, upload_id: int) -> bool:
    """Keep a pending upload from ending until the transaction is over. False when it has ended."""
    statement = (
        update(uploads)
        .where(uploads.c.id == upload_id, uploads.c.state == "pending", uploads.c.expires_at > now_ms())
        .values(state="pending")
    )
    return connection.execute(statement).rowcount == 1


def insert_part(connection: Connection, *, public_id: str, upload_id: int, blob_id: int, size: int) -> AnyRow:
    """A part whose blob is settled in the same transaction; `size` is bytes."""
    statement = insert(upload_parts).values(
        public_id=public_id, upload_id=upload_id, blob_id=blob_id, bytes=size, created_at=now_ms()
    )
    return connection.execute(statement.returning(*_PART)).one()


def count_parts(connection: Connection, upload_id: int) -> int:
    """How many parts the upload has."""
    statement = select(func.count()).select_from(upload_parts).where(upload_parts.c.upload_id == upload_id)
    return int(connection.execute(statement).scalar_one())


def distinct_bytes(connection: Connection, upload_id: int) -> int:
    """Bytes of the upload's parts; parts with the same content count once."""
    contents = (
        select(blobs.c.sha256, upload_parts.c.bytes)
        .join_from(upload_parts, blobs, blobs.c.id == upload_parts.c.blob_id)
        .where(upload_parts.c.upload_id == upload_id)
        .distinct()
        .subquery()
    )
    return int(connection.execute(select(func.coalesce(func.sum(contents.c.bytes), 0))).scalar_one())


def parts(connection: Connection, upload_id: int) -> Sequence[AnyRow]:
    """(public_id, bytes, key) of the upload's parts whose bytes are there."""
    statement = (
        select(upload_parts.c.public_id, upload_parts.c.bytes, blobs.c.key)
        .join_from(upload_parts, blobs, blobs.c.id == upload_parts.c.blob_id)
        .where(upload_parts.c.upload_id == upload_id, blobs.c.state == "live")
    )
    return connection.execute(statement).all()


def complete(connection: Connection, upload_id: int, *, file_id: int) -> bool:
    """End a pending upload with the file that was made of it. False when it has ended already or its time is over."""
    where = (uploads.c.state == "pending", uploads.c.expires_at > now_ms())
    return _end(connection, upload_id, *where, state="completed", file_id=file_id)


def cancel(connection: Connection, upload_id: int) -> bool:
    """End a pending upload. False when it has ended already or its time is over."""
    where = (uploads.c.state == "pending", uploads.c.expires_at > now_ms())
    return _end(connection, upload_id, *where, state="cancelled")


def expire(connection: Connection, upload_id: int) -> bool:
    """End a pending upload whose time is over. False when it has ended already."""
    where = (uploads.c.state == "pending", uploads.c.expires_at <= now_ms())
    return _end(connection, upload_id, *where, state="expired")


def due(connection: Connection, *, limit: int) -> Sequence[int]:
    """Pending uploads whose time is over."""
    statement = select(uploads.c.id).where(uploads.c.state == "pending", uploads.c.expires_at <= now_ms())
    return connection.execute(statement.limit(limit)).scalars().all()


def _end(connection: Connection, upload_id: int, *where: Any, **values: Any) -> bool:
    if connection.execute(update(uploads).where(uploads.c.id == upload_id, *where).values(**values)).rowcount != 1:
        return False
    held = select(upload_parts.c.blob_id).where(
        upload_parts.c.upload_id == upload_id, upload_parts.c.blob_id.is_not(None)
    )
    # Statements of constant number, however many parts: each part has a blob of its own.
    connection.execute(
        update(blobs)
        .where(blobs.c.id.in_(held), blobs.c.state == "live")
        .values(refs=blobs.c.refs - 1, state="deleting", lease_until=None)
    )
    connection.execute(update(upload_parts).where(upload_parts.c.upload_id == upload_id).values(blob_id=None))
    return True
