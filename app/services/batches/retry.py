"""Retrying a batch: its unsuccessful lines become a new batch, since terminal states are never left."""

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


def retry(
    gateway: Gateway,
    caller: Caller,
    public_id: str,
    *,
    provider: str | None = None,
    completion_window: str | None = None,
    metadata: dict[str, str] | None = None,
    settle: Settle | None = None,
) -> Batch:
    """A new batch of the failed, expired and cancelled lines, at the same provider; a copy of them is its input.

    Raises NotFoundError, ConflictError (still running, or input deleted), InvalidRequestError (nothing to retry).
    """
    first = batches.retrieve_with_lines(gateway, caller, public_id, provider=provider)
    if not first.has_ended:
        raise ConflictError(f"Batch {public_id} is {first.status}; only a batch that has ended can be retried.")
    new = NewBatch(
        provider=first.provider,
        model=first.model_override,
        endpoint=first.endpoint,
        completion_window=completion_window or first.completion_window,
        metadata=first.metadata if metadata is None else metadata,
        output_expires_after_s=first.output_expires_after_s,
        execution=first.execution,
        retry_of=first.id,
        webhook_endpoint_id=first.webhook_endpoint_id,
    )
    reader = _open_input(gateway, caller, first)
    try:
        with writing(gateway) as source:
            _copy(gateway, first, reader, source)
            if source.lines == 0:
                raise InvalidRequestError(f"Batch {public_id} has no failed, expired or cancelled lines to retry.")
            return create.create(gateway, caller, new, source=source, settle=settle)
    except BlobError as error:
        raise UnavailableError("The gateway's blob store is not available; retry later.", retry_after_s=5) from error
    finally:
        reader.close()


def _open_input(gateway: Gateway, caller: Caller, first: Batch) -> BlobReader:
    with gateway.database.read() as connection:
        stored = inputs.find(connection, project_id=caller.project_id, given=first.input_file)
    text = f"The input file {first.input_file} of batch {first.public_id} is deleted; nothing can be retried."
    if stored is None or stored.key is None:
        raise ConflictError(text)
    try:
        return gateway.blobs.open_read(stored.key)
    except BlobMissingError as error:
        raise ConflictError(text) from error


def _copy(gateway: Gateway, first: Batch, reader: BlobReader, source: InlineInput) -> None:
    after = -1
    while True:
        with gateway.database.read() as connection:
            lines = batch_lines.unsuccessful(connection, first.id, after=after, limit=SLICE_LINES)
        for line in lines:
            data = reader.read(line.request_offset, line.request_bytes)
            if len(data) != line.request_bytes:
                raise BlobError(f"the input of batch {first.public_id} ends before line {line.line}")
            source.copy(data)
        if len(lines) < SLICE_LINES:
            return
        after = lines[-1].line
