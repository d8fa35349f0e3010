"""Copies: which files a native object represents. The object is deleted at its provider with its last copy."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, or_, select, update
from sqlalchemy.sql import ColumnElement

from app.data.files import native_objects as object_rows
from app.data.store import paging
from app.data.store.database import now_ms
from app.data.tables import file_copies, files, native_objects
from app.data.tables.native import IS_SHOWN

RAW = "raw"
RESULTS = "results"


@dataclass(frozen=True, slots=True)
class CopyRow:
    """A native object that represents a file at an account; `native_id` is None while it is being made.

    `outlives`: it expires after the instant asked about, or never. `is_due`: it is waiting to be reconciled.
    """

    object_id: int
    native_id: str | None
    state: str
    status: str
    outlives: bool
    is_due: bool


@dataclass(frozen=True, slots=True)
class LiveCopy:
    """A live native object that represents a file; `missing_part` is what its provider said it does not have of it."""

    object_id: int
    account_id: int
    native_id: str
    missing_part: str | None = None


def of_file(
    connection: Connection, file_id: int, *, account_id: int, variant: str, until_ms: int | None
) -> list[CopyRow]:
    """The objects that represent a file at an account, newest first; `outlives` is about `until_ms` (None: now)."""
    until: Any = now_ms() if until_ms is None else until_ms
    statement = (
        select(
            native_objects.c.id,
            native_objects.c.native_id,
            native_objects.c.state,
            native_objects.c.status,
            or_(native_objects.c.expires_at.is_(None), native_objects.c.expires_at > until),
            func.coalesce(native_objects.c.next_at <= now_ms(), False),
        )
        .join(file_copies, file_copies.c.native_object_id == native_objects.c.id)
        .where(
            file_copies.c.file_id == file_id,
            file_copies.c.variant == variant,
            file_copies.c.deleted_at.is_(None),
            native_objects.c.account_id == account_id,
        )
    )
    return [CopyRow(*row) for row in connection.execute(statement.order_by(native_objects.c.id.desc()))]


def live_of_file(connection: Connection, file_id: int, *, variant: str) -> list[LiveCopy]:
    """The live objects that represent a file, without expired ones: those that are not missing first, then oldest."""
    statement = (
        select(
            native_objects.c.id,
            native_objects.c.account_id,
            native_objects.c.native_id,
            native_objects.c.missing_part,
        )
        .join(file_copies, file_copies.c.native_object_id == native_objects.c.id)
        .where(
            file_copies.c.file_id == file_id,
            file_copies.c.variant == variant,
            file_copies.c.deleted_at.is_(None),
            native_objects.c.state == "live",
            or_(native_objects.c.expires_at.is_(None), native_objects.c.expires_at > now_ms()),
        )
    )
    order = (native_objects.c.missing_at.is_not(None), native_objects.c.id)
    return [LiveCopy(*row) for row in connection.execute(statement.order_by(*order))]


def add(connection: Connection, *, file_id: int, object_id: int, variant: str) -> None:
    """Record that the object represents the file."""
    values = {"file_id": file_id, "native_object_id": object_id, "variant": variant, "created_at": now_ms()}
    connection.execute(insert(file_copies).values(**values))


def move(connection: Connection, object_id: int, *, to: int) -> None:
    """Hand every copy of a pending object over to the object `to`, and delete the pending object's row."""
    where = (file_copies.c.native_object_id == object_id,)
    connection.execute(update(file_copies).where(*where).values(native_object_id=to))
    connection.execute(delete(native_objects).where(native_objects.c.id == object_id))


def is_adopted(connection: Connection, object_id: int) -> bool:
    """True when a file that the object represents, or once did, was adopted from its provider."""
    statement = (
        select(files.c.id)
        .join(file_copies, file_copies.c.file_id == files.c.id)
        .where(file_copies.c.native_object_id == object_id, files.c.adopted_at.is_not(None))
    )
    return connection.execute(statement.limit(1)).first() is not None


def only_at_provider(connection: Connection, object_id: int) -> list[int]:
    """Ids of files that the object represents and whose bytes the gateway does not have."""
    statement = (
        select(files.c.id)
        .join(file_copies, file_copies.c.file_id == files.c.id)
        .where(
            file_copies.c.native_object_id == object_id,
            file_copies.c.deleted_at.is_(None),
            files.c.blob_id.is_(None),
            paging.alive(files.c.deleted_at),
        )
    )
    return list(connection.execute(statement).scalars())


def release(connection: Connection, file_id: int) -> list[int]:
    """Delete all copies of a file; returns the ids of the objects that are to be deleted with them."""
    copies = (file_copies.c.file_id == file_id, file_copies.c.deleted_at.is_(None))
    held = select(file_copies.c.native_object_id).where(*copies)
    ids = sorted(set(connection.execute(held).scalars()))
    if not ids:
        return []
    # Locked before the copies go, and in one order, so that a file that begins to share an object is noticed.
    rows = select(native_objects.c.id).where(native_objects.c.id.in_(ids)).order_by(native_objects.c.id)
    connection.execute(rows.with_for_update())
    connection.execute(update(file_copies).where(*copies).values(deleted_at=now_ms()))
    return object_rows.condemn_unused(connection, ids)


def discard(connection: Connection, object_id: int) -> None:
    """Delete every copy that a live object provides, and mark the object for deletion: it is of no use."""
    object_rows.lock(connection, object_id)
    copies = (file_copies.c.native_object_id == object_id, file_copies.c.deleted_at.is_(None))
    connection.execute(update(file_copies).where(*copies).values(deleted_at=now_ms()))
    object_rows.condemn_unused(connection, [object_id])


def shown_id() -> ColumnElement[str]:
    """The native id of a row of `files`, as a column of a SELECT: the oldest live one of those that are shown.

    Copies are read one by one, in the order of their index. Joined to objects, PostgreSQL may read all of those instead
    for each file, while it has no statistics.
    """
    live = select(native_objects.c.native_id).where(
        native_objects.c.id == file_copies.c.native_object_id, native_objects.c.state == "live"
    )
    copies = (
        select(live.correlate(file_copies).scalar_subquery().label("native_id"))
        .where(
            file_copies.c.file_id == files.c.id,
            IS_SHOWN,
            file_copies.c.deleted_at.is_(None),
        )
        .order_by(file_copies.c.id)
        .correlate(files)
        .subquery()
    )
    return select(copies.c.native_id).where(copies.c.native_id.is_not(None)).limit(1).scalar_subquery()


def file_of(connection: Connection, project_id: int, native_id: str) -> str | None:
    """The public id of the project's file that a native object represents; the oldest where several share it."""
    statement = (
        select(files.c.public_id)
        .join(file_copies, file_copies.c.file_id == files.c.id)
        .join(native_objects, native_objects.c.id == file_copies.c.native_object_id)
        .where(
            native_objects.c.native_id == native_id,
            native_objects.c.state == "live",
            file_copies.c.deleted_at.is_(None),
            files.c.project_id == project_id,
            files.c.deleted_at.is_(None),
        )
    )
    # Of files that share the object, one that has expired and only waits to be swept comes last.
    is_over = case((files.c.expires_at <= select(now_ms()).scalar_subquery(), 1), else_=0)
    return connection.execute(statement.order_by(is_over, files.c.id).limit(1)).scalar()
