"""Files in containers at providers: models make some of them, so the provider is asked, and its word recorded."""

import posixpath
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from app.connectors.abilities import Support
from app.connectors.native import NativeContainerFile, Payload
from app.data import container_files, file_copies, files
from app.data.database import AnyRow
from app.errors import InvalidRequestError, NotFoundError, UnsupportedOperationError
from app.lib import ids
from app.services import native_containers, unkept_files, upstream
from app.services.accounts import Account
from app.services.blobs import IncomingBlob, stream
from app.services.gateway import Caller, Gateway
from app.services.unkept_files import Stream

ROOT = "/mnt/data/"
MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the project that is put into a container: by its native id there, or by its bytes here."""

    filename: str
    bytes: int
    native_id: str | None
    key: str | None


def find_sources(
    gateway: Gateway, caller: Caller, account: Account, file_ids: Sequence[str], *, param: str = "file_ids"
) -> list[Source]:
    """The files with these ids, in their order. Raises InvalidRequestError naming `param` and the id it fails at."""
    return [_source(gateway, caller, account, file_id, param) for file_id in file_ids]


def send(
    gateway: Gateway, account: Account, container_id: str, source: Source, *, filename: str | None = None
) -> NativeContainerFile:
    """Put a file into a container at the account. Raises what a caller is to see."""
    with upstream.told(gateway, provider=account.provider, account=account.name):
        if source.native_id is not None and filename is None:
            return account.connector.copy_container_file(container_id, source.native_id)
        payload = _stored(gateway, str(source.key), source.bytes)
        return account.connector.put_container_file(container_id, filename or source.filename, payload)


def put(gateway: Gateway, container: Any, blob: IncomingBlob, *, filename: str, path: str | None) -> AnyRow:
    """Put sealed bytes into the container; here they are not kept. Raises what a caller is to see."""
    account = _account(gateway, container, "container_file_create")
    name = wanted_name(path) or filename or "file"
    with _told(gateway, container, account):
        native = account.connector.put_container_file(container.native_id, name, _stored(gateway, blob.key, blob.bytes))
    blob.abort()
    return _recorded(gateway, container, native)


def copy(gateway: Gateway, caller: Caller, container: Any, *, file_id: str, path: str | None) -> AnyRow:
    """Put a file of the project into the container, from whichever provider holds it."""
    account = _account(gateway, container, "container_file_create")
    [source] = find_sources(gateway, caller, account, [file_id], param="file_id")
    if path is not None and source.key is None:
        raise InvalidRequestError(
            "file_path: the gateway does not hold the bytes of this file, so that its name cannot be chosen.",
            param="file_path",
        )
    return _recorded(
        gateway, container, send(gateway, account, container.native_id, source, filename=wanted_name(path))
    )


def sync(gateway: Gateway, container: Any) -> None:
    """Ask the provider for all files of the container, and record them. Raises what a caller is to see."""
    account = _account(gateway, container, "container_file_list")
    with _told(gateway, container, account):
        found = _listed(account, container.native_id)
    # Oldest first, so that rows made in one go stand in the provider's order, which is newest first.
    found.reverse()
    found.sort(key=lambda native: native.created_at or 0)
    with gateway.database.write() as connection:
        for native in found:
            container_files.record(connection, container_id=container.row_id, **_values(native))
        container_files.bury_absent(
            connection, container_id=container.row_id, native_ids=[native.id for native in found]
        )


def look(gateway: Gateway, container: Any, row: AnyRow | None, file_id: str) -> AnyRow:
    """A file as the provider has it now, be it recorded or not. Raises NotFoundError."""
    account = _account(gateway, container, "container_file_retrieve")
    native_id = file_id if row is None else row.native_id
    try:
        with _told(gateway, container, account):
            native = account.connector.retrieve_container_file(container.native_id, native_id)
    except NotFoundError:
        if row is not None:
            with gateway.database.write() as connection:
                container_files.mark_deleted(connection, row.id)
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
    return Stream(download.length, _rest(first, download.chunks), opened.close)


def delete(gateway: Gateway, container: Any, row: AnyRow) -> None:
    """Delete a file there, then here. Raises what a caller is to see."""
    account = _account(gateway, container, "container_file_delete")
    with _told(gateway, container, account):
        account.connector.delete_container_file(container.native_id, row.native_id)
    with gateway.database.write() as connection:
        if not container_files.mark_deleted(connection, row.id):
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
def _told(gateway: Gateway, container: Any, account: Account) -> Iterator[None]:
    """A provider's failure in the caller's words. A container that it has no longer is expired here, too."""
    try:
        with upstream.told(gateway, provider=account.provider, account=account.name):
            yield
    except InvalidRequestError as error:
        if "expired" in error.message.lower():
            native_containers.observe_expired(gateway, container.row_id)
            raise InvalidRequestError(
                "Container is expired.", param="container_id", code="container_expired", provider=account.provider
            ) from error
        raise


def _account(gateway: Gateway, container: Any, operation: str) -> Account:
    account = native_containers.account_of(gateway, container)
    if account.abilities.support(operation) is not Support.NATIVE:
        raise UnsupportedOperationError(container.provider, operation)
    return account


def _source(gateway: Gateway, caller: Caller, account: Account, file_id: str, param: str) -> Source:
    with gateway.database.read() as connection:
        row = files.resolve(connection, caller.project_id, file_id) if file_id.isprintable() else None
        if row is None:
            raise InvalidRequestError(f"{param}: No such File object: {file_id}", param=param)
        held = file_copies.live_of_file(connection, row.id, variant=file_copies.RAW)
    native_id = next((copy.native_id for copy in held if copy.account_id == account.id), None)
    if native_id is None and not row.is_kept:
        unkept_files.fetch(gateway, row)
    with gateway.database.read() as connection:
        fresh = files.find(connection, caller.project_id, row.public_id) or row
        key = files.blob_key(connection, fresh.blob_id)
    if native_id is None and key is None:
        raise InvalidRequestError(f"{param}: the gateway does not hold the bytes of {file_id}.", param=param)
    return Source(filename=fresh.filename, bytes=fresh.bytes, native_id=native_id, key=key)


def _listed(account: Account, container_id: str) -> list[NativeContainerFile]:
    found: list[NativeContainerFile] = []
    after: str | None = None
    while len(found) < MOST_FILES:
        page = account.connector.list_container_files(container_id, after=after)
        found += page.items
        after = page.after
        if after is None:
            break
    return found


def _recorded(gateway: Gateway, container: Any, native: NativeContainerFile) -> AnyRow:
    with gateway.database.write() as connection:
        container_files.record(connection, container_id=container.row_id, **_values(native))
        row = container_files.find(connection, container_id=container.row_id, public_id=native.id)
    if row is None:
        raise _not_found(container, native.id)
    return row


def _values(native: NativeContainerFile) -> dict[str, Any]:
    return {
        "public_id": ids.new(ids.CONTAINER_FILE),
        "native_id": native.id,
        "path": native.path,
        "source": "assistant" if native.source == "assistant" else "user",
        "bytes": native.bytes,
        "created_at": native.created_at,
    }


def _stored(gateway: Gateway, key: str, size: int) -> Payload:
    return Payload(size, lambda: stream(gateway, key, offset=0, length=size))


def _rest(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _not_found(container: Any, file_id: str) -> NotFoundError:
    return NotFoundError(f"File {file_id:.100} not found on container {container.id}.", param="file_id")
