"""Retrying a batch: its unsuccessful lines, or all of them, become a new one, since terminal states are never left."""

from dataclasses import dataclass, replace

from app.blobs import BlobError, BlobMissingError, BlobReader
from app.data.batches import inputs
from app.data.batches import lines as batch_lines
from app.errors import ConflictError, InvalidRequestError, UnavailableError
from app.services.batches import batches, create
from app.services.batches.batches import Batch
from app.services.batches.create import NewBatch, Settle
from app.services.batches.inline_input import InlineInput, writing
from app.services.gateway import Caller, Gateway

SLICE_LINES = 1000


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new batch has other than the first one. Instants are Unix milliseconds."""

    provider: str | None = None
    model: str | None = None
    execution: str | None = None
    completion_window: str | None = None
    metadata: dict[str, str] | None = None
    priority: int | None = None
    concurrency: int | None = None
    finish_by: int | None = None
    not_before: int | str | None = None


SAME = Changes()


def retry(
    gateway: Gateway,
    caller: Caller,
    public_id: str,
    *,
    provider: str | None = None,
    error_code: str | None = None,
    changes: Changes = SAME,
    settle: Settle | None = None,
) -> Batch:
    """A new batch of the failed, expired and cancelled lines, perhaps for another model or at another provider.

    With `error_code`, only of those that failed with it. A copy of the lines is the input; `provider` must be that of
    the first batch. Raises NotFoundError, ConflictError
    (still running, or input deleted), InvalidRequestError (nothing to retry), and what `create` raises.
    """
    first = batches.retrieve_with_lines(gateway, caller, public_id, provider=provider)
    if not first.has_ended:
        raise ConflictError(f"Batch {public_id} is {first.status}; only a batch that has ended can be retried.")
    new = replace(_like(first, changes), retry_of=first.id)
    reader = _open_input(gateway, caller, first, act="retried")
    try:
        with writing(gateway) as source:
            _copy(gateway, first, reader, source, error_code)
            if source.lines == 0:
                with_code = "" if error_code is None else f" with the code {error_code:.100}"
                text = f"Batch {public_id} has no failed, expired or cancelled lines{with_code} to retry."
                raise InvalidRequestError(text, param=None if error_code is None else "error_code")
            return create.create(gateway, caller, new, source=source, settle=settle)
    except BlobError as error:
        raise UnavailableError("The gateway's blob store is not available; retry later.", retry_after_s=5) from error
    finally:
        reader.close()


def clone(
    gateway: Gateway,
    caller: Caller,
    public_id: str,
    *,
    provider: str | None = None,
    changes: Changes = SAME,
    settle: Settle | None = None,
) -> Batch:
    """A new batch of all lines, on the same input. Raises NotFoundError, ConflictError (input deleted), and what
    `create` raises.
    """
    first = batches.retrieve(gateway, caller, public_id, provider=provider)
    _open_input(gateway, caller, first, act="cloned").close()
    return create.create(gateway, caller, _like(first, changes), source=first.input_file, settle=settle)


def _like(first: Batch, changes: Changes) -> NewBatch:
    """A batch as `first`. How that ran and its window are the provider's, so at another one they are chosen anew."""
    stays = changes.provider in (None, first.provider)
    return NewBatch(
        provider=changes.provider or first.provider,
        model=changes.model or first.model_override,
        endpoint=first.endpoint,
        completion_window=changes.completion_window or (first.completion_window if stays else None),
        metadata=first.metadata if changes.metadata is None else changes.metadata,
        output_expires_after_s=first.output_expires_after_s,
        execution=changes.execution or (first.execution if stays else None),
        priority=first.priority if changes.priority is None else changes.priority,
        concurrency=first.concurrency if changes.concurrency is None else changes.concurrency,
        finish_by=changes.finish_by,
        not_before=changes.not_before,
        webhook_endpoint_id=first.webhook_endpoint_id,
    )


def _open_input(gateway: Gateway, caller: Caller, first: Batch, *, act: str) -> BlobReader:
    with gateway.database.read() as connection:
        stored = inputs.find(connection, project_id=caller.project_id, given=first.input_file)
    text = f"The input file {first.input_file} of batch {first.public_id} is deleted; nothing can be {act}."
    if stored is None or stored.key is None:
        raise ConflictError(text)
    try:
        return gateway.blobs.open_read(stored.key)
    except BlobMissingError as error:
        raise ConflictError(text) from error


def _copy(gateway: Gateway, first: Batch, reader: BlobReader, source: InlineInput, code: str | None) -> None:
    after = -1
    while True:
        with gateway.database.read() as connection:
            lines = batch_lines.unsuccessful(connection, first.id, after=after, limit=SLICE_LINES, code=code)
        for line in lines:
            data = reader.read(line.request_offset, line.request_bytes)
            if len(data) != line.request_bytes:
                raise BlobError(f"the input of batch {first.public_id} ends before line {line.line}")
            source.copy(data)
        if len(lines) < SLICE_LINES:
            return
        after = lines[-1].line
