"""Files: streamed in, listed, read, deleted, expired."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from app.connectors.contract.objects import NativeFile, Payload
from app.connectors.contract.objects import NewFile as NewNativeFile
from app.data.batches.batches import CANCELLABLE
from app.data.files import file_copies, files
from app.data.files.files import FileRow as FileRow  # what callers of this module get
from app.errors import ConflictError, InvalidRequestError, NotFoundError, PayloadTooLargeError
from app.lib import failpoints, ids
from app.services import blobs
from app.services.access import permissions
from app.services.blobs import IncomingBlob, incoming
from app.services.copies import direct, reconcile, remote
from app.services.each_due import SLICE_ROWS, each_due
from app.services.files import names, placement
from app.services.files.names import BATCH as BATCH  # what callers of this module compare purposes with
from app.services.files.placement import Place
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Settle
from app.services.limits import limits
from app.services.lines.index import LineIndex

BATCH_EXPIRY_S = 30 * 24 * 3600
MAX_WORKER_LENGTH = 64


@dataclass(frozen=True, slots=True)
class NewFile:
    """What a client says about a new file. `filename` has been checked; `expires_after_s` is seconds.

    `is_kept`: whether the gateway keeps the bytes; None leaves it to the operator's setting. `place` is where in an
    operator's bucket they go. `counted_bytes` count towards limits already, as a pending upload.
    """

    provider: str
    purpose: str
    filename: str
    expires_after_s: int | None
    is_kept: bool | None = None
    place: Place | None = None
    counted_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, and whether more follow."""

    items: list[FileRow]
    has_more: bool


class IncomingFile:
    """A file being received: `write` its bytes, then `create` it."""

    def __init__(self, gateway: Gateway, blob: IncomingBlob, index: LineIndex | None) -> None:
        self._gateway = gateway
        self._blob = blob
        self._index = index

    @property
    def sha256(self) -> str | None:
        """The hex digest of what was written so far."""
        return self._blob.sha256

    def write(self, data: bytes) -> None:
        """Append to the file. Raises PayloadTooLargeError and what the store raises."""
        max_bytes = self._gateway.settings.max_file_bytes
        if self._blob.bytes + len(data) > max_bytes:
            raise PayloadTooLargeError(f"file must be at most {max_bytes} bytes.", param="file")
        self._blob.write(data)

    def create(self, caller: Caller, new: NewFile, *, settle: Settle[FileRow] | None = None) -> FileRow:
        """Make the file of what was written, at its provider too if the purpose is used there.

        `settle` is called last in the transaction. Raises InvalidRequestError, PayloadTooLargeError, RateLimitedError,
        and the GatewayError that matches the provider's failure.
        """
        size = self._blob.bytes
        if not size:
            raise InvalidRequestError("file is empty.", param="file")
        is_direct = _check(self._gateway, caller, new, size=size)
        # Before the provider is called.
        limits.check_upload(self._gateway, caller, size=size, counted=new.counted_bytes)
        self._blob.seal()
        failpoints.hit("file.before_row")
        if is_direct:
            return self._create_at_provider(caller, new, settle)
        with self._gateway.database.write() as connection:
            return self._record(connection, caller, new, settle, public_id=ids.new(ids.FILE))

    def _create_at_provider(self, caller: Caller, new: NewFile, settle: Settle[FileRow] | None) -> FileRow:
        """Make the file at its provider, and here in the transaction that confirms it."""
        gateway = self._gateway
        is_kept = gateway.settings.keep_files if new.is_kept is None else new.is_kept
        account = placement.account_for(gateway, caller, new.provider, new.place)
        public_id = ids.new(ids.FILE)
        native_new = NewNativeFile(
            new.filename,
            new.purpose,
            self._payload(),
            expires_after_s=new.expires_after_s,
            folder=placement.folder(account, new.place, caller, public_id),
        )

        def record(connection: Connection, object_id: int, native: NativeFile) -> FileRow:
            only_at = None if is_kept else native
            return self._record(
                connection, caller, new, settle, public_id=public_id, object_id=object_id, only_at=only_at
            )

        row = direct.upload(gateway, account, native_new, keep=self._blob.keep, record=record)
        if not is_kept:
            self._blob.abort()
        return row

    def _payload(self) -> Payload:
        key, size = self._blob.key, self._blob.bytes
        return Payload(size, lambda: blobs.stream(self._gateway, key, offset=0, length=size))

    def _record(
        self,
        connection: Connection,
        caller: Caller,
        new: NewFile,
        settle: Settle[FileRow] | None,
        *,
        public_id: str,
        object_id: int | None = None,
        only_at: NativeFile | None = None,
    ) -> FileRow:
        """Insert the row of the file, and its copy if `object_id` is one. With `only_at` the bytes are not kept."""
        row_id = self._insert(connection, caller, new, public_id=public_id, only_at=only_at)
        if object_id is not None:
            file_copies.add(connection, file_id=row_id, object_id=object_id, variant=file_copies.RAW)
        row = files.read_new(connection, row_id)
        if settle is not None:
            settle(connection, row)
        limits.settle_upload(connection, caller)
        return row

    def _insert(
        self, connection: Connection, caller: Caller, new: NewFile, *, public_id: str, only_at: NativeFile | None
    ) -> int:
        index = self._index if new.purpose == BATCH else None
        if only_at is None:
            self._blob.settle(connection)
        default_expiry_s = BATCH_EXPIRY_S if new.purpose == BATCH else None
        row_id = files.insert(
            connection,
            public_id=public_id,
            project_id=caller.project_id,
            key_id=caller.key_id,
            home=new.provider,
            purpose=new.purpose,
            filename=new.filename,
            origin="upload",
            blob_id=self._blob.id if only_at is None else None,
            size=self._blob.bytes,
            sha256=self._blob.sha256,
            lines=index.lines if index else None,
            status="processed" if only_at is None else remote.file_status(only_at),
            status_details=index.details if index else None,
            expires_after_s=new.expires_after_s or default_expiry_s,
            expires_at=only_at.expires_at if only_at else None,
        )
        return row_id


@contextmanager
def receiving(gateway: Gateway, filename: str, *, purpose: str | None = None) -> Iterator[IncomingFile]:
    """A file being received, under a name that `names.checked_name` returned; nothing is left after an exception.

    `purpose` is None while it is not known: it may come after the file, so whatever could be a batch input is indexed.
    """
    is_indexed = purpose in (None, BATCH) and names.may_be_batch(filename)
    index = LineIndex(max_lines=gateway.settings.max_input_lines) if is_indexed else None
    with incoming(gateway, spares_reserve=True, index=index) as blob:
        yield IncomingFile(gateway, blob, index)


def retrieve(gateway: Gateway, caller: Caller, file_id: str, *, provider: str | None = None) -> FileRow:
    """A file of the caller's project, by its own or its native id. Raises NotFoundError."""
    with gateway.database.read() as connection:
        row = files.resolve(connection, caller.project_id, file_id)
    if row is None or provider not in (None, row.home):
        raise NotFoundError(f"No such File object: {file_id:.100}", param="id")
    return row


def list_(
    gateway: Gateway,
    caller: Caller,
    *,
    purpose: str | None,
    provider: str | None,
    after: str | None,
    descending: bool,
    limit: int,
) -> Page:
    """Files of the project, newest first when `descending`. Raises InvalidRequestError naming `after`."""
    with gateway.database.read() as connection:
        position = None
        if after is not None:
            position = files.position(connection, caller.project_id, after)
            if position is None:
                raise InvalidRequestError(f"after: no such file {after:.100}.", param="after")
        rows = files.page(
            connection,
            caller.project_id,
            purpose=purpose,
            home=provider,
            after=position,
            descending=descending,
            limit=limit,
        )
    return Page(items=rows[:limit], has_more=len(rows) > limit)


def delete(gateway: Gateway, caller: Caller, file_id: str, *, provider: str | None = None) -> FileRow:
    """Delete a file, its bytes and its copies. Raises NotFoundError, and ConflictError while a batch uses it.

    A copy that cannot be deleted at its provider now is retried until it is gone.
    """
    row = retrieve(gateway, caller, file_id, provider=provider)

    def unit(connection: Connection) -> list[int]:
        unused = files.delete(connection, row.id)
        if unused is not None:
            return unused
        if files.find(connection, caller.project_id, row.public_id) is None:
            raise NotFoundError(f"No such File object: {file_id}", param="id")
        raise ConflictError(_in_use(file_id, files.users(connection, row.id)), param="id")

    unused = gateway.database.run(unit)
    blobs.remove_condemned(gateway, row.blob_id)
    for object_id in unused:
        reconcile.delete_now(gateway, object_id, worker=caller.request_id[:MAX_WORKER_LENGTH])
    return row


def _in_use(file_id: str, users: Sequence[tuple[str, str]]) -> str:
    """What to do about a file that batches use: those that can be cancelled come first."""
    text = f"The file {file_id:.100} is used by an unfinished batch"
    for batch_id, status in sorted(users, key=lambda user: user[1] not in CANCELLABLE):
        if status in CANCELLABLE:
            return f"{text}, {batch_id}: cancel it, or wait for its end, and then delete the file."
        return f"{text}, {batch_id}, which is {status}: wait until it has ended, and then delete the file."
    return f"{text}: try again."  # it has ended since


def blob_key(gateway: Gateway, row: FileRow) -> str:
    """The key of a file's bytes in the store. Raises NotFoundError when the file was deleted meanwhile."""
    with gateway.database.read() as connection:
        key = files.blob_key(connection, row.blob_id)
    if key is None:
        raise NotFoundError(f"No such File object: {row.public_id}", param="id")
    return key


def expire_due(gateway: Gateway, *, slice_rows: int = SLICE_ROWS) -> int:
    """Delete files that have expired and that no unfinished batch uses; returns how many."""

    def expire(file_id: int) -> bool:
        return gateway.database.run(lambda connection: files.delete(connection, file_id)) is not None

    return each_due(
        gateway, lambda connection, limit: files.expired(connection, limit=limit), expire, slice_rows=slice_rows
    )


def _check(gateway: Gateway, caller: Caller, new: NewFile, *, size: int) -> bool:
    """True when the file is to be made at its provider at once. Raises the GatewayError for what is not allowed."""
    permissions.check_use(caller, provider=new.provider)
    file_limits = direct.limits(gateway, new.provider, new.purpose)
    if new.place is not None:
        placement.account_for(gateway, caller, new.provider, new.place)
    # The gateway keeps a batch input in any case; jobs put what they need of it into the bucket.
    is_placed = new.place is not None and new.purpose == BATCH
    if file_limits is None and new.is_kept is False and not is_placed:
        text = f"storage_config: the gateway itself keeps files of purpose {new.purpose} of {new.provider}."
        raise InvalidRequestError(text, param="storage_config")
    if file_limits is not None and file_limits.bytes is not None and size > file_limits.bytes:
        raise PayloadTooLargeError(f"file must be at most {file_limits.bytes} bytes at {new.provider}.", param="file")
    return file_limits is not None
