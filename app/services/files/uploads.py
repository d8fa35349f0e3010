"""Uploads in parts: parts come in any order, and completing joins them into one file."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from app.blobs import BlobError
from app.data.files import uploads
from app.data.files.files import FileRow
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, NotFoundError, PayloadTooLargeError, UnavailableError
from app.lib import ids
from app.services.access import permissions
from app.services.blobs import IncomingBlob, incoming
from app.services.copies import direct
from app.services.each_due import SLICE_ROWS, each_due
from app.services.files import files
from app.services.gateway import Caller, Gateway
from app.services.limits import limits

LIFETIME_MS = 3600 * 1000
PART_BYTES = 64 * 2**20
MAX_PARTS = 10_000
PENDING = "pending"
# What can only be a mistake beside a purpose that needs JSONL; whatever else clients call JSONL passes.
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


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as it is at this moment. Instants are Unix milliseconds; `row_id` never leaves the gateway."""

    row_id: int
    id: str
    provider: str
    purpose: str
    filename: str
    bytes: int
    status: str
    expires_after_s: int | None
    created_at: int
    expires_at: int
    file: FileRow | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload. `created_at` is Unix milliseconds."""

    id: str
    upload: Upload
    created_at: int


def create(
    gateway: Gateway, caller: Caller, wanted: NewUpload, *, settle: Callable[[Connection, Upload], None] | None = None
) -> Upload:
    """An upload that waits an hour for its parts. Raises InvalidRequestError on what the file could not be."""
    filename = files.checked_name(wanted.filename, param="filename")
    files.check_format(wanted.purpose, filename, param="filename")
    _check_mime_type(wanted)
    permissions.check_use(caller, provider=wanted.provider)
    if wanted.bytes > gateway.settings.max_file_bytes:
        raise InvalidRequestError(f"bytes must be at most {gateway.settings.max_file_bytes}.", param="bytes")
    most = direct.limits(gateway, wanted.provider, wanted.purpose)
    if most is not None and most.bytes is not None and wanted.bytes > most.bytes:
        raise InvalidRequestError(f"bytes must be at most {most.bytes} at {wanted.provider}.", param="bytes")
    limits.check_upload(gateway, caller, size=wanted.bytes)

    def unit(connection: Connection) -> Upload:
        row = uploads.insert_upload(
            connection,
            lifetime_ms=LIFETIME_MS,
            public_id=ids.new(ids.UPLOAD),
            project_id=caller.project_id,
            key_id=caller.key_id,
            home=wanted.provider,
            purpose=wanted.purpose,
            filename=filename,
            mime_type=wanted.mime_type,
            bytes=wanted.bytes,
            expires_after_s=wanted.expires_after_s,
        )
        made = _upload(row, status=row.state)
        if settle is not None:
            settle(connection, made)
        return made

    return gateway.database.run(unit)


def retrieve(gateway: Gateway, caller: Caller, upload_id: str, *, provider: str | None = None) -> Upload:
    """An upload of the caller's project. Raises NotFoundError, also when it is not `provider`'s."""
    row = None
    if len(upload_id) <= ids.MAX_LENGTH and upload_id.isascii() and upload_id.isprintable():
        with gateway.database.read() as connection:
            row = uploads.find(connection, project_id=caller.project_id, public_id=upload_id)
    if row is None or provider not in (None, row.home):
        raise NotFoundError(f"No such Upload object: {upload_id:.100}", param="id")
    return _upload(row, status="expired" if row.state == PENDING and row.is_due else row.state)


def retrieve_pending(gateway: Gateway, caller: Caller, upload_id: str, *, provider: str | None = None) -> Upload:
    """As `retrieve`. Raises ConflictError when the upload is over."""
    upload = retrieve(gateway, caller, upload_id, provider=provider)
    if upload.status != PENDING:
        raise _over(upload)
    return upload


class IncomingPart:
    """A part on its way in: a sink for its bytes, then `add`."""

    def __init__(self, gateway: Gateway, blob: IncomingBlob, announced_bytes: int) -> None:
        self._gateway = gateway
        self._blob = blob
        self._announced_bytes = announced_bytes

    @property
    def sha256(self) -> str | None:
        """Of what has been written so far."""
        return self._blob.sha256

    def write(self, data: bytes) -> None:
        """The next bytes. Raises PayloadTooLargeError, InvalidRequestError and what the store raises."""
        size = self._blob.bytes + len(data)
        if size > PART_BYTES:
            raise PayloadTooLargeError(f"data: a part has at most {PART_BYTES} bytes.", param="data")
        if size > self._announced_bytes:
            text = f"data: this part alone has more than the {self._announced_bytes} bytes that the upload announced."
            raise InvalidRequestError(text, param="data")
        self._blob.write(data)

    def add(self, caller: Caller, upload: Upload, *, settle: Callable[[Connection, Part], None] | None = None) -> Part:
        """Make a part of what was written. Raises ConflictError when the upload ended meanwhile.

        Raises InvalidRequestError when it is empty, or one too many for the upload by number or bytes.
        """
        if not self._blob.bytes:
            raise InvalidRequestError("data is empty.", param="data")
        self._blob.seal()

        def unit(connection: Connection) -> Part | None:
            if not uploads.hold(connection, upload.row_id):
                return None
            if uploads.count_parts(connection, upload.row_id) >= MAX_PARTS:
                raise InvalidRequestError(f"An upload has at most {MAX_PARTS} parts; send larger ones.", param="data")
            self._blob.settle(connection)
            row = uploads.insert_part(
                connection,
                public_id=ids.new(ids.PART),
                upload_id=upload.row_id,
                blob_id=self._blob.id,
                size=self._blob.bytes,
            )
            _check_total(connection, upload)
            part = Part(id=row.public_id, upload=upload, created_at=row.created_at)
            if settle is not None:
                settle(connection, part)
            return part

        part = self._gateway.database.run(unit)
        if part is None:
            raise _over(retrieve(self._gateway, caller, upload.id))
        return part


@contextmanager
def receiving_part(gateway: Gateway, upload: Upload) -> Iterator[IncomingPart]:
    """A part of `upload` on its way in; nothing of it stays after an exception."""
    with incoming(gateway) as blob:
        yield IncomingPart(gateway, blob, upload.bytes)


def complete(
    gateway: Gateway,
    caller: Caller,
    upload: Upload,
    *,
    part_ids: Sequence[str],
    md5: str | None = None,
    settle: Callable[[Connection, Upload], None] | None = None,
) -> Upload:
    """Join the parts, in the order of `part_ids`, into a file; `md5` is the hex digest they should have.

    Raises InvalidRequestError naming what does not fit, ConflictError when the upload is over.
    """
    places = _places(gateway, caller, upload, part_ids)
    digest = hashlib.md5(usedforsecurity=False) if md5 is not None else None
    done: list[Upload] = []

    def end(connection: Connection, file: FileRow) -> None:
        if not uploads.complete(connection, upload.row_id, file_id=file.id):
            raise _over(upload)
        done.append(replace(upload, status="completed", file=file))
        if settle is not None:
            settle(connection, done[-1])

    with files.receiving(gateway, upload.filename) as file:
        for data in _joined(gateway, caller, upload, places):
            file.write(data)
            if digest is not None:
                digest.update(data)
        if digest is not None and md5 is not None and digest.hexdigest() != md5.lower():
            raise InvalidRequestError(f"md5 is {digest.hexdigest()} for these parts, not {md5!r}.", param="md5")
        said = files.Upload(
            provider=upload.provider,
            purpose=upload.purpose,
            filename=upload.filename,
            expires_after_s=upload.expires_after_s,
        )
        file.create(caller, said, settle=end)
    return done[-1]


def cancel(gateway: Gateway, caller: Caller, upload_id: str, *, provider: str | None = None) -> Upload:
    """End an upload; its parts are deleted. Raises NotFoundError, and ConflictError when it is over otherwise."""
    upload = retrieve(gateway, caller, upload_id, provider=provider)
    if upload.status == "cancelled":
        return upload
    with gateway.database.write() as connection:
        cancelled = uploads.cancel(connection, upload.row_id)
    found = retrieve(gateway, caller, upload_id)
    if not cancelled and found.status != "cancelled":
        raise _over(found)
    return found


def expire_due(gateway: Gateway, *, slice_rows: int = SLICE_ROWS) -> int:
    """End pending uploads whose hour is over; returns how many."""

    def expire(row_id: int) -> bool:
        with gateway.database.write() as connection:
            return uploads.expire(connection, row_id)

    return each_due(
        gateway, lambda connection, limit: uploads.due(connection, limit=limit), expire, slice_rows=slice_rows
    )


def _check_total(connection: Connection, upload: Upload) -> None:
    # Equal parts count once: SDKs send a part again, without a key, when its answer was lost on the way.
    total = uploads.distinct_bytes(connection, upload.row_id)
    if total > upload.bytes:
        text = f"data: with this part there are {total} bytes, but the upload was announced with {upload.bytes}."
        raise InvalidRequestError(text, param="data")


def _places(gateway: Gateway, caller: Caller, upload: Upload, part_ids: Sequence[str]) -> list[AnyRow]:
    """The parts in the order asked for. Raises InvalidRequestError unless they make up the upload."""
    with gateway.database.read() as connection:
        have = {row.public_id: row for row in uploads.parts(connection, upload.row_id)}
    seen: set[str] = set()
    for index, part_id in enumerate(part_ids):
        if part_id in seen:
            raise InvalidRequestError(f"part_ids[{index}]: {part_id!r} is listed twice.", param="part_ids")
        if part_id not in have:
            found_now = retrieve(gateway, caller, upload.id)
            if found_now.status != PENDING:
                raise _over(found_now)  # it ended since, and took its parts along
            text = f"part_ids[{index}]: there is no part {part_id!r:.100} in this upload."
            raise InvalidRequestError(text, param="part_ids")
        seen.add(part_id)
    found = [have[part_id] for part_id in part_ids]
    total = sum(row.bytes for row in found)
    if total != upload.bytes:
        text = f"part_ids: these parts have {total} bytes, but the upload was announced with {upload.bytes}."
        raise InvalidRequestError(text, param="part_ids")
    return found


def _joined(gateway: Gateway, caller: Caller, upload: Upload, places: Sequence[AnyRow]) -> Iterator[bytes]:
    try:
        for place in places:
            # With its length, so that a part that lost bytes fails here and not in the file.
            yield from gateway.blobs.stream(place.key, length=place.bytes)
    except BlobError as error:
        # Cancelled or expired meanwhile, the parts may be gone; otherwise the store is away.
        found = retrieve(gateway, caller, upload.id)
        if found.status != PENDING:
            raise _over(found) from error
        gateway.log.error("upload.part_not_readable", upload=upload.id, error=str(error))
        raise UnavailableError("The gateway's store is not available; try again.", retry_after_s=5) from error


def _check_mime_type(wanted: NewUpload) -> None:
    kind = wanted.mime_type.strip().lower()
    if not all(part.strip() for part in kind.partition("/")):
        raise InvalidRequestError("mime_type must look like text/jsonl.", param="mime_type")
    if wanted.purpose in JSONL_PURPOSES and kind.startswith(NEVER_JSONL):
        text = f"mime_type must be text/jsonl for purpose {wanted.purpose}, not {kind!r:.60}."
        raise InvalidRequestError(text, param="mime_type")


def _over(upload: Upload) -> ConflictError:
    if upload.status == PENDING:
        return ConflictError(f"The upload {upload.id} ended while this request ran.", param="id")
    return ConflictError(f"The upload {upload.id} is {upload.status}; create another one.", param="id")


def _upload(row: Any, *, status: str) -> Upload:
    return Upload(
        row_id=row.id,
        id=row.public_id,
        provider=row.home,
        purpose=row.purpose,
        filename=row.filename,
        bytes=row.bytes,
        status=status,
        expires_after_s=row.expires_after_s,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
