"""Chunks: immutable blobs that hold the answers of some lines. Written once, read by the place that SQL keeps."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection

from app.blobs import BlobError, BlobReader, BlobStore
from app.data.batches import lines, segments
from app.data.batches.lines import LineAnswer, LineResult
from app.engine.outcomes import Result
from app.lib import failpoints
from app.services.blobs import IncomingBlob, incoming
from app.services.gateway import Gateway
from app.services.leases import require
from app.services.money import charge

MAX_OPEN_READERS = 32
PIECE_BYTES = 256 * 1024

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class ChunkOwner:
    """Under which lease results are written, and whose counters they add to.

    `hold` renews the lease, and is False when it is lost; `count` adds to live counters, by the names of their columns.
    `failpoints` is the prefix of the fail points: `<prefix>.after_bytes`, `.before_commit` and `.after_commit`.
    """

    batch_id: int
    segment_id: int
    epoch: int
    hold: Callable[[Connection], bool]
    count: Callable[[Connection, Counts], None]
    failpoints: str


def write(
    gateway: Gateway, owner: ChunkOwner, results: Sequence[Result], *, then: Callable[[Connection], None] | None = None
) -> None:
    """Write results, all or nothing: the bytes first, then rows, counters and charges in one transaction.

    `then` writes what else belongs into the transaction, last. Raises LeaseLostError, and what the blob store raises;
    nothing is left behind then.
    """
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
            charge.charge(connection, gateway, owner.batch_id, results)
            if then is not None:
                then(connection)
            failpoints.hit(f"{owner.failpoints}.before_commit")
    failpoints.hit(f"{owner.failpoints}.after_commit")


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
    lines.write_results(connection, owner.batch_id, [_line_result(result, chunk_id, place) for result, place in placed])


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
