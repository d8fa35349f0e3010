"""The results of a batch's lines, in input order: finished ones while it runs, all of them in the end."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.blobs import BlobError
from app.data.batches import lines as batch_lines
from app.data.batches import waits
from app.data.batches.lines import LineAnswer
from app.data.batches.lines import LineStatus as LineStatus  # what callers of this module get
from app.data.batches.waits import LineWaiting as LineWaiting  # what callers of this module get
from app.errors import InvalidRequestError, UnavailableError
from app.services.batches import batches
from app.services.batches.batches import Batch
from app.services.gateway import Caller, Gateway
from app.services.lines import output
from app.services.lines.chunks import ChunkReaders

SLICE_LINES = 1000
BUFFER_BYTES = 256 * 1024
# A document is held in memory: a page of long lines ends early, and `next_cursor` is where the next one begins.
MAX_PAGE_BYTES = 8 * 2**20
NOT_KEPT = "The answer to this request is no longer kept."
NO_REASON = "The provider gave no reason."


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """Output lines; `next_cursor` is the `after` of the next page."""

    batch: Batch
    lines: Sequence[bytes]
    has_more: bool
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class LinesPage:
    """Lines of a batch with their states. `waits` are, by number, those that run for long or wait to be sent again."""

    batch: Batch
    lines: Sequence[LineStatus]
    has_more: bool
    waits: Mapping[int, LineWaiting]


def stream(
    gateway: Gateway,
    caller: Caller,
    public_id: str,
    *,
    provider: str | None = None,
    after: str | None = None,
    limit: int | None = None,
    each: Callable[[bytes], bytes] = bytes,
) -> Iterator[bytes]:
    """JSONL, in buffers; no connection is held between two slices of lines. `each` writes a line in another form.

    Raises NotFoundError, InvalidRequestError (`after`) and UnavailableError before the first buffer.
    """
    batch = batches.retrieve_with_lines(gateway, caller, public_id, provider=provider)
    results = _results(gateway, batch, after=_position(batch, after), limit=limit)
    buffers = buffered((each(data) for _, data in results), BUFFER_BYTES)
    try:
        first = next(buffers, b"")
    except BlobError as error:
        raise UnavailableError("The gateway's blob store is not available; retry later.", retry_after_s=5) from error
    return _continued(gateway, batch, first, buffers)


def page(
    gateway: Gateway,
    caller: Caller,
    public_id: str,
    *,
    limit: int,
    provider: str | None = None,
    after: str | None = None,
) -> ResultsPage:
    """At most `limit` results, fewer when they are long. Raises as `stream` does."""
    batch = batches.retrieve_with_lines(gateway, caller, public_id, provider=provider)
    lines: list[bytes] = []
    size = last = 0
    has_more = False
    try:
        for line, data in _results(gateway, batch, after=_position(batch, after), limit=limit + 1):
            if len(lines) == limit or (lines and size + len(data) > MAX_PAGE_BYTES):
                has_more = True
                break
            lines.append(data)
            size += len(data)
            last = line
    except BlobError as error:
        raise UnavailableError("The gateway's blob store is not available; retry later.", retry_after_s=5) from error
    cursor = output.line_id(batch.public_id, last) if has_more else None
    return ResultsPage(batch, lines, has_more, cursor)


def states(
    gateway: Gateway,
    caller: Caller,
    public_id: str,
    *,
    limit: int,
    provider: str | None = None,
    after: str | None = None,
    state: str | None = None,
) -> LinesPage:
    """The state of each line. Raises NotFoundError, InvalidRequestError (`after`)."""
    batch = batches.retrieve_with_lines(gateway, caller, public_id, provider=provider)
    position = _position(batch, after)
    with gateway.database.read() as connection:
        rows = batch_lines.statuses(connection, batch.id, state=state, after=position, limit=limit + 1)
        noted = {}
        if rows and not batch.has_ended:
            noted = waits.of_lines(connection, batch.id, first=rows[0].line, last=rows[-1].line)
    return LinesPage(batch, rows[:limit], has_more=len(rows) > limit, waits=noted)


def reason(batch: Batch, line: int | None = None) -> Mapping[str, Any] | None:
    """Why a batch failed as a whole, as an entry of its `errors`: the one of this line, else of all of them.

    None of a batch that did not, whose lines have reasons of their own.
    """
    errors = batch.errors or [] if batch.status == "failed" else []
    by_line = {error.get("line"): error for error in reversed(errors)}
    return by_line.get(line) or by_line.get(None) or next(iter(errors), None)


def result_of(readers: ChunkReaders, batch: Batch, row: LineAnswer) -> bytes:
    """The output line of a line that has ended. Raises BlobError."""
    if row.key is not None:
        return readers.read(row).rstrip(b"\r\n") + b"\n"
    code = output.UNEXECUTED_CODES.get(row.state)
    if code is not None:
        return output.unexecuted_line(batch.public_id, row.line, row.custom_id, code)
    failed = reason(batch, row.line)
    error = row.error_code or "provider_error"
    message = NOT_KEPT if failed is None else str(failed["message"] or NO_REASON)
    return output.failed_line(batch.public_id, row.line, row.custom_id, code=error, message=message)


def buffered(lines: Iterator[bytes], buffer_bytes: int) -> Iterator[bytes]:
    """`lines` joined to buffers of at least `buffer_bytes`, except for the last one."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= buffer_bytes:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _position(batch: Batch, after: str | None) -> int:
    if after is None:
        return -1
    line = output.line_number(batch.public_id, after)
    if line is None:
        raise InvalidRequestError(f"after: {after!r} is not the id of a line of this batch.", param="after")
    return line


def _results(gateway: Gateway, batch: Batch, *, after: int, limit: int | None) -> Iterator[tuple[int, bytes]]:
    """(number, output line) of each line that has ended."""
    left = limit
    with ChunkReaders(gateway.blobs) as readers:
        while left is None or left > 0:
            slice_lines = SLICE_LINES if left is None else min(SLICE_LINES, left)
            with gateway.database.read() as connection:
                rows = batch_lines.answers(connection, batch.id, after=after, limit=slice_lines, only_ended=True)
            for row in rows:
                yield row.line, result_of(readers, batch, row)
            if len(rows) < slice_lines:
                return
            after = rows[-1].line
            left = None if left is None else left - len(rows)


def _continued(gateway: Gateway, batch: Batch, first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    try:
        yield from rest
    except BlobError as error:
        # The response has begun: cutting it off is the only way left to tell the client that it is incomplete.
        gateway.log.error("batch_results.cut", batch=batch.public_id, reason=str(error))
        raise
