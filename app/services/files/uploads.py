"""Uploads in parts: parts arrive in any order, and completing the upload joins them into one file."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from app.blobs import BlobError
from app.data.files import blobs, uploads
from app.data.files.files import FileRow
from app.data.files.uploads import Part as Part  # what callers of this module get
from app.data.files.uploads import StoredPart
from app.data.files.uploads import Upload as Upload
from app.errors import ConflictError, InvalidRequestError, NotFoundError, PayloadTooLargeError, UnavailableError
from app.lib import ids
from app.services.access import permissions
from app.services.blobs import IncomingBlob, incoming
from app.services.copies import direct
from app.services.each_due import SLICE_ROWS, each_due
from app.services.files import files, names
from app.services.gateway import Caller, Gateway
from app.services.idempotency import Settle
from app.services.limits import limits

LIFETIME_MS = 3600 * 1000
MAX_PART_BYTES = 64 * 2**20
MAX_PARTS = 10_000
PENDING = "pending"
# Types that can only be a mistake beside a purpose that needs JSONL; clients have many other names for JSONL.
JSONL_PURPOSES = ("batch", "fine-tune")
NEVER_JSONL = ("image/", "audio/", "video/", "font/", "multipart/", "application/pdf", "application/zip")


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What a caller announces. `bytes` is the sum of the parts; `expires_after_s` is the file's, in seconds."""

    provider: str
    filename: str
    purpose: str
    bytes: int
    mime_type: str
    expires_after_s: int | None


def create(gateway: Gateway, caller: Caller, new: NewUpload, *, settle: Settle[Upload] | None = None) -> Upload:
    """An upload that waits an hour for its parts. `settle` is called last in the transaction.

    Raises InvalidRequestError for a file that could not be made, and RateLimitedError.
    """
    filename = names.checked_name(new.filename, param="filename")
    names.check_format(new.purpose, filename, param="filename")
    _check_mime_type(new)
    permissions.check_use(caller, provider=new.provider)
    _check_size(gateway, new)
    limits.check_upload(gateway, caller, size=new.bytes)

    def unit(connection: Connection) -> Upload:
        limits.check_pending(gateway, connection, caller)
        upload = uploads.insert_upload(
            connection,
            lifetime_ms=LIFETIME_MS,
            public_id=ids.new(ids.UPLOAD),
            project_id=caller.project_id,
            key_id=caller.key_id,
            home=new.provider,
            purpose=new.purpose,
            filename=filename,
            mime_type=new.mime_type,
            size=new.bytes,
            expires_after_s=new.expires_after_s,
        )
        limits.check_stored(connection, caller)
        if settle is not None:
            settle(connection, upload)
        return upload

    return gateway.database.run(unit)


def retrieve(gateway: Gateway, caller: Caller, upload_id: str, *, provider: str | None = None) -> Upload:
    """An upload of the caller's project. Raises NotFoundError, also when it is not `provider`'s."""
    upload = None
    if len(upload_id) <= ids.MAX_LENGTH and upload_id.isascii() and upload_id.isprintable():
        with gateway.database.read() as connection:
            upload = uploads.find(connection, project_id=caller.project_id, public_id=upload_id)
    if upload is None or provider not in (None, upload.home):
        raise NotFoundError(f"No such Upload object: {upload_id:.100}", param="id")
    return upload


def retrieve_pending(gateway: Gateway, caller: Caller, upload_id: str, *, provider: str | None = None) -> Upload:
    """As `retrieve`. Raises ConflictError when the upload is over."""
    upload = retrieve(gateway, caller, upload_id, provider=provider)
    if upload.status != PENDING:
        raise _over(upload)
    return upload


class IncomingPart:
    """A part being received: `write` its bytes, then `add` it."""

    def __init__(self, gateway: Gateway, blob: IncomingBlob, announced_bytes: int) -> None:
        self._gateway = gateway
        self._blob = blob
        self._announced_bytes = announced_bytes
        self._is_shared = False

    @property
    def sha256(self) -> str | None:
        """The hex digest of what was written so far."""
        return self._blob.sha256

    def write(self, data: bytes) -> None:
        """Append to the part. Raises PayloadTooLargeError, InvalidRequestError and what the store raises."""
        size = self._blob.bytes + len(data)
        if size > MAX_PART_BYTES:
            raise PayloadTooLargeError(f"data: a part has at most {MAX_PART_BYTES} bytes.", param="data")
        if size > self._announced_bytes:
            text = f"data: this part alone has more than the {self._announced_bytes} bytes that the upload announced."
            raise InvalidRequestError(text, param="data")
        self._blob.write(data)

    def add(self, caller: Caller, upload: Upload, *, settle: Settle[Part] | None = None) -> Part:
        """Add what was written to the upload. `settle` is called last in the transaction.

        Raises ConflictError when the upload has ended, and InvalidRequestError when the part is empty, or one too many
        for the upload by number or bytes.
        """
        if not self._blob.bytes:
            raise InvalidRequestError("data is empty.", param="data")
        self._blob.seal()

        def unit(connection: Connection) -> Part | None:
            if not uploads.hold(connection, upload.id):
                return None
            if uploads.count_parts(connection, upload.id) >= MAX_PARTS:
                raise InvalidRequestError(f"An upload has at most {MAX_PARTS} parts; send larger ones.", param="data")
            blob_id = self._stored_already(connection, upload)
            self._is_shared = blob_id is not None
            if not self._is_shared:
                self._blob.settle(connection)
            part = uploads.insert_part(
                connection,
                public_id=ids.new(ids.PART),
                upload_id=upload.id,
                blob_id=blob_id or self._blob.id,
                size=self._blob.bytes,
            )
            _check_total(connection, upload)
            if settle is not None:
                settle(connection, part)
            return part

        part = self._gateway.database.run(unit)
        if part is None:
            raise _over(retrieve(self._gateway, caller, upload.public_id))
        if self._is_shared:
            self._blob.abort()
        return part

    def _stored_already(self, connection: Connection, upload: Upload) -> int | None:
        """The row id of the bytes of an equal part, with one more reference: equal parts are stored once."""
        blob_id = uploads.equal_part(connection, upload.id, sha256=self._blob.sha256, size=self._blob.bytes)
        return blob_id if blob_id is not None and blobs.acquire(connection, blob_id) else None


@contextmanager
def receiving_part(gateway: Gateway, upload: Upload) -> Iterator[IncomingPart]:
    """A part of `upload` being received; nothing of it is left after an exception."""
    with incoming(gateway, spares_reserve=True) as blob:
        yield IncomingPart(gateway, blob, upload.bytes)


def complete(
    gateway: Gateway,
    caller: Caller,
    upload: Upload,
    *,
    part_ids: Sequence[str],
    md5: str | None = None,
    settle: Settle[Upload] | None = None,
) -> Upload:
    """Join the parts, in the order of `part_ids`, into a file; `md5` is the hex digest they should have.

    `settle` is called last in the transaction. Raises InvalidRequestError naming what does not fit, ConflictError when
    the upload is over, and what creating a file raises.
    """
    parts = _parts(gateway, caller, upload, part_ids)
    digest = hashlib.md5(usedforsecurity=False)

    def end(connection: Connection, file: FileRow) -> None:
        if not uploads.complete(connection, upload.id, file_id=file.id):
            raise _over(upload)
        if settle is not None:
            settle(connection, _completed(upload, file))

    with files.receiving(gateway, upload.filename, purpose=upload.purpose) as incoming_file:
        for data in _joined(gateway, caller, upload, parts):
            incoming_file.write(data)
            if md5 is not None:
                digest.update(data)
        if md5 is not None and digest.hexdigest() != md5.lower():
            raise InvalidRequestError(f"md5 is {digest.hexdigest()} for these parts, not {md5!r}.", param="md5")
        new = files.NewFile(
            provider=upload.home,
            purpose=upload.purpose,
            filename=upload.filename,
            expires_after_s=upload.expires_after_s,
            counted_bytes=upload.bytes,
        )
        return _completed(upload, incoming_file.create(caller, new, settle=end))


def cancel(gateway: Gateway, caller: Caller, upload_id: str, *, provider: str | None = None) -> Upload:
    """End an upload; its parts are deleted. Raises NotFoundError, and ConflictError when it ended otherwise."""
    upload = retrieve(gateway, caller, upload_id, provider=provider)
    if upload.status == "cancelled":
        return upload
    with gateway.database.write() as connection:
        was_open = uploads.cancel(connection, upload.id)
    current = retrieve(gateway, caller, upload_id)
    if not was_open and current.status != "cancelled":
        raise _over(current)
    return current


def expire_due(gateway: Gateway, *, slice_rows: int = SLICE_ROWS) -> int:
    """End pending uploads whose hour is over; returns how many."""

    def expire(upload_id: int) -> bool:
        with gateway.database.write() as connection:
            return uploads.expire(connection, upload_id)

    return each_due(
        gateway, lambda connection, limit: uploads.due(connection, limit=limit), expire, slice_rows=slice_rows
    )


def _completed(upload: Upload, file: FileRow) -> Upload:
    return replace(upload, status="completed", file=file)


def _check_size(gateway: Gateway, new: NewUpload) -> None:
    if new.bytes > gateway.settings.max_file_bytes:
        raise InvalidRequestError(f"bytes must be at most {gateway.settings.max_file_bytes}.", param="bytes")
    file_limits = direct.limits(gateway, new.provider, new.purpose)
    if file_limits is not None and file_limits.bytes is not None and new.bytes > file_limits.bytes:
        raise InvalidRequestError(f"bytes must be at most {file_limits.bytes} at {new.provider}.", param="bytes")


def _check_total(connection: Connection, upload: Upload) -> None:
    # Equal parts count once: SDKs resend a part, without a key, when the response to it was lost.
    total = uploads.distinct_bytes(connection, upload.id)
    if total > upload.bytes:
        text = f"data: with this part there are {total} bytes, but the upload was announced with {upload.bytes}."
        raise InvalidRequestError(text, param="data")


def _parts(gateway: Gateway, caller: Caller, upload: Upload, part_ids: Sequence[str]) -> list[StoredPart]:
    """The parts in the order of `part_ids`. Raises InvalidRequestError unless they make up the whole upload."""
    with gateway.database.read() as connection:
        stored = {part.public_id: part for part in uploads.parts(connection, upload.id)}
    seen: set[str] = set()
    for index, part_id in enumerate(part_ids):
        if part_id in seen:
            raise InvalidRequestError(f"part_ids[{index}]: {part_id!r} is listed twice.", param="part_ids")
        if part_id not in stored:
            current = retrieve(gateway, caller, upload.public_id)
            if current.status != PENDING:
                raise _over(current)  # it ended meanwhile, and its parts were deleted
            text = f"part_ids[{index}]: there is no part {part_id!r:.100} in this upload."
            raise InvalidRequestError(text, param="part_ids")
        seen.add(part_id)
    parts = [stored[part_id] for part_id in part_ids]
    total = sum(part.bytes for part in parts)
    if total != upload.bytes:
        text = f"part_ids: these parts have {total} bytes, but the upload was announced with {upload.bytes}."
        raise InvalidRequestError(text, param="part_ids")
    return parts


def _joined(gateway: Gateway, caller: Caller, upload: Upload, parts: Sequence[StoredPart]) -> Iterator[bytes]:
    try:
        for part in parts:
            # With its length, so that a part that lost bytes fails here and not in the file.
            yield from gateway.blobs.stream(part.key, length=part.bytes)
    except BlobError as error:
        # The parts are gone if the upload was cancelled or has expired; otherwise the store is not available.
        current = retrieve(gateway, caller, upload.public_id)
        if current.status != PENDING:
            raise _over(current) from error
        gateway.log.error("upload.part_not_readable", upload=upload.public_id, reason=str(error))
        raise UnavailableError("The gateway's store is not available; try again.", retry_after_s=5) from error


def _check_mime_type(new: NewUpload) -> None:
    mime_type = new.mime_type.strip().lower()
    if not all(part.strip() for part in mime_type.partition("/")):
        raise InvalidRequestError("mime_type must look like text/jsonl.", param="mime_type")
    if new.purpose in JSONL_PURPOSES and mime_type.startswith(NEVER_JSONL):
        text = f"mime_type must be text/jsonl for purpose {new.purpose}, not {mime_type!r:.60}."
        raise InvalidRequestError(text, param="mime_type")


def _over(upload: Upload) -> ConflictError:
    if upload.status == PENDING:
        return ConflictError(f"The upload {upload.public_id} ended during this request.", param="id")
    return ConflictError(f"The upload {upload.public_id} is {upload.status}; create another one.", param="id")
