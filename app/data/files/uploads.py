"""Rows of uploads and their parts. The transaction that ends an upload releases the bytes of its parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, func, insert, select, update

from app.data.files.files import FileRow
from app.data.store import paging
from app.data.store.database import now_ms
from app.data.tables import blobs, upload_parts, uploads


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as it is at this moment. Instants are Unix milliseconds, `expires_after_s` is the file's.

    `status`: pending, completed, cancelled or expired, also when the sweeper has not seen it yet. `file` is set only
    by whoever completes the upload.
    """

    id: int
    public_id: str
    home: str
    purpose: str
    filename: str
    bytes: int
    status: str
    expires_after_s: int | None
    created_at: int
    expires_at: int
    file: FileRow | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload. `created_at` is Unix milliseconds."""

    public_id: str
    created_at: int


@dataclass(frozen=True, slots=True)
class StoredPart:
    """Where the bytes of a part are."""

    public_id: str
    bytes: int
    key: str


_is_open = and_(uploads.c.state == "pending", uploads.c.expires_at > now_ms())
_is_due = and_(uploads.c.state == "pending", uploads.c.expires_at <= now_ms())
_COLUMNS = (
    uploads.c.id,
    uploads.c.public_id,
    uploads.c.home,
    uploads.c.purpose,
    uploads.c.filename,
    uploads.c.bytes,
    case((_is_due, "expired"), else_=uploads.c.state),
    uploads.c.expires_after_s,
    uploads.c.created_at,
    uploads.c.expires_at,
)


def insert_upload(
    connection: Connection,
    *,
    lifetime_ms: int,
    public_id: str,
    project_id: int,
    key_id: int,
    home: str,
    purpose: str,
    filename: str,
    mime_type: str,
    size: int,
    expires_after_s: int | None,
) -> Upload:
    """A new pending upload of `size` bytes in all."""
    # Read once: two readings of the clock may be a millisecond apart, and then a second apart on the wire.
    now = connection.execute(select(now_ms())).scalar_one()
    statement = insert(uploads).values(
        public_id=public_id,
        project_id=project_id,
        key_id=key_id,
        home=home,
        purpose=purpose,
        filename=filename,
        mime_type=mime_type,
        bytes=size,
        expires_after_s=expires_after_s,
        state="pending",
        created_at=now,
        expires_at=now + lifetime_ms,
    )
    return Upload(*connection.execute(statement.returning(*_COLUMNS)).one())


def find(connection: Connection, *, project_id: int, public_id: str) -> Upload | None:
    """An upload of the project."""
    mine = paging.within(uploads.c.project_id, project_id)
    statement = select(*_COLUMNS).where(uploads.c.public_id == public_id, mine)
    row = connection.execute(statement).first()
    return None if row is None else Upload(*row)


def hold(connection: Connection, upload_id: int) -> bool:
    """Keep a pending upload from ending until the transaction is over. False when it has ended."""
    statement = update(uploads).where(uploads.c.id == upload_id, _is_open).values(state="pending")
    return connection.execute(statement).rowcount == 1


def insert_part(connection: Connection, *, public_id: str, upload_id: int, blob_id: int, size: int) -> Part:
    """A part of `size` bytes. Its blob is live: the same transaction marks it so, or it is an equal part's."""
    statement = insert(upload_parts).values(
        public_id=public_id, upload_id=upload_id, blob_id=blob_id, bytes=size, created_at=now_ms()
    )
    row = connection.execute(statement.returning(upload_parts.c.public_id, upload_parts.c.created_at)).one()
    return Part(*row)


def equal_part(connection: Connection, upload_id: int, *, sha256: str | None, size: int) -> int | None:
    """The row id of the blob of a part of the upload with the same content."""
    statement = (
        select(blobs.c.id)
        .join_from(upload_parts, blobs, blobs.c.id == upload_parts.c.blob_id)
        .where(upload_parts.c.upload_id == upload_id, upload_parts.c.bytes == size, blobs.c.sha256 == sha256)
        .limit(1)
    )
    return connection.execute(statement).scalar()


def count_parts(connection: Connection, upload_id: int) -> int:
    """How many parts the upload has."""
    statement = select(func.count()).select_from(upload_parts).where(upload_parts.c.upload_id == upload_id)
    return int(connection.execute(statement).scalar_one())


def distinct_bytes(connection: Connection, upload_id: int) -> int:
    """The total bytes of the upload's parts; parts with the same content count once."""
    contents = (
        select(blobs.c.sha256, upload_parts.c.bytes)
        .join_from(upload_parts, blobs, blobs.c.id == upload_parts.c.blob_id)
        .where(upload_parts.c.upload_id == upload_id)
        .distinct()
        .subquery()
    )
    return int(connection.execute(select(func.coalesce(func.sum(contents.c.bytes), 0))).scalar_one())


def parts(connection: Connection, upload_id: int) -> list[StoredPart]:
    """The upload's parts whose bytes are in the store."""
    statement = (
        select(upload_parts.c.public_id, upload_parts.c.bytes, blobs.c.key)
        .join_from(upload_parts, blobs, blobs.c.id == upload_parts.c.blob_id)
        .where(upload_parts.c.upload_id == upload_id, blobs.c.state == "live")
    )
    return [StoredPart(*row) for row in connection.execute(statement)]


def complete(connection: Connection, upload_id: int, *, file_id: int) -> bool:
    """End a pending upload with the file that was made of it. False when it has ended or expired."""
    return _end(connection, upload_id, _is_open, state="completed", file_id=file_id)


def cancel(connection: Connection, upload_id: int) -> bool:
    """End a pending upload. False when it has ended or expired."""
    return _end(connection, upload_id, _is_open, state="cancelled")


def expire(connection: Connection, upload_id: int) -> bool:
    """End a pending upload that has expired. False when it has ended already."""
    return _end(connection, upload_id, _is_due, state="expired")


def due(connection: Connection, *, limit: int) -> Sequence[int]:
    """Ids of pending uploads that have expired."""
    return connection.execute(select(uploads.c.id).where(_is_due).limit(limit)).scalars().all()


def _end(connection: Connection, upload_id: int, *where: Any, **values: Any) -> bool:
    if connection.execute(update(uploads).where(uploads.c.id == upload_id, *where).values(**values)).rowcount != 1:
        return False
    held = select(upload_parts.c.blob_id).where(
        upload_parts.c.upload_id == upload_id, upload_parts.c.blob_id.is_not(None)
    )
    # A constant number of statements, however many parts there are: nothing else refers to their blobs.
    connection.execute(
        update(blobs)
        .where(blobs.c.id.in_(held), blobs.c.state == "live")
        .values(refs=0, state="deleting", lease_until=None)
    )
    connection.execute(update(upload_parts).where(upload_parts.c.upload_id == upload_id).values(blob_id=None))
    return True
