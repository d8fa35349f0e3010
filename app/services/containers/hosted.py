"""Containers that the gateway keeps itself: rows, and blobs that files of the project may share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.data.containers import containers, files
from app.data.containers.containers import Container
from app.data.containers.files import ContainerFile
from app.data.files import blobs
from app.data.store.database import Database
from app.errors import ConflictError, InvalidRequestError
from app.lib import ids
from app.services.blobs import IncomingBlob
from app.services.containers.backend import Content, NewContainer, expired, file_not_found, not_found, values
from app.services.containers.paths import default_path
from app.services.each_due import each_due
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Settle
from app.services.limits import limits

USER = "user"
# A container that is being read writes its row at most this often.
TOUCH_EVERY_MS = 5_000
RELEASE_SLICE_ROWS = 200


@dataclass(frozen=True, slots=True)
class _Source:
    """A file of the project whose bytes the gateway has."""

    public_id: str
    filename: str
    bytes: int
    blob_id: int


@dataclass(frozen=True, slots=True)
class Hosted:
    """The back end of hosted containers; methods as `Backend` describes them."""

    database: Database

    def create(self, caller: Caller, new: NewContainer, *, settle: Settle[Container] | None) -> Container:
        """One transaction makes the container, and shares the bytes of its files."""
        sources = self._sources(caller, new.file_ids, param="file_ids")
        # One order for everyone, so that two requests for the same files cannot wait for each other.
        sources.sort(key=lambda source: source.blob_id)

        def unit(connection: Connection) -> Container:
            container = containers.insert_container(connection, values(caller, new))
            for source in sources:
                _share(connection, caller, container, source, path=None, param="file_ids")
            if sources:
                limits.check_stored(connection, caller)
            if settle is not None:
                settle(connection, container)
            return container

        return self.database.run(unit)

    def refresh(self, container: Container) -> Container | None:
        """Restarts the idle time of a running container; None when it ended meanwhile."""
        if not container.is_running or container.idle_ms <= TOUCH_EVERY_MS:
            return container
        with self.database.write() as connection:
            return containers.touch(connection, container.id)

    def use(self, container: Container) -> Container | None:
        """As `refresh`."""
        return self.refresh(container)

    def delete(self, container: Container) -> bool:
        """Hides the container, then releases the bytes of its files."""
        with self.database.write() as connection:
            if not containers.mark_deleted(connection, container.id):
                return False
        # From here on nobody sees it; the sweeper finds what a crash leaves of its files.
        _release(self.database, container.id)
        return True

    def add_file(
        self,
        caller: Caller,
        container: Container,
        blob: IncomingBlob,
        *,
        filename: str,
        path: str | None,
        settle: Settle[ContainerFile] | None,
    ) -> ContainerFile:
        """Raises InvalidRequestError when the container expired meanwhile, ConflictError when the path is taken.

        Raises RateLimitedError when the caller may not store as much.
        """

        def insert(connection: Connection) -> ContainerFile:
            blob.settle(connection)
            return _insert(
                connection, caller, container, path=path, filename=filename, blob_id=blob.id, size=blob.bytes
            )

        return self._add(caller, container, insert, path=path, settle=settle)

    def copy_file(
        self,
        caller: Caller,
        container: Container,
        *,
        file_id: str,
        path: str | None,
        settle: Settle[ContainerFile] | None,
    ) -> ContainerFile:
        """The new file shares the bytes. Raises as `add_file`, and InvalidRequestError for an unknown file."""
        [source] = self._sources(caller, [file_id], param="file_id")

        def share(connection: Connection) -> ContainerFile:
            return _share(connection, caller, container, source, path=path, param="file_id")

        return self._add(caller, container, share, path=path, settle=settle)

    def list_files(
        self, container: Container, *, after: str | None, descending: bool, limit: int
    ) -> list[ContainerFile] | None:
        """Rows are all there is."""
        with self.database.read() as connection:
            return files.list_page(
                connection, container_id=container.id, after=after, descending=descending, limit=limit
            )

    def retrieve_file(self, container: Container, file_id: str) -> ContainerFile:
        """The row. Raises NotFoundError."""
        with self.database.read() as connection:
            return _find(connection, container, file_id)

    def file_content(self, container: Container, file_id: str) -> Content:
        """The row and its blob. Raises NotFoundError."""
        with self.database.read() as connection:
            file = _find(connection, container, file_id)
            blob = None if file.blob_id is None else blobs.locate(connection, file.blob_id)
        if blob is None:
            raise file_not_found(container, file_id)
        return Content(file, key=blob.key, sha256=blob.sha256)

    def delete_file(self, container: Container, file_id: str) -> ContainerFile:
        """Releases the bytes. Raises NotFoundError."""

        def unit(connection: Connection) -> ContainerFile:
            _hold(connection, container)
            file = _find(connection, container, file_id)
            held = files.held(connection, file.id)
            if held is None or not files.mark_deleted(connection, file.id):
                raise file_not_found(container, file_id)
            if held.blob_id is not None:
                blobs.release(connection, held.blob_id)
            files.uncount(connection, [held], container_id=container.id)
            return file

        return self.database.run(unit)

    def _add(
        self,
        caller: Caller,
        container: Container,
        insert: Callable[[Connection], ContainerFile],
        *,
        path: str | None,
        settle: Settle[ContainerFile] | None,
    ) -> ContainerFile:
        def unit(connection: Connection) -> ContainerFile:
            _hold(connection, container)
            taken = path and files.find_path(connection, container_id=container.id, path=path)
            if taken:
                raise ConflictError(
                    f"file_path: {path} is taken by {taken}; delete that file first or choose another path.",
                    param="file_path",
                )
            file = insert(connection)
            limits.check_stored(connection, caller)
            if settle is not None:
                settle(connection, file)
            return file

        return self.database.run(unit)

    def _sources(self, caller: Caller, file_ids: Sequence[str], *, param: str) -> list[_Source]:
        """The files with these ids, in their order. Raises InvalidRequestError naming `param` and the id."""
        with self.database.read() as connection:
            return [_source(connection, caller, file_id, param) for file_id in file_ids]


def expire_due(gateway: Gateway) -> int:
    """Expire containers that are over and release the bytes of their files, a slice at a time; returns how many."""

    def due(connection: Connection, limit: int) -> Sequence[int]:
        return containers.list_due(connection, limit=limit)

    return each_due(gateway, due, lambda container_id: _release(gateway.database, container_id))


def _release(database: Database, container_id: int) -> bool:
    """Release what an ended container holds. False when it was used again, or somebody else released it."""

    def unit(connection: Connection) -> bool | None:
        if not containers.hold_due(connection, container_id):
            return False
        held = files.list_held(connection, container_id=container_id, limit=RELEASE_SLICE_ROWS)
        gone = [file for file in held if files.mark_deleted(connection, file.id)]
        for file in gone:
            if file.blob_id is not None:
                blobs.release(connection, file.blob_id)
        files.uncount(connection, gone, container_id=container_id)
        if len(held) == RELEASE_SLICE_ROWS:
            return None
        containers.finish(connection, container_id)
        return True

    while True:
        is_released = database.run(unit)
        if is_released is not None:
            return is_released


def _hold(connection: Connection, container: Container) -> None:
    # Serialises the writers of one container, and keeps the sweeper from ending it meanwhile.
    if containers.touch(connection, container.id) is None:
        raise not_found(container.public_id) if containers.is_deleted(connection, container.id) else expired()


def _find(connection: Connection, container: Container, file_id: str) -> ContainerFile:
    file = None
    if file_id.isprintable():
        file = files.find(connection, container_id=container.id, public_id=file_id)
    if file is None:
        raise file_not_found(container, file_id)
    return file


def _source(connection: Connection, caller: Caller, file_id: str, param: str) -> _Source:
    row = files.find_source(connection, project_id=caller.project_id, public_id=file_id)
    if row is None:
        raise _no_such_file(file_id, param)
    if row.blob_id is None:
        raise InvalidRequestError(f"{param}: the gateway does not have the bytes of {file_id}.", param=param)
    return _Source(public_id=row.public_id, filename=row.filename, bytes=row.bytes, blob_id=row.blob_id)


def _share(
    connection: Connection, caller: Caller, container: Container, source: _Source, *, path: str | None, param: str
) -> ContainerFile:
    """A new file of the container that shares the bytes of `source`. They count again: the source may be deleted."""
    if not blobs.acquire(connection, source.blob_id):
        raise _no_such_file(source.public_id, param)
    return _insert(
        connection, caller, container, path=path, filename=source.filename, blob_id=source.blob_id, size=source.bytes
    )


def _insert(
    connection: Connection,
    caller: Caller,
    container: Container,
    *,
    path: str | None,
    filename: str,
    blob_id: int,
    size: int,
) -> ContainerFile:
    public_id = ids.new(ids.CONTAINER_FILE)
    return files.insert_file(
        connection,
        public_id=public_id,
        container_id=container.id,
        project_id=caller.project_id,
        key_id=caller.key_id,
        path=path or default_path(public_id, filename),
        source=USER,
        blob_id=blob_id,
        size=size,
    )


def _no_such_file(file_id: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param}: No such File object: {file_id}", param=param)
