"""Files whose bytes only a provider has: looked at now and then, streamed through, brought home when needed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from app.connectors.contract.errors import MissingError, UpstreamError
from app.connectors.contract.objects import Download, NativeFile
from app.data.files import blobs as blob_rows
from app.data.files import file_copies, files, native_objects
from app.data.files.files import FileRow
from app.data.files.missing import CONTENT, OBJECT
from app.errors import NotFoundError, NotShownError, ProviderError
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.blobs import incoming
from app.services.copies import looks
from app.services.copies.looks import Verdict
from app.services.gateway import Gateway
from app.services.lines.index import LineIndex

BATCH = "batch"
STATUSES = ("uploaded", "processed", "processing", "error")


@dataclass(frozen=True, slots=True)
class Holder:
    """Which account has the bytes of a file, and as which native object; `is_missing`: it was not found there."""

    object_id: int
    native_id: str
    account: Account
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes being streamed through; `length` is None when the provider does not say. `close` ends the call."""

    length: int | None
    chunks: Iterator[bytes] = field(repr=False)
    close: Callable[[], None] = field(repr=False)


def file_status(native: NativeFile) -> str:
    """The status of a file that only its provider has."""
    return native.status if native.status in STATUSES else "processed"


def refreshed(gateway: Gateway, row: FileRow) -> tuple[FileRow, bool]:
    """The file as it is now, and whether its provider was asked: once in a few seconds, however many callers ask.

    A file that the provider does not find is returned as it was last seen; after several looks NotFoundError is raised.
    Otherwise raises the GatewayError that matches the provider's failure.
    """
    stale_ms = int(gateway.settings.refresh_s * 1000)
    with gateway.database.read() as connection:
        if not files.is_stale(connection, row.id, stale_ms=stale_ms):
            return row, False
    with gateway.database.write() as connection:
        if not files.take_look(connection, row.id, stale_ms=stale_ms):
            return row, False
    holder = _holder(gateway, row)
    try:
        with _caller_errors(gateway, row, holder, part=OBJECT):
            native = holder.account.connector.retrieve_file(holder.native_id)
    except NotShownError:
        return row, False
    with gateway.database.write() as connection:
        files.observe(connection, row.id, status=file_status(native), expires_at=native.expires_at)
        native_objects.observe(connection, holder.object_id, status=native.status, expires_at=native.expires_at)
        file = files.find(connection, row.project_id, row.public_id)
    if file is None:
        raise _not_found(row)
    return file, True


def content(gateway: Gateway, row: FileRow) -> Stream:
    """The bytes, by one call at the account that holds them. Raises a GatewayError before the first byte.

    A failure after the first byte is an UpstreamError, raised while `chunks` is read.
    """
    holder = _holder(gateway, row)
    with ExitStack() as stack:
        with _caller_errors(gateway, row, holder, part=CONTENT):
            download = stack.enter_context(holder.account.connector.read_file(holder.native_id))
            first = next(download.chunks, b"")
        opened = stack.pop_all()
    if holder.is_missing:
        looks.found(gateway, holder.object_id, part=CONTENT)
    return Stream(download.length, _rest(gateway, row, first, download), opened.close)


def bring_home(gateway: Gateway, row: FileRow) -> None:
    """Store the bytes of a file that only its provider had; nothing happens when the gateway has them.

    Raises UpstreamError, NotFoundError, ProviderError when its account is gone, and what the store raises.
    """
    if not row.is_kept:
        _store(gateway, row, _holder(gateway, row))


def fetch(gateway: Gateway, row: FileRow) -> None:
    """As `bring_home`, for requests: raises the GatewayError that matches the provider's failure."""
    holder = _holder(gateway, row)
    with _caller_errors(gateway, row, holder, part=CONTENT):
        if not row.is_kept:
            _store(gateway, row, holder)


def _store(gateway: Gateway, row: FileRow, holder: Holder) -> None:
    index = LineIndex(max_lines=gateway.settings.max_input_lines) if row.purpose == BATCH else None
    with incoming(gateway, index=index) as blob:
        with holder.account.connector.read_file(holder.native_id) as download:
            for data in download.chunks:
                blob.write(data)
        blob.seal()
        with gateway.database.write() as connection:
            blob.settle(connection)
            is_stored = files.keep(
                connection,
                row.id,
                blob_id=blob.id,
                size=blob.bytes,
                sha256=blob.sha256,
                lines=index.lines if index else None,
                status_details=index.details if index else None,
            )
            if not is_stored:
                blob_rows.release(connection, blob.id)


def _holder(gateway: Gateway, row: FileRow) -> Holder:
    """An account that has the bytes. Raises NotFoundError when none has, ProviderError when it cannot be used."""
    with gateway.database.read() as connection:
        copies = file_copies.live_of_file(connection, row.id, variant=file_copies.RAW)
    for copy in copies:
        account = gateway.accounts.by_id(copy.account_id)
        if account is not None:
            return Holder(copy.object_id, copy.native_id, account, copy.missing_part is not None)
    if copies:
        raise ProviderError(f"The account at {row.home} that holds this file is gone.", provider=row.home)
    raise _not_found(row)


@contextmanager
def _caller_errors(gateway: Gateway, row: FileRow, holder: Holder, *, part: str) -> Iterator[None]:
    """Raises the GatewayError that matches the provider's failure.

    A file that it does not find raises NotShownError, and is deleted here after several such looks.
    """
    try:
        with provider_errors.translated(gateway, provider=holder.account.provider, account=holder.account.name):
            yield
    except NotFoundError as error:
        if not isinstance(error.__cause__, MissingError):
            raise
        verdict = looks.missed(gateway, holder.account, holder.object_id, holder.native_id, part=part)
        if verdict is Verdict.UNSURE:
            raise looks.not_shown(holder.account.provider, f"the file {row.public_id}") from error
        if verdict is Verdict.EMPTY:
            text = f"{holder.account.provider} has the file {row.public_id}, but not its content."
            raise NotFoundError(text, param="id") from error
        raise _not_found(row) from error


def _rest(gateway: Gateway, row: FileRow, first: bytes, download: Download) -> Iterator[bytes]:
    try:
        yield first
        yield from download.chunks
    except UpstreamError as error:
        # The status has been sent, so all that is left is to break the response off.
        gateway.log.warning("file.content_cut", file=row.public_id, provider=row.home, reason=error.message)
        raise


def _not_found(row: FileRow) -> NotFoundError:
    return NotFoundError(f"No such File object: {row.public_id}", param="id")
