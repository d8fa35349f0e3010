"""Rows of files in containers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, or_, select, update

from app.data.money import limit_counters
from app.data.store import absence, paging
from app.data.store.absence import CONTENT as CONTENT  # what callers of this module name parts with
from app.data.store.database import insert_absent, now_ms
from app.data.tables import container_files, containers, files

# How many ids one statement takes as parameters, on either database.
MAX_IDS = 1000


@dataclass(frozen=True, slots=True)
class ContainerFile:
    """A file in a container. `created_at` is Unix milliseconds. `blob_id` is None for files at a provider.

    `missing_part` is what the provider said it does not have of it.
    """

    id: int
    public_id: str
    path: str
    source: str
    bytes: int
    blob_id: int | None
    created_at: int
    native_id: str | None
    missing_part: str | None = None


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file that may hold a blob. `key_id` is the key whose stored bytes it counts towards; None for none."""

    id: int
    blob_id: int | None
    bytes: int
    key_id: int | None


@dataclass(frozen=True, slots=True)
class SeenFile:
    """What a provider says of a file in a container. What it does not say is None; `created_at` is milliseconds."""

    native_id: str
    path: str
    source: str
    bytes: int | None
    created_at: int | None


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A recorded file of a native container."""

    id: int
    native_id: str
    path: str
    bytes: int
    is_missing: bool


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A file of the project that may be copied into a container."""

    public_id: str
    filename: str
    bytes: int
    blob_id: int | None


_COLUMNS = (
    container_files.c.id,
    container_files.c.public_id,
    container_files.c.path,
    container_files.c.source,
    container_files.c.bytes,
    container_files.c.blob_id,
    container_files.c.created_at,
    container_files.c.native_id,
    container_files.c.missing_part,
)
_HELD = (container_files.c.id, container_files.c.blob_id, container_files.c.bytes, container_files.c.key_id)
_alive = container_files.c.deleted_at.is_(None)


def insert_file(
    connection: Connection,
    *,
    public_id: str,
    container_id: int,
    project_id: int,
    key_id: int,
    path: str,
    source: str,
    blob_id: int,
    size: int,
) -> ContainerFile:
    """A new file of `size` bytes, which holds a blob; they count towards what the key, and its project, store."""
    statement = insert(container_files).values(
        public_id=public_id,
        container_id=container_id,
        key_id=key_id,
        path=path,
        source=source,
        blob_id=blob_id,
        bytes=size,
        created_at=now_ms(),
    )
    file = ContainerFile(*connection.execute(statement.returning(*_COLUMNS)).one())
    limit_counters.add_stored(connection, project_id=project_id, key_id=key_id, size=size)
    return file


def find(connection: Connection, *, container_id: int, public_id: str) -> ContainerFile | None:
    """A file of the container that is not deleted, by its own or its native id."""
    statement = select(*_COLUMNS).where(
        or_(container_files.c.public_id == public_id, container_files.c.native_id == public_id),
        container_files.c.container_id == container_id,
        _alive,
    )
    row = connection.execute(statement).first()
    return None if row is None else ContainerFile(*row)


def find_path(connection: Connection, *, container_id: int, path: str) -> str | None:
    """The public id of the file at `path`, if there is one."""
    statement = select(container_files.c.public_id).where(
        container_files.c.container_id == container_id, container_files.c.path == path, _alive
    )
    return connection.execute(statement).scalar()


def list_page(
    connection: Connection, *, container_id: int, after: str | None, descending: bool, limit: int
) -> list[ContainerFile] | None:
    """At most `limit` + 1 files of the container, in the order of lists.

    `after` is the file that the page follows, by its own id (a deleted one will do) or its native one; None is returned
    when there is no such file.
    """
    position = None
    if after is not None:
        position = _position(connection, container_id, after)
        if position is None:
            return None
    statement = select(*_COLUMNS).where(container_files.c.container_id == container_id, _alive)
    page = paging.page(statement, container_files, after=position, descending=descending, limit=limit)
    return [ContainerFile(*row) for row in connection.execute(page)]


def list_held(connection: Connection, *, container_id: int, limit: int) -> list[HeldFile]:
    """At most `limit` files of the container that are not deleted, ordered by blob."""
    statement = (
        select(*_HELD)
        .where(container_files.c.container_id == container_id, _alive)
        .order_by(container_files.c.blob_id)
        .limit(limit)
    )
    return [HeldFile(*row) for row in connection.execute(statement)]


def held(connection: Connection, file_id: int) -> HeldFile | None:
    """What a file that is not deleted holds."""
    row = connection.execute(select(*_HELD).where(container_files.c.id == file_id, _alive)).first()
    return None if row is None else HeldFile(*row)


def uncount(connection: Connection, files_gone: Iterable[HeldFile], *, container_id: int) -> None:
    """Take files that were deleted from what their keys, and the project, store."""
    sizes: dict[int, int] = {}
    for file in files_gone:
        if file.key_id is not None and file.blob_id is not None:
            sizes[file.key_id] = sizes.get(file.key_id, 0) + file.bytes
    if not sizes:
        return
    project = select(containers.c.project_id).where(containers.c.id == container_id)
    project_id = int(connection.execute(project).scalar_one())
    for key_id, size in sorted(sizes.items()):
        limit_counters.add_stored(connection, project_id=project_id, key_id=key_id, size=-size)


def record(connection: Connection, seen: SeenFile, *, container_id: int, public_id: str) -> None:
    """Record what the provider says of a file: its row is updated, or inserted as `public_id`."""
    is_known = (container_files.c.container_id == container_id, container_files.c.native_id == seen.native_id, _alive)
    size = {} if seen.bytes is None else {"bytes": seen.bytes}
    values = {"path": seen.path, **size, **absence.cleared(container_files)}
    statement = update(container_files).where(*is_known).values(**values)
    if connection.execute(statement).rowcount:
        return
    insert_absent(
        connection,
        container_files,
        public_id=public_id,
        container_id=container_id,
        native_id=seen.native_id,
        path=seen.path,
        source=seen.source,
        created_at=now_ms() if seen.created_at is None else seen.created_at,
        **size,
    )


def known(connection: Connection, *, container_id: int) -> list[KnownFile]:
    """The recorded files of a native container that are not deleted."""
    statement = select(
        container_files.c.id,
        container_files.c.native_id,
        container_files.c.path,
        container_files.c.bytes,
        container_files.c.missing_at.is_not(None),
    ).where(container_files.c.container_id == container_id, container_files.c.native_id.is_not(None), _alive)
    return [KnownFile(*row) for row in connection.execute(statement)]


def miss(connection: Connection, file_id: int, *, part: str = absence.OBJECT) -> bool:
    """Count a look that did not find a file, or its content. True when that is enough to believe it."""
    return absence.miss(connection, container_files, file_id, part=part)


def found(connection: Connection, file_id: int, *, part: str) -> None:
    """Forget the looks that did not find a file. Who has seen the file has not seen its content."""
    absence.found(connection, container_files, file_id, part=part)


def miss_unlisted(connection: Connection, file_ids: Sequence[int]) -> None:
    """Count that the provider did not list these files; those that it has not listed for minutes become tombstones."""
    for start in range(0, len(file_ids), MAX_IDS):
        ids = file_ids[start : start + MAX_IDS]
        absence.miss_all(connection, container_files, ids)
        where = (container_files.c.id.in_(ids), absence.believed(container_files), _alive)
        connection.execute(update(container_files).where(*where).values(deleted_at=now_ms()))


def mark_deleted(connection: Connection, file_id: int) -> bool:
    """Leave a tombstone that holds no blob. False when another transaction was first."""
    statement = update(container_files).where(container_files.c.id == file_id, _alive)
    return connection.execute(statement.values(deleted_at=now_ms(), blob_id=None)).rowcount == 1


def find_source(connection: Connection, *, project_id: int, public_id: str) -> SourceRow | None:
    """A file of the project that is neither deleted nor expired."""
    statement = select(files.c.public_id, files.c.filename, files.c.bytes, files.c.blob_id).where(
        files.c.public_id == public_id,
        paging.within(files.c.project_id, project_id),
        paging.alive(files.c.deleted_at),
        or_(files.c.expires_at.is_(None), files.c.expires_at > now_ms()),
    )
    row = connection.execute(statement).first()
    return None if row is None else SourceRow(*row)


def _position(connection: Connection, container_id: int, file_id: str) -> paging.Position | None:
    scope = paging.within(container_files.c.container_id, container_id)
    own = paging.position(connection, container_files, scope, public_id=file_id)
    # The index of native ids has no tombstones.
    return own or paging.native_position(connection, container_files, scope, _alive, native_id=file_id)
