"""Rows of files. A deleted file stays as a tombstone, so that list cursors keep working."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Select, and_, bindparam, literal, or_, select, update
from sqlalchemy import insert as sql_insert
from sqlalchemy.sql import ColumnElement

from app.data.files import blobs, file_copies
from app.data.money import limit_counters
from app.data.store import paging
from app.data.store.database import in_index_order, now_ms
from app.data.store.paging import Position
from app.data.tables import batch_files, batches, files
from app.data.tables import blobs as blob_rows
from app.data.tables.batches import IS_RUNNING
from app.lib import ids


class FileRow(NamedTuple):
    """A file as clients see it, and where its bytes are. Instants are Unix milliseconds.

    `native_id` is that of a live native object which has the bytes, or which they came from.
    """

    # A named tuple where other queries return frozen dataclasses: a page has up to 10,000 files, and making one of
    # these takes 0.4 us, a frozen dataclass with as many fields 2.2 us.
    id: int
    public_id: str
    project_id: int
    home: str
    purpose: str
    filename: str
    status: str
    status_details: str | None
    blob_id: int | None
    bytes: int
    sha256: str | None
    lines: int | None
    created_at: int
    expires_at: int | None
    native_id: str | None

    @property
    def is_kept(self) -> bool:
        """True when the gateway has the bytes; otherwise only a provider has them."""
        return self.blob_id is not None


NATIVE_ID_LENGTH = 512
MAX_USERS = 10

# By a batch whose input it is, or whose lines name it. Two conditions, since an index answers each. Of each the first
# such batch is asked for: without statistics PostgreSQL may look for all files of all batches where EXISTS stands.
_IN_USE = or_(
    select(batches.c.id)
    .where(batches.c.input_file_id == files.c.id, IS_RUNNING)
    .limit(1)
    .correlate(files)
    .scalar_subquery()
    .is_not(None),
    select(batches.c.id)
    .join_from(batch_files, batches, batches.c.id == batch_files.c.batch_id)
    .where(batch_files.c.file_id == files.c.id, IS_RUNNING)
    .limit(1)
    .correlate(files)
    .scalar_subquery()
    .is_not(None),
)
# Read once for each statement, not for each row.
_NOW = select(now_ms()).scalar_subquery()
# A file is gone when it expires, swept or not, unless an unfinished batch uses it.
_ALIVE = and_(files.c.deleted_at.is_(None), or_(files.c.expires_at.is_(None), files.c.expires_at > _NOW, _IN_USE))

# Of a file that is looked up by its id.
_NOT_DELETED = paging.alive(files.c.deleted_at)
_COLUMNS = (*(files.c[name] for name in FileRow._fields[:-1]), file_copies.shown_id())
# Built once and kept small: every request for a file runs it. Only of a file that has expired is more asked.
_FIND = select(*_COLUMNS, now_ms()).where(
    files.c.public_id == bindparam("public_id"),
    paging.within(files.c.project_id, bindparam("project_id", type_=BigInteger)),
    paging.alive(files.c.deleted_at),
)
_HOLDING = select(files.c.project_id, files.c.key_id, files.c.blob_id, files.c.bytes).with_for_update()


def insert(
    connection: Connection,
    *,
    public_id: str,
    project_id: int,
    key_id: int | None,
    home: str,
    purpose: str,
    filename: str,
    origin: str,
    blob_id: int | None,
    size: int,
    sha256: str | None,
    lines: int | None,
    expires_after_s: int | None,
    status_details: str | None = None,
    status: str = "processed",
    expires_at: int | None = None,
) -> int:
    """A new file of `size` bytes; returns its row id. Its blob, if it has one, goes live in the same transaction."""
    now = connection.execute(select(now_ms())).scalar_one()  # read once: two may be a second apart for clients
    statement = sql_insert(files).values(
        public_id=public_id,
        project_id=project_id,
        key_id=key_id,
        home=home,
        purpose=purpose,
        filename=filename,
        origin=origin,
        status=status,
        status_details=status_details,
        blob_id=blob_id,
        bytes=size,
        sha256=sha256,
        lines=lines,
        created_at=now,
        expires_at=expires_at if expires_after_s is None else now + expires_after_s * 1000,
        refreshed_at=now if blob_id is None else None,
    )
    limit_counters.add_stored(connection, project_id=project_id, key_id=key_id, size=size if blob_id else 0)
    return int(connection.execute(statement.returning(files.c.id)).scalar_one())


def read_new(connection: Connection, file_id: int) -> FileRow:
    """The file that this transaction inserted."""
    return FileRow(*connection.execute(select(*_COLUMNS).where(files.c.id == file_id)).one())


def mark_adopted(connection: Connection, file_id: int) -> None:
    """Record that the file was at its provider before the gateway knew of it."""
    connection.execute(update(files).where(files.c.id == file_id).values(adopted_at=now_ms()))


def find(connection: Connection, project_id: int, public_id: str) -> FileRow | None:
    """A file of the project that is neither deleted nor expired."""
    row = connection.execute(_FIND, {"project_id": project_id, "public_id": public_id}).first()
    if row is None:
        return None
    file, now = FileRow(*row[:-1]), row[-1]
    if file.expires_at is not None and file.expires_at <= now and not users(connection, file.id):
        return None
    return file


def resolve(connection: Connection, project_id: int, given: str) -> FileRow | None:
    """A file of the project that is not deleted, by its own id or by the native id of an object that represents it."""
    if not given or len(given) > NATIVE_ID_LENGTH or not given.isprintable():
        return None
    row = find(connection, project_id, ids.canonical(given)) if len(given) <= ids.MAX_LENGTH else None
    if row is None:
        public_id = file_copies.file_of(connection, project_id, given)
        row = None if public_id is None else find(connection, project_id, public_id)
    return row


def position(connection: Connection, project_id: int, public_id: str) -> Position | None:
    """Where a file of the project stands in lists, deleted ones included."""
    mine = paging.within(files.c.project_id, project_id)
    return paging.position(connection, files, mine, public_id=ids.canonical(public_id))


def page(
    connection: Connection,
    project_id: int,
    *,
    purpose: str | None,
    home: str | None,
    after: Position | None,
    descending: bool,
    limit: int,
) -> list[FileRow]:
    """Up to `limit` + 1 files of the project beyond `after`."""
    filters = {name: value for name, value in (("purpose", purpose), ("home", home)) if value is not None}
    statement = _page(tuple(filters), is_first=after is None, descending=descending)
    parameters = {"project_id": project_id, **filters, **paging.page_parameters(after, limit=limit)}
    return [FileRow._make(row) for row in connection.execute(statement, parameters).all()]


@cache
def _page(filters: tuple[str, ...], *, is_first: bool, descending: bool) -> Select[Any]:
    """The statement of a list, which takes longer to build than to run."""
    statement = select(*_COLUMNS).where(files.c.project_id == bindparam("project_id", type_=BigInteger), _ALIVE)
    statement = statement.where(*(files.c[name] == bindparam(name) for name in filters))
    return paging.prepared_page(statement, files, is_first=is_first, descending=descending)


def delete(connection: Connection, file_id: int) -> list[int] | None:
    """Turn a file into a tombstone and release its bytes and copies. None when it is in use or already deleted.

    Returns the ids of the native objects that are to be deleted with it.
    """
    # A statement of its own, so that the next one sees a batch that was committed while this one waited.
    if not lock_alive(connection, file_id):
        return None
    # A batch that is being created locks the file. Wait for it first: a statement that waits midway decides by what
    # it saw before it waited, when there was no batch.
    row = connection.execute(_HOLDING.where(files.c.id == file_id, _NOT_DELETED)).first()
    if row is None:
        return None
    where = (files.c.id == file_id, _NOT_DELETED, ~_IN_USE)
    gone = {"deleted_at": now_ms(), "status": "deleted", "blob_id": None}
    if connection.execute(update(files).where(*where).values(**gone)).rowcount != 1:
        return None
    if row.blob_id is not None:
        blobs.release(connection, row.blob_id)
    unused = file_copies.release(connection, file_id)
    if row.blob_id is not None:
        limit_counters.add_stored(connection, project_id=row.project_id, key_id=row.key_id, size=-row.bytes)
    return unused


def is_stale(connection: Connection, file_id: int, *, stale_ms: int) -> bool:
    """True when the provider has not been asked about a file for `stale_ms`."""
    statement = select(literal(1)).where(files.c.id == file_id, _not_seen_for(stale_ms))
    return connection.execute(statement).first() is not None


def take_look(connection: Connection, file_id: int, *, stale_ms: int) -> bool:
    """Claim the look at a stale file: true for the one caller who is to ask the provider about it."""
    where = (files.c.id == file_id, _NOT_DELETED, _not_seen_for(stale_ms))
    return connection.execute(update(files).where(*where).values(refreshed_at=now_ms())).rowcount == 1


def observe(connection: Connection, file_id: int, *, status: str, expires_at: int | None) -> None:
    """Record what the provider says of a file that only it has."""
    where = (files.c.id == file_id, _NOT_DELETED, files.c.blob_id.is_(None))
    values: dict[str, object] = {"status": status}
    if expires_at is not None:
        values["expires_at"] = expires_at
    connection.execute(update(files).where(*where).values(**values))


def keep(
    connection: Connection,
    file_id: int,
    *,
    blob_id: int,
    size: int,
    sha256: str | None,
    lines: int | None,
    status_details: str | None,
) -> bool:
    """Record that the gateway now has the bytes of a file. False when it is deleted, or has its bytes already."""
    where = (files.c.id == file_id, _NOT_DELETED, files.c.blob_id.is_(None))
    values = {"blob_id": blob_id, "bytes": size, "sha256": sha256, "lines": lines, "status_details": status_details}
    statement = update(files).where(*where).values(status="processed", **values)
    row = connection.execute(statement.returning(files.c.project_id, files.c.key_id)).first()
    if row is None:
        return False
    limit_counters.add_stored(connection, project_id=row.project_id, key_id=row.key_id, size=size)
    return True


def users(connection: Connection, file_id: int) -> list[tuple[str, str]]:
    """(id, status) of a few unfinished batches that use a file."""
    columns = (batches.c.public_id, batches.c.status)
    inputs = select(*columns).where(batches.c.input_file_id == file_id, IS_RUNNING)
    named = select(*columns).join_from(batch_files, batches, batches.c.id == batch_files.c.batch_id)
    named = named.where(batch_files.c.file_id == file_id, IS_RUNNING)
    found: dict[str, str] = {}
    with in_index_order(connection):
        for statement in (inputs, named):
            rows = connection.execute(statement.order_by(batches.c.id).limit(MAX_USERS))
            found |= {row.public_id: row.status for row in rows}
    return list(found.items())


def lock_alive(connection: Connection, file_id: int) -> bool:
    """Keep a file from being deleted until the transaction ends. False when it is deleted."""
    statement = select(files.c.id).where(files.c.id == file_id, _NOT_DELETED).with_for_update()
    return connection.execute(statement).first() is not None


def expired(connection: Connection, *, limit: int) -> Sequence[int]:
    """Ids of files that have expired and that no unfinished batch uses."""
    statement = select(files.c.id).where(files.c.deleted_at.is_(None), files.c.expires_at <= now_ms(), ~_IN_USE)
    return connection.execute(statement.order_by(files.c.expires_at).limit(limit)).scalars().all()


def blob_key(connection: Connection, blob_id: int | None) -> str | None:
    """The key of a live blob in the store, or None."""
    statement = select(blob_rows.c.key).where(blob_rows.c.id == blob_id, blob_rows.c.state == "live")
    return connection.execute(statement).scalar()


def _not_seen_for(stale_ms: int) -> ColumnElement[bool]:
    return or_(files.c.refreshed_at.is_(None), files.c.refreshed_at <= now_ms() - stale_ms)
