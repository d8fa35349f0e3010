"""Copies: which files a native object stands for. An object is to be deleted at its provider with its last copy."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.sql import ColumnElement

from app.data.files import native_objects as object_rows
from app.data.store.database import AnyRow, now_ms
from app.data.tables import file_copies, files, native_objects

RAW = "raw"
RESULTS = "results"
# Variants under whose native id a file is shown.
SHOWN = (RAW, RESULTS)


def of_file(
    connection: Connection, file_id: int, *, account_id: int, variant: str, until_ms: int | None
) -> Sequence[AnyRow]:
    """Objects that stand for a file at an account, newest first.

    `outlives` is true when it expires after `until_ms` (None: after now), `is_due` when it waits to be reconciled.
    """
    until: Any = now_ms() if until_ms is None else until_ms
    statement = (
        select(
            native_objects.c.id,
            native_objects.c.native_id,
            native_objects.c.state,
            native_objects.c.status,
            or_(native_objects.c.expires_at.is_(None), native_objects.c.expires_at > until).label("outlives"),
            func.coalesce(native_objects.c.next_at <= now_ms(), False).label("is_due"),
        )
        .join(file_copies, file_copies.c.native_object_id == native_objects.c.id)
        .where(
            file_copies.c.file_id == file_id,
            file_copies.c.variant == variant,
            file_copies.c.deleted_at.is_(None),
            native_objects.c.account_id == account_id,
        )
    )
    return connection.execute(statement.order_by(native_objects.c.id.desc())).all()


def live_of_file(connection: Connection, file_id: int, *, variant: str) -> Sequence[AnyRow]:
    """(id, account_id, native_id) of live objects that stand for a file, oldest first; expired ones are left out."""
    statement = (
        select(native_objects.c.id, native_objects.c.account_id, native_objects.c.native_id)
        .join(file_copies, file_copies.c.native_object_id == native_objects.c.id)
        .where(
            file_copies.c.file_id == file_id,
            file_copies.c.variant == variant,
            file_copies.c.deleted_at.is_(None),
            native_objects.c.state == "live",
            or_(native_objects.c.expires_at.is_(None), native_objects.c.expires_at > now_ms()),
        )
    )
    return connection.execute(statement.order_by(native_objects.c.id)).all()


def add(connection: Connection, *, file_id: int, object_id: int, variant: str) -> None:
    """The file is represented by the object from now on."""
    values = {"file_id": file_id, "native_object_id": object_id, "variant": variant, "created_at": now_ms()}
    connection.execute(insert(file_copies).values(**values))


def move(connection: Connection, object_id: int, *, to: int) -> None:
    """Whatever the pending object stood for is the other one's from now on; the pending one is forgotten."""
    where = (file_copies.c.native_object_id == object_id,)
    connection.execute(update(file_copies).where(*where).values(native_object_id=to))
    connection.execute(delete(native_objects).where(native_objects.c.id == object_id))


def is_adopted(connection: Connection, object_id: int) -> bool:
    """True when a file that the object stands, or stood, for was at its provider before the gateway knew of it."""
    statement = (
        select(files.c.id)
        .join(file_copies, file_copies.c.file_id == files.c.id)
        .where(file_copies.c.native_object_id == object_id, files.c.adopted_at.is_not(None))
    )
    return connection.execute(statement.limit(1)).first() is not None


def let_go(connection: Connection, file_id: int) -> list[int]:
    """A file is represented by nothing any more; returns the objects that are to be deleted with it."""
    copies = (file_copies.c.file_id == file_id, file_copies.c.deleted_at.is_(None))
    held = select(file_copies.c.native_object_id).where(*copies)
    ids = sorted(set(connection.execute(held).scalars()))
    if not ids:
        return []
    # Before the copies go, and in one order, so that whoever shares an object meanwhile is seen.
    rows = select(native_objects.c.id).where(native_objects.c.id.in_(ids)).order_by(native_objects.c.id)
    connection.execute(rows.with_for_update())
    connection.execute(update(file_copies).where(*copies).values(deleted_at=now_ms()))
    return object_rows.condemn_unused(connection, ids)


def discard(connection: Connection, object_id: int) -> None:
    """A live object is of no use: it stands for no file any more and is to be deleted."""
    object_rows.lock(connection, object_id)
    copies = (file_copies.c.native_object_id == object_id, file_copies.c.deleted_at.is_(None))
    connection.execute(update(file_copies).where(*copies).values(deleted_at=now_ms()))
    object_rows.condemn_unused(connection, [object_id])


def shown_id() -> ColumnElement[str]:
    """The native id of a row of `files`, for its SELECT: one probe of an index for each row."""
    statement = (
        select(native_objects.c.native_id)
        .join(file_copies, file_copies.c.native_object_id == native_objects.c.id)
        .where(
            file_copies.c.file_id == files.c.id,
            file_copies.c.variant.in_(SHOWN),
            file_copies.c.deleted_at.is_(None),
            native_objects.c.state == "live",
        )
        .order_by(file_copies.c.id)
        .limit(1)
    )
    return statement.correlate(files).scalar_subquery()


def file_of(connection: Connection, project_id: int, native_id: str) -> str | None:
    """The public id of the project's file that an object stands for; the oldest, where they share it."""
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
    return connection.execute(statement.order_by(files.c.id).limit(1)).scalar()
