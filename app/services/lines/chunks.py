"""Chunks: immutable blobs that hold the answers of some lines. Written once, read by the place that SQL keeps."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from sqlalchemy import Connection

from app.blobs import BlobError, BlobReader, BlobStore
from app.data.batches import lines, segments
from app.data.batches.lines import LineAnswer, LineResult
from app.engine.outcomes import GATEWAY_ERROR, Result, Tokens
from app.engine.work import NotWrittenError
from app.lib import failpoints
from app.lib.metrics import declared
from app.services import store_errors
from app.services.blobs import IncomingBlob, incoming
from app.services.gateway import Gateway
from app.services.leases import LeaseLostError, require
from app.services.lines import fields, send
from app.services.money import charge
from app.services.money.charge import Charged

MAX_OPEN_READERS = 32
PIECE_BYTES = 256 * 1024
# So many results whose lines cannot be ended in any way: then it is not the results, and the others may wait as well.
MAX_UNWRITABLE = 3
MAX_LOGGED = 500

Counts = dict[str, int]
Then = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class ChunkOwner:
    """Under which lease results are written, and whose counters they add to.

    `batch` is the batch's public id. `hold` renews the lease, and is False when it is lost; `count` adds to live
    counters, by the names of their columns. `failpoints` is the prefix of the fail points: `<prefix>.after_bytes`,
    `.before_commit` and `.after_commit`. `execution` is the batch's.
    """

    batch_id: int
    batch: str
    segment_id: int
    epoch: int
    hold: Callable[[Connection], bool]
    count: Callable[[Connection, Counts], None]
    failpoints: str
    execution: str = "gateway"


def write(gateway: Gateway, owner: ChunkOwner, results: Sequence[Result], *, then: Then | None = None) -> None:
    """Write results: the bytes first, then rows, counters and charges in one transaction.

    `then` writes what else belongs into the transaction, last. When the store refuses that for good, the results are
    written one by one, and one that is refused again ends its line as `gateway_error`: it is paid for and not sent
    again, and the others are kept. Raises LeaseLostError, and what an outage raises; nothing is left behind then.
    Raises NotWrittenError when only some results were written.
    """
    try:
        _write_all(gateway, owner, results, then)
    except LeaseLostError:
        raise
    except _EndedAlreadyError:
        write(gateway, owner, _not_ended(gateway, owner, results), then=then)
    except Exception as error:
        if store_errors.passes(error):
            raise
        gateway.log.error(
            "chunk.refused", batch=owner.batch, lines=len(results), reason=store_errors.reason(error)[:MAX_LOGGED]
        )
        _write_each(gateway, owner, results, then)


class _EndedAlreadyError(Exception):
    """Some of the lines have a result: the answer to an earlier commit was lost, though the commit was not."""


def _not_ended(gateway: Gateway, owner: ChunkOwner, results: Sequence[Result]) -> list[Result]:
    numbers = [result.line.number for result in results]
    with gateway.database.read() as connection:
        rows = lines.by_number(connection, owner.batch_id, numbers, first=min(numbers), last=max(numbers))
    pending = {row.line for row in rows if row.state == "pending"}
    gateway.log.warning("chunk.written_already", batch=owner.batch, lines=len(results) - len(pending))
    return [result for result in results if result.line.number in pending]


def _write_all(gateway: Gateway, owner: ChunkOwner, results: Sequence[Result], then: Then | None) -> None:
    if not results:
        _write_rest(gateway, owner, then)
        return
    with incoming(gateway, hashed=False) as blob:
        places = []
        for result in results:
            places.append(blob.bytes)
            blob.write(result.data)
        blob.seal()
        failpoints.hit(f"{owner.failpoints}.after_bytes")
        with gateway.database.write() as connection:
            require(owner.hold(connection))
            _insert(connection, owner, blob, results, places)
            owner.count(connection, counts(results))
            charged = charge.charge(connection, gateway, owner.batch_id, results)
            if then is not None:
                then(connection)
            failpoints.hit(f"{owner.failpoints}.before_commit")
    failpoints.hit(f"{owner.failpoints}.after_commit")
    _note(gateway, owner, results, charged)


def _note(gateway: Gateway, owner: ChunkOwner, results: Sequence[Result], charged: Charged | None) -> None:
    """Count for metrics what has been committed."""
    metrics = gateway.metrics
    if not metrics.is_on:
        return
    completed = sum(result.succeeded for result in results)
    for outcome, lines_ended in (("completed", completed), ("failed", len(results) - completed)):
        if lines_ended:
            metrics.count(declared.LINES, owner.execution, outcome, by=lines_ended)
    for result in results:
        if result.refused_param is not None:
            metrics.count(declared.REFUSED_FIELDS, fields.shown(result.refused_param))
    if charged is not None:
        charge.note(gateway, charged)


def counts(results: Sequence[Result]) -> Counts:
    """What results add to live counters. Tokens are those of successful lines."""
    completed = [result for result in results if result.succeeded]
    return {
        "lines_completed": len(completed),
        "lines_failed": len(results) - len(completed),
        "input_tokens": sum(result.tokens.input for result in completed),
        "cached_tokens": sum(result.tokens.cached for result in completed),
        "output_tokens": sum(result.tokens.output for result in completed),
        "reasoning_tokens": sum(result.tokens.reasoning for result in completed),
        "total_tokens": sum(result.tokens.total for result in completed),
    }


def _write_each(gateway: Gateway, owner: ChunkOwner, results: Sequence[Result], then: Then | None) -> None:
    unwritten: list[Result] = []
    for number, result in enumerate(results):
        try:
            _write_or_end(gateway, owner, result)
        except LeaseLostError:
            raise
        except Exception as error:
            unwritten.append(result)
            if store_errors.passes(error) or len(unwritten) >= MAX_UNWRITABLE:
                raise NotWrittenError([*unwritten, *results[number + 1 :]]) from error
            gateway.log.exception("line.not_ended", batch=owner.batch, line=result.line.number)
    if unwritten:
        raise NotWrittenError(unwritten)
    _write_rest(gateway, owner, then)


def _write_rest(gateway: Gateway, owner: ChunkOwner, then: Then | None) -> None:
    """What belongs into the transaction of the results, when they are written without it or there are none."""
    if then is not None:
        with gateway.database.write() as connection:
            require(owner.hold(connection))
            then(connection)
            failpoints.hit(f"{owner.failpoints}.before_commit")


def _write_or_end(gateway: Gateway, owner: ChunkOwner, result: Result) -> None:
    try:
        _write_all(gateway, owner, [result], None)
    except LeaseLostError:
        raise
    except Exception as error:
        if store_errors.passes(error):
            raise
        gateway.log.exception("line.refused", batch=owner.batch, line=result.line.number)
        _write_all(gateway, owner, [_refused(owner, result, error)], None)


def _refused(owner: ChunkOwner, result: Result, error: Exception) -> Result:
    """The end of a line whose own result cannot be stored. What its answer cost stays unknown."""
    line = result.line
    if line.attempts:
        line = replace(line, unknown_attempts=line.unknown_attempts + 1)
    text = f"The result of this line could not be stored ({type(error).__name__}); the gateway's log has the details."
    return replace(send.refused(owner.batch, line, code=GATEWAY_ERROR, message=text), tokens=Tokens())


class ChunkReaders:
    """Reads answers from chunks, the most recent of which it keeps open until the end of its block."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._open: OrderedDict[str, BlobReader] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def read(self, answer: LineAnswer) -> bytes:
        """One whole answer. Raises BlobError when its chunk is missing or too short."""
        return b"".join(self.pieces(answer))

    def pieces(self, answer: LineAnswer) -> Iterator[bytes]:
        """One answer in pieces of at most PIECE_BYTES. Raises BlobError when its chunk is missing or too short."""
        key, offset, length = answer.key, answer.response_offset, answer.response_bytes
        if key is None or offset is None or length is None:
            raise BlobError(f"line {answer.line} has no answer in a chunk")
        reader = self._reader(key)
        end = offset + length
        while offset < end:
            data = reader.read(offset, min(PIECE_BYTES, end - offset))
            if not data:
                raise BlobError(f"blob {key} ends before {end}")
            yield data
            offset += len(data)

    def _reader(self, key: str) -> BlobReader:
        reader = self._open.get(key)
        if reader is not None:
            self._open.move_to_end(key)
            return reader
        if len(self._open) >= MAX_OPEN_READERS:
            self._open.popitem(last=False)[1].close()
        reader = self._open[key] = self._store.open_read(key)
        return reader


def _insert(
    connection: Connection, owner: ChunkOwner, blob: IncomingBlob, results: Sequence[Result], places: Sequence[int]
) -> None:
    blob.settle(connection)
    chunk_id = segments.insert_chunk(
        connection,
        batch_id=owner.batch_id,
        segment_id=owner.segment_id,
        epoch=owner.epoch,
        blob_id=blob.id,
        lines=len(results),
        size=blob.bytes,
    )
    placed = zip(results, places, strict=True)
    rows = [_line_result(result, chunk_id, place) for result, place in placed]
    if lines.write_results(connection, owner.batch_id, rows) < len(rows):
        raise _EndedAlreadyError


def _line_result(result: Result, chunk_id: int, place: int) -> LineResult:
    return LineResult(
        line=result.line.number,
        state="completed" if result.succeeded else "failed",
        attempts=result.line.attempts,
        unknown_attempts=result.line.unknown_attempts,
        status_code=result.status_code,
        error_code=result.error_code,
        latency_ms=result.latency_ms,
        input_tokens=result.tokens.input,
        output_tokens=result.tokens.output,
        result_dropped=",".join(result.dropped) or None,
        chunk_id=chunk_id,
        response_offset=place,
        response_bytes=len(result.data),
    )
