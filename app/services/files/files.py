"""Files: streamed in, listed, read, deleted, expired."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from app.connectors.contract.objects import NativeFile, NewFile, Payload
from app.data.files import file_copies, files
from app.data.files.files import FileRow as FileRow  # what callers of this module get
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, NotFoundError, PayloadTooLargeError
from app.lib import failpoints, ids
from app.services import blobs
from app.services.access import permissions
from app.services.blobs import IncomingBlob, incoming
from app.services.copies import direct, reconcile, remote
from app.services.each_due import SLICE_ROWS, each_due
from app.services.files import placement
from app.services.files.placement import Place
from app.services.gateway import Caller, Gateway
from app.services.limits import limits
from app.services.lines.index import LineIndex

NAME_LENGTH = 255
BATCH = "batch"
BATCH_SUFFIX = ".jsonl"
BATCH_EXPIRY_S = 30 * 24 * 3600
DEFAULT_NAME = "upload"
WORKER_LENGTH = 64

Settle = Callable[[Connection, Any], None]


@dataclass(frozen=True, slots=True)
class Upload:
    """What a client says about a file. `expires_after_s` is seconds.

    `is_kept` tells whether the gateway is to keep the bytes; None: as the operator has set it. `place` is where in a
    bucket of the operator's they are to be.
    """

    provider: str
    purpose: str
    filename: str
    expires_after_s: int | None
    is_kept: bool | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a list."""

    items: list[FileRow]
    has_more: bool


class IncomingFile:
    """A file on its way in: a sink for its bytes, then `create` with what the form said."""

    def __init__(self, gateway: Gateway, blob: IncomingBlob, filename: str) -> None:
        self._gateway = gateway
        self._blob = blob
        self._filename = filename
        # The purpose may come after the file, so whatever could be a batch input is indexed.
        self._index = LineIndex() if filename.endswith(BATCH_SUFFIX) else None

    @property
    def sha256(self) -> str | None:
        """Of what has been written so far."""
        return self._blob.sha256

    def write(self, data: bytes) -> None:
        """The next bytes. Raises PayloadTooLargeError and what the store raises."""
        if self._blob.bytes + len(data) > self._gateway.settings.max_file_bytes:
            limit = self._gateway.settings.max_file_bytes
            raise PayloadTooLargeError(f"file must be at most {limit} bytes.", param="file")
        self._blob.write(data)
        if self._index is not None:
            self._index.write(data)

    def create(self, caller: Caller, upload: Upload, *, settle: Settle | None = None) -> FileRow:
        """Make the file of what was written, at its provider too if it is used there.

        `settle` is called last in its transaction. Raises what the provider's refusal or failure is for a caller.
        """
        if not self._blob.bytes:
            raise InvalidRequestError("file is empty.", param="file")
        is_direct = check_limits(self._gateway, caller, upload, size=self._blob.bytes)
        limits.check_upload(self._gateway, caller, size=self._blob.bytes)  # before its provider hears of it
        self._blob.seal()
        failpoints.hit("file.before_row")
        if is_direct:
            return self._make_direct(caller, upload, settle)
        with self._gateway.database.write() as connection:
            return self._settle(connection, caller, upload, settle, public_id=ids.new(ids.FILE))

    def insert(
        self,
        connection: Connection,
        caller: Caller,
        upload: Upload,
        *,
        public_id: str,
        only_at: NativeFile | None = None,
    ) -> int:
        """The row of the file, in the caller's transaction; the bytes are sealed before. Returns the row id.

        With `only_at` the gateway does not keep the bytes.
        """
        index = self._index if upload.purpose == BATCH else None
        if index is not None:
            index.finish()
        if only_at is None:
            self._blob.settle(connection)
        default_expiry = BATCH_EXPIRY_S if upload.purpose == BATCH else None
        file_id = files.insert(
            connection,
            public_id=public_id,
            project_id=caller.project_id,
            key_id=caller.key_id,
            home=upload.provider,
            purpose=upload.purpose,
            filename=self._filename,
            origin="upload",
            blob_id=self._blob.id if only_at is None else None,
            size=self._blob.bytes,
            sha256=self._blob.sha256,
            lines=index.lines if index else None,
            status="processed" if only_at is None else remote.file_status(only_at),
            status_details=index.details if index else None,
            expires_after_s=upload.expires_after_s or default_expiry,
            expires_at=only_at.expires_at if only_at else None,
        )
        limits.settle_upload(connection, caller)
        return file_id

    def _make_direct(self, caller: Caller, upload: Upload, settle: Settle | None) -> FileRow:
        is_kept = self._gateway.settings.keep_files if upload.is_kept is None else upload.is_kept
        key, size = self._blob.key, self._blob.bytes
        payload = Payload(size, lambda: blobs.stream(self._gateway, key, offset=0, length=size))
        account = placement.account_for(self._gateway, caller, upload.provider, upload.place)
        public_id = ids.new(ids.FILE)
        new = NewFile(
            self._filename,
            upload.purpose,
            payload,
            expires_after_s=upload.expires_after_s,
            folder=placement.folder(account, upload.place, caller, public_id),
        )

        def then(connection: Connection, object_id: int, native: NativeFile) -> FileRow:
            only_at = None if is_kept else native
            return self._settle(
                connection, caller, upload, settle, public_id=public_id, object_id=object_id, only_at=only_at
            )

        row = direct.make(self._gateway, account, new, keep=self._blob.keep, then=then)
        if not is_kept:
            self._blob.abort()
        return row

    def _settle(
        self,
        connection: Connection,
        caller: Caller,
        upload: Upload,
        settle: Settle | None,
        *,
        public_id: str,
        object_id: int | None = None,
        only_at: NativeFile | None = None,
    ) -> FileRow:
        file_id = self.insert(connection, caller, upload, public_id=public_id, only_at=only_at)
        if object_id is not None:
            file_copies.add(connection, file_id=file_id, object_id=object_id, variant=file_copies.RAW)
        row = files.find(connection, caller.project_id, public_id)
        if row is None:
            raise RuntimeError("a file that was just made is not there")
        if settle is not None:
            settle(connection, row)
        return row


@contextmanager
def receiving(gateway: Gateway, filename: str) -> Iterator[IncomingFile]:
    """A file on its way in, under a name that `checked_name` gave; nothing of it stays after an exception."""
    with incoming(gateway) as blob:
        yield IncomingFile(gateway, blob, filename)


def checked_name(filename: str, *, param: str = "file") -> str:
    """The name without its directories. Raises InvalidRequestError naming `param`."""
    name = filename.replace("\\", "/").rpartition("/")[2].strip()
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000 for char in name):
        raise InvalidRequestError(f"{param}: the filename must not hold control characters.", param=param)
    if len(name) > NAME_LENGTH:
        text = f"{param}: the filename must have at most {NAME_LENGTH} characters."
        raise InvalidRequestError(text, param=param)
    return name if name not in ("", ".", "..") else DEFAULT_NAME


def check_format(purpose: str, filename: str, *, param: str = "file") -> None:
    """Raises InvalidRequestError when a batch input does not look like one."""
    if purpose == BATCH and not filename.endswith(BATCH_SUFFIX):
        raise InvalidRequestError("Invalid file format for Batch API. Must be .jsonl", param=param)


def check_limits(gateway: Gateway, caller: Caller, upload: Upload, *, size: int) -> bool:
    """True when a file is made at its provider at once. Raises what its provider or the way to keep it forbids."""
    permissions.check_use(caller, provider=upload.provider)
    most = direct.limits(gateway, upload.provider, upload.purpose)
    if upload.place is not None:
        placement.account_for(gateway, caller, upload.provider, upload.place)
    # A batch input is kept here in any case: what a job needs of it is put into the bucket then.
    placed = upload.place is not None and upload.purpose == BATCH
    if most is None and upload.is_kept is False and not placed:
        text = f"storage_config: the gateway itself keeps files of purpose {upload.purpose} of {upload.provider}."
        raise InvalidRequestError(text, param="storage_config")
    if most is not None and most.bytes is not None and size > most.bytes:
        raise PayloadTooLargeError(f"file must be at most {most.bytes} bytes at {upload.provider}.", param="file")
    return most is not None


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
    return Page(items=list(rows[:limit]), has_more=len(rows) > limit)


def delete(gateway: Gateway, caller: Caller, file_id: str, *, provider: str | None = None) -> FileRow:
    """Delete a file, its bytes and its copies. Raises NotFoundError, and ConflictError while a batch uses it.

    A copy that a provider does not delete now is tried again until it is gone.
    """
    row = retrieve(gateway, caller, file_id, provider=provider)

    def unit(connection: Connection) -> list[int]:
        unused = files.delete(connection, row.id)
        if unused is not None:
            return unused
        if files.find(connection, caller.project_id, row.public_id) is None:
            raise NotFoundError(f"No such File object: {file_id}", param="id")
        raise ConflictError(f"The file {file_id} is used by a batch that is not over: cancel it first.", param="id")

    unused = gateway.database.run(unit)
    blobs.remove_condemned(gateway, row.blob_id)
    for object_id in unused:
        reconcile.delete_now(gateway, object_id, worker=caller.request_id[:WORKER_LENGTH])
    return row


def blob_key(gateway: Gateway, row: FileRow) -> str:
    """Where the bytes of a file lie. Raises NotFoundError when it was deleted meanwhile."""
    with gateway.database.read() as connection:
        key = files.blob_key(connection, row.blob_id)
    if key is None:
        raise NotFoundError(f"No such File object: {row.public_id}", param="id")
    return key


def expire_due(gateway: Gateway, *, slice_rows: int = SLICE_ROWS) -> int:
    """Delete files whose time is over and that no running batch uses; returns how many."""

    def expire(row: AnyRow) -> bool:
        return gateway.database.run(lambda connection: files.delete(connection, row.id)) is not None

    return each_due(
        gateway, lambda connection, limit: files.expired(connection, limit=limit), expire, slice_rows=slice_rows
    )
