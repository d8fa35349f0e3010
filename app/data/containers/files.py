"""Rows of files in containers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from app.data.store import paging
from app.data.store.database import AnyRow, insert_absent, now_ms
from app.data.tables import container_files, files

# Within what a statement takes as parameters on either store.
SLICE = 1000

_COLUMNS = (
    container_files.c.id,
    container_files.c.public_id,
    container_files.c.path,
    container_files.c.source,
    container_files.c.bytes,
    container_files.c.blob_id,
    container_files.c.created_at,
    container_files.c.native_id,
)


def insert_file(connection: Connection, **values: Any) -> AnyRow:
    """A new file; `values` are its columns but `id` and `created_at`. Returns it as `find` does."""
    statement = insert(container_files).returning(*_COLUMNS).values(created_at=now_ms(), **values)
    return connection.execute(statement).one()


def find(connection: Connection, *, container_id: int, public_id: str) -> AnyRow | None:
    """A file of the container that is not deleted, by its id here or at its provider."""
    statement = select(*_COLUMNS).where(
        or_(container_files.c.public_id == public_id, container_files.c.native_id == public_id),
        container_files.c.container_id == container_id,
        container_files.c.deleted_at.is_(None),
    )
    return connection.execute(statement).first()


def find_path(connection: Connection, *, container_id: int, path: str) -> str | None:
    """The id of the file at `path`, if there is one."""
    statement = select(container_files.c.public_id).where(
        container_files.c.container_id == container_id,
        container_files.c.path == path,
        container_files.c.deleted_at.is_(None),
    )
    return connection.execute(statement).scalar()


def list_page(
    connection: Connection, *, container_id: int, after: paging.Position | None, descending: bool, limit: int
) -> Sequence[AnyRow]:
    """At most `limit` + 1 files of the container, in the order of lists."""
    statement = select(*_COLUMNS).where(
        container_files.c.container_id == container_id, container_files.c.deleted_at.is_(None)
    )
    return connection.execute(
        paging.page(statement, container_files, after=after, descending=descending, limit=limit)
    ).all()


def position(connection: Connection, *, container_id: int, public_id: str) -> paging.Position | None:
    """Where a file of the container stands in lists, by its id here (deleted ones too) or at its provider."""
    scope = container_files.c.container_id == container_id
    found = paging.position(connection, container_files, scope, public_id=public_id)
    # The index of native ids has no tombstones.
    alive = container_files.c.deleted_at.is_(None)
    return found or paging.native_position(connection, container_files, scope, alive, native_id=public_id)


def list_held(connection: Connection, *, container_id: int, limit: int) -> Sequence[AnyRow]:
    """(id, blob_id) of files of the container that are not deleted, the ones with the lowest blobs first."""
    statement = (
        select(container_files.c.id, container_files.c.blob_id)
        .where(container_files.c.container_id == container_id, container_files.c.deleted_at.is_(None))
        .order_by(container_files.c.blob_id)
        .limit(limit)
    )
    return connection.execute(statement).all()


def record(connection: Connection, *, container_id: int, native_id: str, **values: Any) -> None:
    """What the provider says of a file in the container: a new row, or the one that it has brought up to date."""
    where = (container_files.c.container_id == container_id, container_files.c.native_id == native_id)
    found = update(container_files).where(*where, container_files.c.deleted_at.is_(None))
    same = {name: values[name] for name in ("path", "bytes") if values.get(name) is not None}
    if connection.execute(found.values(**same)).rowcount:
        return
    full = {"created_at": now_ms(), **{name: value for name, value in values.items() if value is not None}}
    insert_absent(connection, container_files, container_id=container_id, native_id=native_id, **full)


def known(connection: Connection, *, container_id: int) -> Sequence[AnyRow]:
    """(id, native_id, path, bytes) of the files of a container at a provider that are not deleted."""
    columns = (container_files.c.id, container_files.c.native_id, container_files.c.path, container_files.c.bytes)
    statement = select(*columns).where(
        container_files.c.container_id == container_id,
        container_files.c.native_id.is_not(None),
        container_files.c.deleted_at.is_(None),
    )
    return connection.execute(statement).all()


def bury(connection: Connection, file_ids: Sequence[int]) -> None:
    """Files that the provider has no longer are tombstones."""
    for start in range(0, len(file_ids), SLICE):
        where = (container_files.c.id.in_(file_ids[start : start + SLICE]), container_files.c.deleted_at.is_(None))
        connection.execute(update(container_files).where(*where).values(deleted_at=now_ms()))


def mark_deleted(connection: Connection, file_id: int) -> bool:
    """Leave a tombstone that holds no blob. False when another transaction was first."""
    statement = (
        update(container_files)
        .where(container_files.c.id == file_id, container_files.c.deleted_at.is_(None))
        .values(deleted_at=now_ms(), blob_id=None)
    )
    return connection.execute(statement).rowcount == 1


def find_source(connection: Connection, *, project_id: int, public_id: str) -> AnyRow | None:
    """(public_id, filename, bytes, blob_id) of a file of the project that can be copied from now on."""
    statement = select(files.c.public_id, files.c.filename, files.c.bytes, files.c.blob_id).where(
        files.c.public_id == public_id,
        files.c.project_id == project_id,
        files.c.deleted_at.is_(None),
        or_(files.c.expires_at.is_(None), files.c.expires_at > now_ms()),
    )
    return connection.execute(statement).first()
