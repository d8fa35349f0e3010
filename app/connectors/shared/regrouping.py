"""Splits lines of many texts for providers that take one text per record, and reassembles their results."""

import re
import struct
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO

from app.connectors.contract.objects import JobResult, Usage
from app.translate.neutral import EmbeddingAnswer

# Ids that cannot be mistaken for those of pieces; for JobLimits.custom_id.
WHOLE_IDS = r"[^#]*"
MISSING = "missing_result"
# In a job that ended like this, lines without a result count as never run.
UNFINISHED = ("cancelled", "expired")

_PIECE = re.compile(r"(.*)#([0-9]{1,9})/([0-9]{1,9})", re.DOTALL)
_COUNT = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Piece:
    """The result of one record; its answer holds the vectors of the record's texts."""

    custom_id: str
    result: JobResult


@dataclass(slots=True)
class _Line:
    """A line that waits for pieces: which have arrived, and where each is in the file."""

    count: int
    indexes: "array[int]" = field(default_factory=lambda: array("l"))
    places: "array[int]" = field(default_factory=lambda: array("q"))
    usage: Usage = Usage()
    refused: bool = False


def piece_id(wire_id: str, index: int, count: int) -> str:
    """The id of record `index` (from 0) of a line's `count` records; a single record has the line's id."""
    return wire_id if count == 1 else f"{wire_id}#{index}/{count}"


def regrouped(pieces: Iterator[Piece], *, status: str = "completed") -> Iterator[JobResult]:
    """One result per line, as soon as all of its pieces have arrived; results that are not pieces pass through.

    A line fails with the error of its first failed piece. A line that lacks pieces at the end of the job, whose status
    is `status`, ends with an error. Vectors are spooled to disk; each takes about 16 bytes of memory. What reading
    `pieces` raises passes through.
    """
    waiting: dict[tuple[str, int], _Line] = {}
    with tempfile.TemporaryFile() as spool:
        for piece in pieces:
            named = _PIECE.fullmatch(piece.custom_id)
            if named is None or not int(named[2]) < int(named[3]):
                yield replace(piece.result, custom_id=piece.custom_id)
                continue
            wire_id, count = named[1], int(named[3])
            line = waiting.setdefault((wire_id, count), _Line(count))
            whole = _add(line, wire_id, int(named[2]), piece.result, spool)
            if whole is not None:
                yield whole
                if not line.refused:
                    del waiting[wire_id, count]
    for (wire_id, count), line in waiting.items():
        if not line.refused and status not in UNFINISHED:
            text = f"The provider gave results for {len(line.indexes)} of the {count} texts of this line."
            yield JobResult(wire_id, error_code=MISSING, message=text)


def _add(line: _Line, wire_id: str, index: int, result: JobResult, spool: IO[bytes]) -> JobResult | None:
    """Add a piece. Returns the line's result if this piece completes or fails the line."""
    if line.refused:
        return None
    answer = result.answer
    if not isinstance(answer, EmbeddingAnswer):
        line.refused = True
        return replace(result, custom_id=wire_id)
    line.indexes.append(index)
    line.places.append(_write(spool, answer.vectors))
    line.usage = _sum(line.usage, result.usage)
    if len(line.indexes) < line.count:
        return None
    places = dict(zip(line.indexes, line.places, strict=True))
    if len(places) < line.count:  # a piece came twice
        line.indexes, line.places = array("l", places), array("q", places.values())
        return None
    vectors = [vector for number in range(line.count) for vector in _read(spool, places[number])]
    whole = EmbeddingAnswer(vectors, line.usage, answer.model)
    return JobResult(wire_id, 200, result.request_id, usage=line.usage, answer=whole)


def _write(spool: IO[bytes], vectors: list[list[float]]) -> int:
    """Write vectors; returns their offset in the file."""
    place = spool.seek(0, 2)
    spool.write(_COUNT.pack(len(vectors)))
    for vector in vectors:
        spool.write(_COUNT.pack(len(vector)))
        spool.write(array("d", vector).tobytes())
    return place


def _read(spool: IO[bytes], place: int) -> Iterator[list[float]]:
    spool.seek(place)
    for _ in range(_number(spool)):
        yield array("d", spool.read(8 * _number(spool))).tolist()


def _number(spool: IO[bytes]) -> int:
    number: int = _COUNT.unpack(spool.read(_COUNT.size))[0]
    return number


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.input_tokens + other.input_tokens,
        one.cached_tokens + other.cached_tokens,
        one.output_tokens + other.output_tokens,
        one.reasoning_tokens + other.reasoning_tokens,
        one.total_tokens + other.total_tokens,
    )
