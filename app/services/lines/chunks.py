"""Answers where they were first written down: chunk blobs, the latest few of them open."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Self

from app.blobs import BlobError, BlobReader
from app.engine.outcomes import Result
from app.services.gateway import Gateway

OPEN_READERS = 32
PIECE_BYTES = 256 * 1024


class ChunkReaders:
    """Reads answers by the place that their lines have in SQL; closes what it opened at the end of its block."""

    def __init__(self, gateway: Gateway) -> None:
        self._store = gateway.blobs
        self._open: OrderedDict[str, BlobReader] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def read(self, key: str, offset: int, length: int) -> bytes:
        """One answer, whole. Raises BlobError when it is not there."""
        return b"".join(self.pieces(key, offset, length))

    def pieces(self, key: str, offset: int, length: int) -> Iterator[bytes]:
        """One answer in pieces of at most PIECE_BYTES. Raises BlobError when it is not there."""
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
        if len(self._open) >= OPEN_READERS:
            self._open.popitem(last=False)[1].close()
        reader = self._open[key] = self._store.open_read(key)
        return reader


def result_row(batch_id: int, result: Result, chunk: int, place: int) -> dict[str, Any]:
    """What `data.segments.write_results` takes of a result that lies at `place` of a chunk."""
    return {
        "the_batch": batch_id,
        "the_line": result.line.number,
        "state": "completed" if result.succeeded else "failed",
        "attempts": result.line.attempts,
        "unknown_attempts": result.line.unknown_attempts,
        "status_code": result.status_code,
        "error_code": result.error_code,
        "latency_ms": result.latency_ms,
        "input_tokens": result.tokens.input,
        "output_tokens": result.tokens.output,
        "told_dropped": ",".join(result.dropped) or None,
        "chunk_id": chunk,
        "response_offset": place,
        "response_bytes": len(result.data),
    }


def counts(results: Sequence[Result]) -> dict[str, int]:
    """What results add to the counters of their batch."""
    done = [result for result in results if result.succeeded]
    return {
        "lines_completed": len(done),
        "lines_failed": len(results) - len(done),
        "input_tokens": sum(result.tokens.input for result in done),
        "cached_tokens": sum(result.tokens.cached for result in done),
        "output_tokens": sum(result.tokens.output for result in done),
        "reasoning_tokens": sum(result.tokens.reasoning for result in done),
        "total_tokens": sum(result.tokens.total for result in done),
    }
