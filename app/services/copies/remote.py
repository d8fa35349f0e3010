"""Files whose bytes only a provider has: looked at now and then, streamed through, brought home when needed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from app.connectors.contract.errors import MissingError, UpstreamError
from app.connectors.contract.objects import Download, NativeFile
from app.data.files import blobs as blob_rows
from app.data.files import file_copies, files, native_objects
from app.data.files.files import FileRow
from app.errors import NotFoundError, ProviderError
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.blobs import incoming
from app.services.gateway import Gateway
from app.services.lines.index import LineIndex

GONE = "The provider has it no longer."
BATCH = "batch"
STATUSES = ("uploaded", "processed", "processing", "error")


@dataclass(frozen=True, slots=True)
class Held:
    """Where the bytes of a file are."""

    object_id: int
    native_id: str
    account: Account


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes on their way through; `length` is None when the provider does not tell. `close` ends the call."""

    length: int | None
    chunks: Iterator[bytes] = field(repr=False)
    close: Callable[[], None] = field(repr=False)


def file_status(native: NativeFile) -> str:
    """The status of a file that only its provider has."""
    return native.status if native.status in STATUSES else "processed"


def refreshed(gateway: Gateway, row: FileRow) -> tuple[FileRow, bool]:
    """The file as it is now, and whether its provider was asked: only if nobody else did within some seconds.

    Raises NotFoundError when the provider has it no longer, and what else the provider's failure is for a caller.
    """
    stale_ms = int(gateway.settings.refresh_s * 1000)
    with gateway.database.read() as connection:
        if not files.is_stale(connection, row.id, stale_ms=stale_ms):
            return row, False
    with gateway.database.write() as connection:
        if not files.take_look(connection, row.id, stale_ms=stale_ms):
            return row, False
    held = holder(gateway, row)
    with _told(gateway, row, held):
        native = held.account.connector.retrieve_file(held.native_id)
    with gateway.database.write() as connection:
        files.observe(connection, row.id, status=file_status(native), expires_at=native.expires_at)
        native_objects.observe(connection, held.object_id, status=native.status, expires_at=native.expires_at)
        found = files.find(connection, row.project_id, row.public_id)
    if found is None:
        raise _not_found(row)
    return found, True


def content(gateway: Gateway, row: FileRow) -> Stream:
    """The bytes, by one call at the account that holds them. Raises before the first byte what a caller is to see.

    A failure after it is an UpstreamError while `chunks` is read.
    """
    held = holder(gateway, row)
    with ExitStack() as stack:
        with _told(gateway, row, held):
            download = stack.enter_context(held.account.connector.read_file(held.native_id))
            first = next(download.chunks, b"")
        opened = stack.pop_all()
    return Stream(download.length, _rest(gateway, row, first, download), opened.close)


def bring_home(gateway: Gateway, row: FileRow) -> None:
    """Keep the bytes of a file that only its provider had.

    Raises UpstreamError, NotFoundError, ProviderError when its account is gone, and what the store raises.
    """
    if row.is_kept:
        return
    held = holder(gateway, row)
    index = LineIndex() if row.purpose == BATCH else None
    with incoming(gateway) as blob:
        with held.account.connector.read_file(held.native_id) as download:
            for data in download.chunks:
                blob.write(data)
                if index is not None:
                    index.write(data)
        if index is not None:
            index.finish()
        blob.seal()
        with gateway.database.write() as connection:
            blob.settle(connection)
            kept = files.keep(
                connection,
                row.id,
                blob_id=blob.id,
                size=blob.bytes,
                sha256=blob.sha256,
                lines=index.lines if index else None,
                status_details=index.details if index else None,
            )
            if not kept:
                blob_rows.release(connection, blob.id)


def fetch(gateway: Gateway, row: FileRow) -> None:
    """As `bring_home`, but a provider's failure is raised as a caller is to see it."""
    with _told(gateway, row, holder(gateway, row)):
        bring_home(gateway, row)


def holder(gateway: Gateway, row: FileRow) -> Held:
    """An account that has the bytes. Raises NotFoundError when none has, ProviderError when it cannot be used."""
    with gateway.database.read() as connection:
        found = file_copies.live_of_file(connection, row.id, variant=file_copies.RAW)
    for copy in found:
        account = gateway.accounts.by_id(copy.account_id)
        if account is not None:
            return Held(copy.id, copy.native_id, account)
    if found:
        raise ProviderError(f"The account at {row.home} that holds this file is gone.", provider=row.home)
    raise _not_found(row)


@contextmanager
def _told(gateway: Gateway, row: FileRow, held: Held) -> Iterator[None]:
    """A provider's failure in the caller's words. A file that it has no longer is deleted here, too."""
    try:
        with provider_errors.told(gateway, provider=held.account.provider, account=held.account.name):
            yield
    except NotFoundError as error:
        if not isinstance(error.__cause__, MissingError):
            raise
        with gateway.database.write() as connection:
            native_objects.vanish(connection, held.object_id, note=GONE)
            if not file_copies.live_of_file(connection, row.id, variant=file_copies.RAW):
                files.delete(connection, row.id)
        raise _not_found(row) from error


def _rest(gateway: Gateway, row: FileRow, first: bytes, download: Download) -> Iterator[bytes]:
    try:
        yield first
        yield from download.chunks
    except UpstreamError as error:
        # The answer has begun, so that all that is left is to break it off.
        gateway.log.warning("file.content_cut", file=row.public_id, provider=row.home, error=error.message)
        raise


def _not_found(row: FileRow) -> NotFoundError:
    return NotFoundError(f"No such File object: {row.public_id}", param="id")
