"""Files in containers at providers: models make some of them, so the provider is asked, and its word recorded."""

import posixpath
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, UpstreamError
from app.connectors.contract.objects import NativeContainerFile
from app.data.containers import files
from app.data.store.database import AnyRow
from app.errors import GatewayError, InvalidRequestError, NotFoundError, UnsupportedOperationError
from app.lib import ids
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.blobs import IncomingBlob
from app.services.containers import native as container_native
from app.services.containers import sources
from app.services.copies.remote import Stream
from app.services.gateway import Caller, Gateway

ROOT = "/mnt/data/"
MOST_FILES = 10_000
PATH_LENGTH = 1024
# What a provider is asked about when nobody here has seen it: no id that a path could be made of.
NATIVE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~-]{0,254}", re.ASCII)


def put(gateway: Gateway, container: Any, blob: IncomingBlob, *, filename: str, path: str | None) -> AnyRow:
    """Put sealed bytes into the container; here they are not kept. Raises what a caller is to see."""
    account = _account(gateway, container, "container_file_create")
    name = wanted_name(path) or filename or "file"
    with _told(gateway, container, account, gone=True):
        native = account.connector.put_container_file(
            container.native_id, name, sources.stored(gateway, blob.key, blob.bytes)
        )
    blob.abort()
    return _recorded(gateway, container, native)


def copy(gateway: Gateway, caller: Caller, container: Any, *, file_id: str, path: str | None) -> AnyRow:
    """Put a file of the project into the container, from whichever provider holds it."""
    account = _account(gateway, container, "container_file_create")
    [source] = sources.find_sources(gateway, caller, account, [file_id], param="file_id")
    if path is not None and source.key is None:
        raise InvalidRequestError(
            "file_path: the gateway does not hold the bytes of this file, so that its name cannot be chosen.",
            param="file_path",
        )
    name = wanted_name(path)
    # What is missing is the container, unless a file was named to the provider, too.
    with _told(gateway, container, account, gone=source.native_id is None or name is not None):
        native = sources.sent(gateway, account, container.native_id, source, name)
    return _recorded(gateway, container, native)


def sync(gateway: Gateway, container: Any) -> None:
    """Ask the provider for all files of the container, and record them. Raises what a caller is to see."""
    account = _account(gateway, container, "container_file_list")
    # Read first: what is put in while the provider tells its files is not missing from them.
    with gateway.database.read() as connection:
        known = {row.native_id: row for row in files.known(connection, container_id=container.row_id)}
    with _told(gateway, container, account, gone=True):
        found, is_whole = _listed(account, container.native_id)
    new = [native for native in found if _is_new(native, known.get(native.id))]
    there = {native.id for native in found}
    absent = [row.id for native_id, row in known.items() if native_id not in there] if is_whole else []
    if not new and not absent:
        return
    # Oldest first, so that rows made in one go stand in the provider's order, which is newest first.
    new.reverse()
    new.sort(key=lambda native: native.created_at or 0)
    with gateway.database.write() as connection:
        for native in new:
            files.record(connection, container_id=container.row_id, **_values(native))
        files.bury(connection, absent)


def look(gateway: Gateway, container: Any, row: AnyRow | None, file_id: str) -> AnyRow:
    """A file as the provider has it now, be it recorded or not. Raises NotFoundError."""
    account = _account(gateway, container, "container_file_retrieve")
    if row is None and not NATIVE_ID.fullmatch(file_id):
        raise _not_found(container, file_id)
    native_id = file_id if row is None else row.native_id
    try:
        with _told(gateway, container, account):
            native = account.connector.retrieve_container_file(container.native_id, native_id)
    except NotFoundError:
        if row is not None:
            with gateway.database.write() as connection:
                files.mark_deleted(connection, row.id)
        raise _not_found(container, file_id) from None
    return _recorded(gateway, container, native)


def content(gateway: Gateway, container: Any, row: AnyRow) -> Stream:
    """The bytes, by one call. Raises before the first byte what a caller is to see; later an UpstreamError."""
    account = _account(gateway, container, "container_file_content")
    with ExitStack() as stack:
        try:
            with _told(gateway, container, account):
                reading = account.connector.read_container_file(container.native_id, row.native_id)
                download = stack.enter_context(reading)
                first = next(download.chunks, b"")
        except NotFoundError:
            raise _not_found(container, row.public_id) from None
        opened = stack.pop_all()
    return Stream(download.length, _rest(gateway, row, first, download.chunks), opened.close)


def delete(gateway: Gateway, container: Any, row: AnyRow) -> None:
    """Delete a file there, then here. Raises what a caller is to see."""
    account = _account(gateway, container, "container_file_delete")
    with _told(gateway, container, account):
        account.connector.delete_container_file(container.native_id, row.native_id)
    with gateway.database.write() as connection:
        if not files.mark_deleted(connection, row.id):
            raise _not_found(container, row.public_id)


def wanted_name(path: str | None) -> str | None:
    """The name that a provider is told for a wanted path. Raises InvalidRequestError when it cannot be had."""
    if path is None:
        return None
    folder, name = posixpath.split(path)
    if folder + "/" != ROOT:
        text = f"file_path: this provider keeps files in {ROOT} only; leave the folder out."
        raise InvalidRequestError(text, param="file_path")
    return name


@contextmanager
def _told(gateway: Gateway, container: Any, account: Account, *, gone: bool = False) -> Iterator[None]:
    """A provider's failure in the caller's words. A container that it has no longer is expired here, too.

    `gone` says that a 404 can only mean the container.
    """
    try:
        with provider_errors.told(gateway, provider=account.provider, account=account.name):
            yield
    except (InvalidRequestError, NotFoundError) as error:
        is_missing = gone and isinstance(error.__cause__, MissingError)
        if not is_missing and not _says_expired(error):
            raise
        container_native.observe_expired(gateway, container.row_id)
        raise InvalidRequestError(
            "Container is expired.", param="container_id", code="container_expired", provider=account.provider
        ) from error


def _says_expired(error: GatewayError) -> bool:
    return error.code == "container_expired" or "container is expired" in error.message.lower()


def _account(gateway: Gateway, container: Any, operation: str) -> Account:
    account = container_native.account_of(gateway, container)
    if account.abilities.support(operation) is not Support.NATIVE:
        raise UnsupportedOperationError(container.provider, operation)
    return account


def _listed(account: Account, container_id: str) -> tuple[list[NativeContainerFile], bool]:
    """The newest files of the container, and whether these are all. Raises UpstreamError."""
    found: dict[str, NativeContainerFile] = {}
    after: str | None = None
    while len(found) < MOST_FILES:
        page = account.connector.list_container_files(container_id, after=after)
        before = len(found)
        # While pages are read, files that a model makes push others onto the next page once more.
        found.update((native.id, native) for native in page.items)
        after = page.after
        if after is None or len(found) == before:
            return list(found.values()), after is None
    return list(found.values()), False


def _is_new(native: NativeContainerFile, row: AnyRow | None) -> bool:
    values = _values(native)
    return row is None or row.path != values["path"] or values["bytes"] not in (None, row.bytes)


def _recorded(gateway: Gateway, container: Any, native: NativeContainerFile) -> AnyRow:
    with gateway.database.write() as connection:
        files.record(connection, container_id=container.row_id, **_values(native))
        row = files.find(connection, container_id=container.row_id, public_id=native.id)
    if row is None:
        raise _not_found(container, native.id)
    return row


def _values(native: NativeContainerFile) -> dict[str, Any]:
    return {
        "public_id": ids.new(ids.CONTAINER_FILE),
        "native_id": native.id,
        # PostgreSQL takes no NUL.
        "path": native.path.replace("\0", "")[:PATH_LENGTH],
        "source": "assistant" if native.source == "assistant" else "user",
        "bytes": native.bytes,
        "created_at": native.created_at,
    }


def _rest(gateway: Gateway, row: AnyRow, first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield first
        yield from chunks
    except UpstreamError as error:
        # The answer has begun, so that all that is left is to break it off.
        gateway.log.warning("container_file.content_cut", file=row.public_id, error=error.message)
        raise


def _not_found(container: Any, file_id: str) -> NotFoundError:
    return NotFoundError(f"File {file_id:.100} not found on container {container.id}.", param="file_id")
