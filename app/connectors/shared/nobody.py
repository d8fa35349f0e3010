"""Rows of results that name no line: nobody's, but no reason to keep the other lines from their results."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any, TypeVar

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import JobResult
from app.connectors.http.spool import DamagedError, LongLineError, each_row
from app.connectors.shared import parsing
from app.connectors.shared.translated import BAD_ANSWER

NOBODY = ""  # no line has this id: the harvest logs such a result and goes on
# A row is in memory several times until its result is written: as it came, as parsed values, and as a result. Larger
# ones are read one at a time, in all threads of a process.
LARGE_BYTES = 4 * 2**20
UNNAMED = "The provider's row names no line."

T = TypeVar("T")
_one_large = threading.Lock()


def owner(*values: Any) -> str:
    """The id of the line that a row is for: the first text in `values`, NOBODY when there is none."""
    return next((value for value in values if isinstance(value, str) and value), NOBODY)


def unread(why: str = UNNAMED) -> JobResult:
    """The result of a row without an owner, whatever else it holds."""
    return JobResult(NOBODY, error_code=BAD_ANSWER, message=why)


def readable(files: Iterable[Iterable[T]], read: Callable[[T, int], JobResult]) -> Iterator[JobResult]:
    """The result of each row of each file, by `read(row, number)`; a row that makes no sense costs only itself.

    A file of which no row names a line is no file of results, as is one that is cut off: raises DamagedError for it,
    after the rows of all files. What else reading them raises passes through. A row that is too long costs only itself,
    too, and a large one is held until the next row is asked for.
    """
    return each_row(owned(_each(rows, read)) for rows in files)


def filled(rows: Iterable[T]) -> Iterator[T]:
    """`rows`, of which there must be some: raises DamagedError."""
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise DamagedError("The provider's file of results is empty, although lines succeeded.", code=BAD_ANSWER)


def _each(rows: Iterable[T], read: Callable[[T, int], JobResult]) -> Iterator[JobResult]:
    try:
        for number, row in enumerate(rows, start=1):
            is_large = isinstance(row, bytes) and len(row) > LARGE_BYTES
            with _one_large if is_large else nullcontext():
                yield read_or_not(row, number, read)
    except LongLineError as error:
        yield unread(error.message)


def read_or_not(row: T, number: int, read: Callable[[T, int], JobResult]) -> JobResult:
    """The result of a row, nobody's if it makes no sense."""
    try:
        return read(row, number)
    except UpstreamServerError as error:
        if error.code != BAD_ANSWER:
            raise
        return unread(error.message)


def owned(results: Iterable[JobResult]) -> Iterator[JobResult]:
    """The results in a file as they are. Raises DamagedError at the end when there are some, and none names a line."""
    first: JobResult | None = None
    named = False
    for result in results:
        first, named = first or result, named or result.custom_id != NOBODY
        yield result
    if first is not None and not named:
        text = first.message if first.error_code == BAD_ANSWER and first.message != UNNAMED else ""
        raise DamagedError(text or parsing.bad_answer("no row of the results names a line").message, code=BAD_ANSWER)
