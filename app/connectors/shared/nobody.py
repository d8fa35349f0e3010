"""Rows of results that name no line: nobody's, but no reason to keep the other lines from their results."""

from collections.abc import Iterator
from typing import Any

from app.connectors.contract.objects import JobResult
from app.connectors.shared import parsing
from app.connectors.shared.translated import BAD_ANSWER

NOBODY = ""  # no line has this id: the harvest logs such a result and goes on


def owner(*values: Any) -> str:
    """The id of the line that a row is for: the first text in `values`, NOBODY when there is none."""
    return next((value for value in values if isinstance(value, str) and value), NOBODY)


def unread() -> JobResult:
    """The result of a row without an owner, whatever else it holds."""
    return JobResult(NOBODY, error_code=BAD_ANSWER, message="The provider's row names no line.")


def owned(results: Iterator[JobResult]) -> Iterator[JobResult]:
    """`results` as they are. Raises UpstreamServerError at the end when there are rows, and none names a line."""
    seen, named = False, False
    for result in results:
        seen, named = True, named or result.custom_id != NOBODY
        yield result
    if seen and not named:
        raise parsing.bad_answer("no row of the results names a line")
