"""Files in containers. The container is looked up first, by the same caller; expired ones never come here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from app.data.containers import containers, files
from app.data.files import blobs
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services.blobs import IncomingBlob
from app.services.containers import hosted, native_files
from app.services.containers.containers import Container, expired, gone
from app.services.copies.remote import Stream
from app.services.gateway import Caller, Gateway


@dataclass(frozen=True, slots=True)
class ContainerFile:
    """A file in a container. `created_at` is Unix milliseconds; `blob_id` never leaves the gateway."""

    id: str
    container_id: str
    path: str
    bytes: int
    created_at: int
    source: str
    blob_id: int | None
    native_id: str | None = None


@dataclass(frozen=True, slots=True)
class ContainerFilePage:
    """A page of a list, and whether more follow."""

    items: list[ContainerFile]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Content:
    """A file and where its bytes lie; `open` streams those that only the provider has."""

    file: ContainerFile
    key: str | None
    sha256: str | None
    open: Callable[[], Stream] | None = None


Settle = Callable[[Connection, ContainerFile], None]


def add(
    gateway: Gateway,
    container: Container,
    blob: IncomingBlob,
    *,
    filename: str,
    path: str | None,
    settle: Settle | None = None,
) -> ContainerFile:
    """Put sealed bytes into the container, at `path` or at one made of `filename`.

    Raises InvalidRequestError when the container expired meanwhile, ConflictError when the path is taken.
    """
    if container.native_id is not None:
        made = native_files.put(gateway, container, blob, filename=filename, path=path)
        return _settled(gateway, _file(container, made), settle)

    def put(connection: Connection) -> AnyRow:
        row = hosted.insert(
            connection,
            container_id=container.row_id,
            path=path,
            filename=filename,
            blob_id=blob.id,
            size_bytes=blob.bytes,
        )
        blob.settle(connection)
        return row

    return _put(gateway, container, put, path=path, settle=settle)


def add_copy(
    gateway: Gateway,
    caller: Caller,
    container: Container,
    *,
    file_id: str,
    path: str | None,
    settle: Settle | None = None,
) -> ContainerFile:
    """Put a file of the project into the container, which shares its bytes. Raises as `add`, and on an unknown file."""
    if container.native_id is not None:
        made = native_files.copy(gateway, caller, container, file_id=file_id, path=path)
        return _settled(gateway, _file(container, made), settle)
    (source,) = hosted.find_sources(gateway, caller, [file_id], param="file_id")

    def put(connection: Connection) -> AnyRow:
        return hosted.put(connection, source, container_id=container.row_id, path=path, param="file_id")

    return _put(gateway, container, put, path=path, settle=settle)


def list_(
    gateway: Gateway, container: Container, *, limit: int, descending: bool, after: str | None = None
) -> ContainerFilePage:
    """The files of the container by age. Raises InvalidRequestError on an unknown `after`.

    A container at a provider is asked for the first page, for one that goes on after a file that nobody saw here, and
    for the last of an ascending list, after which new files stand. The other pages go on in what was found.
    """
    at_provider = container.native_id is not None
    if at_provider and after is None:
        native_files.sync(gateway, container)
    rows = _rows(gateway, container, limit=limit, descending=descending, after=after)
    if at_provider and after is not None and (rows is None or (not descending and len(rows) <= limit)):
        native_files.sync(gateway, container)
        rows = _rows(gateway, container, limit=limit, descending=descending, after=after)
    if rows is None:
        raise InvalidRequestError(f"after: there is no file {after!r} in this container.", param="after")
    return ContainerFilePage([_file(container, row) for row in rows[:limit]], has_more=len(rows) > limit)


def retrieve(gateway: Gateway, container: Container, file_id: str) -> ContainerFile:
    """A file of the container. Raises NotFoundError."""
    if container.native_id is not None:
        with gateway.database.read() as connection:
            row = _look_up(connection, container, file_id)
        return _file(container, native_files.look(gateway, container, row, file_id))
    with gateway.database.read() as connection:
        return _file(container, _find(connection, container, file_id))


def content(gateway: Gateway, container: Container, file_id: str) -> Content:
    """A file of the container and where its bytes lie. Raises NotFoundError."""
    if container.native_id is not None:
        row = _native(gateway, container, file_id)
        opened = partial(native_files.content, gateway, container, row)
        return Content(file=_file(container, row), key=None, sha256=None, open=opened)
    with gateway.database.read() as connection:
        row = _find(connection, container, file_id)
        place = None if row.blob_id is None else blobs.locate(connection, row.blob_id)
    if place is None:
        raise _not_found(container, file_id)
    return Content(file=_file(container, row), key=place.key, sha256=place.sha256)


def delete(gateway: Gateway, container: Container, file_id: str) -> ContainerFile:
    """Delete a file of the container and release its bytes. Raises NotFoundError."""
    if container.native_id is not None:
        row = _native(gateway, container, file_id)
        native_files.delete(gateway, container, row)
        return _file(container, row)

    def unit(connection: Connection) -> ContainerFile:
        _hold(connection, container)
        row = _find(connection, container, file_id)
        if not files.mark_deleted(connection, row.id):
            raise _not_found(container, file_id)
        if row.blob_id is not None:
            blobs.release(connection, row.blob_id)
        return _file(container, row)

    return gateway.database.run(unit)


def _put(
    gateway: Gateway,
    container: Container,
    put: Callable[[Connection], AnyRow],
    *,
    path: str | None,
    settle: Settle | None,
) -> ContainerFile:
    def unit(connection: Connection) -> ContainerFile:
        _hold(connection, container)
        taken = path and files.find_path(connection, container_id=container.row_id, path=path)
        if taken:
            raise ConflictError(
                f"file_path: {path} is {taken} already; delete that file first or choose another path.",
                param="file_path",
            )
        made = _file(container, put(connection))
        if settle is not None:
            settle(connection, made)
        return made

    return gateway.database.run(unit)


def _hold(connection: Connection, container: Container) -> None:
    # Serialises writers of one container, and keeps the sweeper from ending it under them.
    if containers.touch(connection, container.row_id) is None:
        raise gone(container.id) if containers.is_deleted(connection, container.row_id) else expired()


def _settled(gateway: Gateway, made: ContainerFile, settle: Settle | None) -> ContainerFile:
    if settle is not None:
        with gateway.database.write() as connection:
            settle(connection, made)
    return made


def _rows(
    gateway: Gateway, container: Container, *, limit: int, descending: bool, after: str | None
) -> Sequence[AnyRow] | None:
    """At most `limit` + 1 files of the container; None when there is no `after`."""
    with gateway.database.read() as connection:
        cursor = None
        if after is not None:
            cursor = files.position(connection, container_id=container.row_id, public_id=after)
            if cursor is None:
                return None
        return files.list_page(
            connection, container_id=container.row_id, after=cursor, descending=descending, limit=limit
        )


def _native(gateway: Gateway, container: Container, file_id: str) -> AnyRow:
    """A file of a container at a provider, which is asked about one that was never seen here."""
    with gateway.database.read() as connection:
        row = _look_up(connection, container, file_id)
    return row if row is not None else native_files.look(gateway, container, None, file_id)


def _look_up(connection: Connection, container: Container, file_id: str) -> AnyRow | None:
    if not file_id.isprintable():
        raise _not_found(container, file_id)
    return files.find(connection, container_id=container.row_id, public_id=file_id)


def _find(connection: Connection, container: Container, file_id: str) -> AnyRow:
    row = _look_up(connection, container, file_id)
    if row is None:
        raise _not_found(container, file_id)
    return row


def _not_found(container: Container, file_id: str) -> NotFoundError:
    return NotFoundError(f"File {file_id:.100} not found on container {container.id}.", param="file_id")


def _file(container: Container, row: AnyRow) -> ContainerFile:
    return ContainerFile(
        id=row.public_id,
        container_id=container.id,
        path=row.path,
        bytes=row.bytes,
        created_at=row.created_at,
        source=row.source,
        blob_id=row.blob_id,
        native_id=row.native_id,
    )
