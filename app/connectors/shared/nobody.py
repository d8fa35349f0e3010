"""Rows of results that name no line: nobody's, but no reason to keep the other lines from their results."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import JobResult
from app.connectors.shared import parsing
from app.connectors.shared.translated import BAD_ANSWER

NOBODY = ""  # no line has this id: the harvest logs such a result and goes on
UNNAMED = "The provider's row names no line."

T = TypeVar("T")


def owner(*values: Any) -> str:
    """The id of the line that a row is for: the first text in `values`, NOBODY when there is none."""
    return next((value for value in values if isinstance(value, str) and value), NOBODY)


def unread(why: str = UNNAMED) -> JobResult:
    """The result of a row without an owner, whatever else it holds."""
    return JobResult(NOBODY, error_code=BAD_ANSWER, message=why)


def readable(rows: Iterable[T], read: Callable[[T, int], JobResult]) -> Iterator[JobResult]:
    """The result of each row, by `read(row, number)`; a row that makes no sense is nobody's, and costs only itself.

    What reading `rows` raises passes through. Raises as `owned`.
    """
    return owned(_each(rows, read))


def _each(rows: Iterable[T], read: Callable[[T, int], JobResult]) -> Iterator[JobResult]:
    for number, row in enumerate(rows, start=1):
        yield read_or_not(row, number, read)


def read_or_not(row: T, number: int, read: Callable[[T, int], JobResult]) -> JobResult:
    """The result of a row, nobody's if it makes no sense."""
    try:
        return read(row, number)
    except UpstreamServerError as error:
        if error.code != BAD_ANSWER:
            raise
        return unread(error.message)


def owned(results: Iterator[JobResult]) -> Iterator[JobResult]:
    """`results` as they are. Raises UpstreamServerError at the end when there are rows, and none names a line."""
    first, named = "", False
    for result in results:
        first, named = first or result.message, named or result.custom_id != NOBODY
        yield result
    if first and not named:
        if first != UNNAMED:
            raise UpstreamServerError(first, code=BAD_ANSWER)
        raise parsing.bad_answer("no row of the results names a line")
