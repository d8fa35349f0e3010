"""Rows of results that make no sense: they are nobody's, and cost only themselves."""

import pytest

from app.connectors.contract.errors import OverloadedError, UpstreamServerError
from app.connectors.contract.objects import JobResult
from app.connectors.shared import parsing
from app.connectors.shared.nobody import NOBODY, readable


def read(row: object, number: int) -> JobResult:
    fields = parsing.fields(row, f"row {number}")
    return JobResult(parsing.required(fields, "id"), 200)


@pytest.mark.parametrize("bad", [None, 7, [], "x", {}, {"id": 7}, b"{"])
def test_a_row_that_makes_no_sense_costs_only_itself(bad: object) -> None:
    found = list(readable([{"id": "a"}, bad, {"id": "b"}], read))
    assert [result.custom_id for result in found] == ["a", NOBODY, "b"]
    assert (found[1].error_code, "makes no sense" in found[1].message) == ("bad_answer", True)


def test_rows_of_which_none_makes_sense_are_a_bad_answer_in_the_end() -> None:
    results = readable([1, 2], read)
    assert [next(results).custom_id, next(results).custom_id] == [NOBODY, NOBODY]
    with pytest.raises(UpstreamServerError, match="row 1 is not an object"):
        next(results)
    assert list(readable([], read)) == []


def test_what_is_wrong_with_reading_is_no_fault_of_a_row() -> None:
    def away(row: object, number: int) -> JobResult:
        raise OverloadedError("busy") if number == 1 else UpstreamServerError("broken", code="server_error")

    for rows in ([1], [1, 2][1:]):
        with pytest.raises((OverloadedError, UpstreamServerError)):
            list(readable(rows, away))
