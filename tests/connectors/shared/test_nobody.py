"""Rows of results that make no sense: they are nobody's, and cost only themselves."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.connectors.contract.errors import OverloadedError, UpstreamServerError
from app.connectors.contract.objects import JobResult
from app.connectors.http.spool import DamagedError, LongLineError
from app.connectors.shared import parsing
from app.connectors.shared.nobody import LARGE_BYTES, NOBODY, filled, readable


def read(row: object, number: int) -> JobResult:
    fields = parsing.fields(row, f"row {number}")
    return JobResult(parsing.required(fields, "id"), 200)


@pytest.mark.parametrize("bad", [None, 7, [], "x", {}, {"id": 7}, b"{"])
def test_a_row_that_makes_no_sense_costs_only_itself(bad: object) -> None:
    found = list(readable([[{"id": "a"}, bad, {"id": "b"}]], read))
    assert [result.custom_id for result in found] == ["a", NOBODY, "b"]
    assert (found[1].error_code, "makes no sense" in found[1].message) == ("bad_answer", True)


def test_rows_of_which_none_makes_sense_are_a_bad_answer_in_the_end() -> None:
    results = readable([[1, 2]], read)
    assert [next(results).custom_id, next(results).custom_id] == [NOBODY, NOBODY]
    with pytest.raises(UpstreamServerError, match="row 1 is not an object"):
        next(results)
    assert list(readable([[]], read)) == []


@pytest.mark.parametrize("bad", [[[]], [{}], ["<html>", "</html>"], [JobResult(NOBODY, 200)]])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_file_without_a_line_is_damaged_and_costs_only_itself(bad: list[object], place: int) -> None:
    files: list[list[object]] = [[{"id": "a"}, {"id": "b"}], [{"id": "c"}, 7]]
    files.insert(place, bad)
    found: list[JobResult] = []
    with pytest.raises(DamagedError):
        found.extend(readable(files, lambda row, number: row if isinstance(row, JobResult) else read(row, number)))
    assert [result.custom_id for result in found if result.custom_id] == ["a", "b", "c"]


def test_a_file_that_must_have_rows_has_some() -> None:
    assert list(filled(iter([1]))) == [1]
    with pytest.raises(DamagedError, match="empty, although lines succeeded"):
        list(filled([]))


def test_what_is_wrong_with_reading_is_no_fault_of_a_row() -> None:
    def away(row: object, number: int) -> JobResult:
        raise OverloadedError("busy") if number == 1 else UpstreamServerError("broken", code="server_error")

    for rows in ([1], [1, 2][1:]):
        with pytest.raises((OverloadedError, UpstreamServerError)):
            list(readable([rows], away))


def test_a_row_that_is_too_long_costs_only_itself() -> None:
    def rows(*, is_cut: bool) -> Iterator[dict[str, str]]:
        yield {"id": "a"}
        raise DamagedError("cut", code="bad_answer") if is_cut else LongLineError("too long", code="bad_answer")

    found = list(readable([rows(is_cut=False), [{"id": "b"}]], read))
    assert [(result.custom_id, result.message) for result in found] == [("a", ""), (NOBODY, "too long"), ("b", "")]
    with pytest.raises(DamagedError):  # the next look may find all of it
        list(readable([rows(is_cut=True)], read))


def test_large_rows_are_read_one_at_a_time() -> None:
    large, is_here, is_read = b"x" * (LARGE_BYTES + 1), threading.Event(), threading.Event()

    def others() -> Iterator[bytes]:
        is_here.set()
        yield large

    def note(_row: bytes, _number: int) -> JobResult:
        is_read.set()
        return JobResult("b", 200)

    first = readable([[large, b"small"]], lambda row, number: JobResult(str(number), 200))
    assert next(first).custom_id == "1"
    with ThreadPoolExecutor() as pool:
        other = pool.submit(lambda: list(readable([others()], note)))
        assert is_here.wait(60)
        assert not is_read.wait(0.05)
        assert next(first).custom_id == "2"  # what has been read is written
        assert [result.custom_id for result in other.result(60)] == ["b"]
    # Nor does a reader that gave up hold up others.
    given_up = readable([[large]], lambda row, number: JobResult("c", 200))
    assert next(given_up).custom_id == "c"
    del given_up
    assert len(list(readable([[large]], note))) == 1
