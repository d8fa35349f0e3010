"""Files in containers at providers. Models make some of them, so the provider is asked, and its answer recorded."""

import posixpath
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, UpstreamError
from app.connectors.contract.objects import NativeContainerFile
from app.data.containers import containers, files
from app.data.containers.containers import EXPIRED, Container
from app.data.containers.files import CONTENT, ContainerFile, KnownFile, SeenFile
from app.errors import GatewayError, InvalidRequestError, NotFoundError, ProviderError, UnsupportedOperationError
from app.lib import ids
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.blobs import IncomingBlob
from app.services.containers import sources
from app.services.containers.backend import Content, expired, file_not_found
from app.services.containers.paths import MAX_PATH_LENGTH, ROOT
from app.services.copies import looks
from app.services.copies.remote import Stream
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Settle

MAX_FILES = 10_000
# Ids that a provider is asked about though the gateway has never seen them: none that could change a path.
NATIVE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~-]{0,254}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a container is: its account, and its native id there."""

    account: Account
    id: str


@dataclass(frozen=True, slots=True)
class NativeFiles:
    """The part of the native back end that is about files. `max_files` are read of a container's list."""

    gateway: Gateway
    max_files: int = MAX_FILES

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
        """Sends the bytes to the provider; the gateway does not keep them."""
        place = self.place(container, "container_file_create")
        name = _name(path) or filename or "file"
        payload = sources.stored(self.gateway, blob.key, blob.bytes)
        with self._caller_errors(container, place.account, is_container_missing=True):
            native = place.account.connector.put_container_file(place.id, name, payload)
        blob.abort()
        return self._record(container, native, settle)

    def copy_file(
        self,
        caller: Caller,
        container: Container,
        *,
        file_id: str,
        path: str | None,
        settle: Settle[ContainerFile] | None,
    ) -> ContainerFile:
        """Puts a file of the project into the container, from whichever provider has it."""
        place = self.place(container, "container_file_create")
        [source] = sources.find_sources(self.gateway, caller, place.account, [file_id], param="file_id")
        if path is not None and source.key is None:
            raise InvalidRequestError(
                "file_path: leave it out; the gateway does not have the bytes of this file, so it cannot rename it.",
                param="file_path",
            )
        name = _name(path)
        # A 404 is about the container, unless the provider was also given the id of a file.
        is_container_missing = source.native_id is None or name is not None
        with self._caller_errors(container, place.account, is_container_missing=is_container_missing):
            native = sources.put(self.gateway, place.account, place.id, source, name)
        return self._record(container, native, settle)

    def list_files(
        self, container: Container, *, after: str | None, descending: bool, limit: int
    ) -> list[ContainerFile] | None:
        """Asks the provider for the first page, and where new files may follow; other pages are read from rows.

        New files may follow the last page of an ascending list, and a file that the gateway has never seen.
        """
        if after is None:
            self._sync(container)
            return self._rows(container, after=None, descending=descending, limit=limit)
        rows = self._rows(container, after=after, descending=descending, limit=limit)
        if rows is None or (not descending and len(rows) <= limit):
            self._sync(container)
            rows = self._rows(container, after=after, descending=descending, limit=limit)
        return rows

    def retrieve_file(self, container: Container, file_id: str) -> ContainerFile:
        """The file as the provider has it now, whether it is recorded or not. Raises NotFoundError."""
        return self._look(container, self._recorded(container, file_id), file_id)

    def file_content(self, container: Container, file_id: str) -> Content:
        """The file; its bytes are at the provider. Raises NotFoundError."""
        file = self._recorded(container, file_id) or self._look(container, None, file_id)
        return Content(file, key=None, sha256=None, open=partial(self._stream, container, file))

    def delete_file(self, container: Container, file_id: str) -> ContainerFile:
        """Deletes the file there, then here. Raises NotFoundError."""
        file = self._recorded(container, file_id) or self._look(container, None, file_id)
        place = self.place(container, "container_file_delete")
        with self._caller_errors(container, place.account):
            place.account.connector.delete_container_file(place.id, str(file.native_id))
        with self.gateway.database.write() as connection:
            if not files.mark_deleted(connection, file.id):
                raise file_not_found(container, file.public_id)
        return file

    def place(self, container: Container, operation: str) -> Place:
        """Where a container is. Raises ProviderError when its account is gone, UnsupportedOperationError."""
        account = self.account_of(container)
        if account is None or container.native_id is None:
            text = f"The account at {container.provider} that holds this container is gone."
            raise ProviderError(text, provider=container.provider)
        if account.abilities.support(operation) is not Support.NATIVE:
            raise UnsupportedOperationError(container.provider, operation)
        return Place(account, container.native_id)

    def account_of(self, container: Container) -> Account | None:
        """The account that holds a container; None when it is gone."""
        return None if container.account_id is None else self.gateway.accounts.by_id(container.account_id)

    def missed(self, container: Container, account: Account) -> bool:
        """Count that the provider did not find a container. After several looks it is expired; True then."""
        with self.gateway.database.write() as connection:
            if not containers.miss(connection, container.id):
                return False
        try:
            account.connector.check()  # a wrong URL or credential finds nothing, either
        except UpstreamError as error:
            self.gateway.log.warning("container.not_seen", container=container.public_id, reason=error.message)
            return False
        self.expire(container)
        return True

    def expire(self, container: Container) -> None:
        """Record that the provider no longer has a container: it stays readable as metadata."""
        with self.gateway.database.write() as connection:
            containers.observe(connection, container.id, status=EXPIRED)

    def _rows(
        self, container: Container, *, after: str | None, descending: bool, limit: int
    ) -> list[ContainerFile] | None:
        with self.gateway.database.read() as connection:
            return files.list_page(
                connection, container_id=container.id, after=after, descending=descending, limit=limit
            )

    def _recorded(self, container: Container, file_id: str) -> ContainerFile | None:
        """The row of a file. Raises NotFoundError for an id that no file can have."""
        if not file_id.isprintable():
            raise file_not_found(container, file_id)
        with self.gateway.database.read() as connection:
            return files.find(connection, container_id=container.id, public_id=file_id)

    def _sync(self, container: Container) -> None:
        """Ask the provider for all files of the container, and record them."""
        place = self.place(container, "container_file_list")
        # Read first, so that a file that is added while the provider lists its files does not seem to be missing.
        with self.gateway.database.read() as connection:
            known = {file.native_id: file for file in files.known(connection, container_id=container.id)}
        with self._caller_errors(container, place.account, is_container_missing=True):
            listed, is_whole = _listed(place, max_files=self.max_files)
        if container.missing_at is not None:
            with self.gateway.database.write() as connection:
                containers.found(connection, container.id)
        news = [seen for seen in listed.values() if _is_news(seen, known.get(seen.native_id))]
        absent = [file.id for native_id, file in known.items() if native_id not in listed] if is_whole else []
        if not news and not absent:
            return
        # Oldest first, so that rows of one instant stand in the provider's order, which is newest first.
        news.reverse()
        news.sort(key=lambda seen: seen.created_at or 0)
        with self.gateway.database.write() as connection:
            for seen in news:
                files.record(connection, seen, container_id=container.id, public_id=ids.new(ids.CONTAINER_FILE))
            files.miss_unlisted(connection, absent)

    def _look(self, container: Container, file: ContainerFile | None, file_id: str) -> ContainerFile:
        """Ask the provider about a file, by the native id of its row if it has one, and record the answer."""
        place = self.place(container, "container_file_retrieve")
        if file is None and not NATIVE_ID.fullmatch(file_id):
            raise file_not_found(container, file_id)
        native_id = file_id if file is None else str(file.native_id)
        try:
            with self._caller_errors(container, place.account):
                native = place.account.connector.retrieve_container_file(place.id, native_id)
        except NotFoundError:
            if file is None:
                raise file_not_found(container, file_id) from None
            with self.gateway.database.write() as connection:
                if not files.miss(connection, file.id):
                    return file
                files.mark_deleted(connection, file.id)
            raise file_not_found(container, file_id) from None
        return self._record(container, native, None)

    def _stream(self, container: Container, file: ContainerFile) -> Stream:
        """The bytes, by one call. Raises a GatewayError before the first byte; later an UpstreamError."""
        place = self.place(container, "container_file_content")
        with ExitStack() as stack:
            try:
                with self._caller_errors(container, place.account):
                    download = stack.enter_context(
                        place.account.connector.read_container_file(place.id, str(file.native_id))
                    )
                    first = next(download.chunks, b"")
            except NotFoundError as error:
                with self.gateway.database.write() as connection:
                    is_gone = files.miss(connection, file.id, part=CONTENT)
                if is_gone:
                    raise file_not_found(container, file.public_id) from None
                raise looks.not_shown(container.provider, f"the file {file.public_id}") from error
            opened = stack.pop_all()
        if file.missing_part is not None:
            with self.gateway.database.write() as connection:
                files.found(connection, file.id, part=CONTENT)
        return Stream(download.length, self._rest(file, first, download.chunks), opened.close)

    def _rest(self, file: ContainerFile, first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield first
            yield from chunks
        except UpstreamError as error:
            # The status has been sent, so all that is left is to break the response off.
            self.gateway.log.warning("container_file.content_cut", file=file.public_id, reason=error.message)
            raise

    def _record(
        self, container: Container, native: NativeContainerFile, settle: Settle[ContainerFile] | None
    ) -> ContainerFile:
        """The row of a file that the provider has, made if need be; `settle` is called in the same transaction."""
        public_id = ids.new(ids.CONTAINER_FILE)
        with self.gateway.database.write() as connection:
            files.record(connection, _seen(native), container_id=container.id, public_id=public_id)
            file = files.find(connection, container_id=container.id, public_id=native.id)
            if file is None:
                raise file_not_found(container, native.id)
            if settle is not None:
                settle(connection, file)
        return file

    @contextmanager
    def _caller_errors(
        self, container: Container, account: Account, *, is_container_missing: bool = False
    ) -> Iterator[None]:
        """Raises the GatewayError that matches the provider's failure, or says that the container is expired.

        `is_container_missing` says that a 404 can only be about the container: it raises NotShownError, and expires
        the container after several such looks.
        """
        try:
            with provider_errors.translated(self.gateway, provider=account.provider, account=account.name):
                yield
        except (InvalidRequestError, NotFoundError) as error:
            is_gone = is_container_missing and isinstance(error.__cause__, MissingError)
            if not is_gone and not _says_expired(error):
                raise
            if not is_gone:
                self.expire(container)
            elif not self.missed(container, account):
                raise looks.not_shown(account.provider, f"the container {container.public_id}") from error
            raise expired(provider=account.provider) from error


def _name(path: str | None) -> str | None:
    """The filename to send to a provider for a path. Raises InvalidRequestError for a path that it cannot make."""
    if path is None:
        return None
    folder, name = posixpath.split(path)
    if folder + "/" != ROOT:
        text = f"file_path: this provider keeps files in {ROOT} only; leave the folder out."
        raise InvalidRequestError(text, param="file_path")
    return name


def _says_expired(error: GatewayError) -> bool:
    return error.code == "container_expired" or "container is expired" in error.message.lower()


def _listed(place: Place, *, max_files: int) -> tuple[dict[str, SeenFile], bool]:
    """The newest files of the container by native id, and whether these are all. Raises UpstreamError."""
    listed: dict[str, SeenFile] = {}
    after: str | None = None
    while len(listed) < max_files:
        page = place.account.connector.list_container_files(place.id, after=after)
        before = len(listed)
        # New files that a model makes meanwhile push others onto the next page once more.
        listed.update((native.id, _seen(native)) for native in page.items)
        after = page.after
        if after is None or len(listed) == before:
            return listed, after is None
    return listed, False


def _is_news(seen: SeenFile, known: KnownFile | None) -> bool:
    return known is None or known.is_missing or known.path != seen.path or seen.bytes not in (None, known.bytes)


def _seen(native: NativeContainerFile) -> SeenFile:
    return SeenFile(
        native_id=native.id,
        # PostgreSQL does not store NUL.
        path=native.path.replace("\0", "")[:MAX_PATH_LENGTH],
        source="assistant" if native.source == "assistant" else "user",
        bytes=native.bytes,
        created_at=native.created_at,
    )
