"""The lines of a batch that came to nothing, once more, as a new batch (terminal states are never left)."""

from app.blobs import BlobError, BlobMissingError, BlobReader
from app.data.batches import batches as rows
from app.data.batches import lines as batch_lines
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, UnavailableError
from app.services.batches import batches
from app.services.batches.batch_object import TERMINAL
from app.services.batches.batches import NewBatch, Settle
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
) -> AnyRow:
    """A new batch of the failed, expired and cancelled lines, at the same provider; a copy of them is its input.

    Raises NotFoundError, ConflictError (not over, or its input is deleted), InvalidRequestError (nothing to retry).
    """
    first = batches.retrieve_with_lines(gateway, caller, public_id, provider=provider)
    if first.status not in TERMINAL:
        raise ConflictError(f"Batch {public_id} is {first.status}; only a batch that is over can be retried.")
    wanted = NewBatch(
        provider=first.provider,
        model=first.model_override,
        endpoint=first.endpoint,
        completion_window=completion_window or first.completion_window,
        metadata=first.metadata if metadata is None else metadata,
        output_expires_after_s=first.output_expires_after_s,
        execution=first.execution,
        retry_of=first.id,
    )
    reader = _open_input(gateway, caller, first)
    try:
        with writing(gateway) as source:
            _copy(gateway, first, reader, source)
            if source.lines == 0:
                raise InvalidRequestError(f"Batch {public_id} has no failed, expired or cancelled lines to retry.")
            return batches.create(gateway, caller, wanted, source=source, settle=settle)
    except BlobError as error:
        raise UnavailableError("The gateway's store is not available; try again.", retry_after_s=5) from error
    finally:
        reader.close()


def _open_input(gateway: Gateway, caller: Caller, first: AnyRow) -> BlobReader:
    with gateway.database.read() as connection:
        file = rows.find_input(connection, project_id=caller.project_id, public_id=first.input_file)
    gone = ConflictError(
        f"The input file {first.input_file} of batch {first.public_id} is deleted; nothing can be retried."
    )
    if file is None or file.key is None:
        raise gone
    try:
        return gateway.blobs.open_read(file.key)
    except BlobMissingError as error:
        raise gone from error


def _copy(gateway: Gateway, first: AnyRow, reader: BlobReader, source: InlineInput) -> None:
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
