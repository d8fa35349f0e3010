"""Lines cut into jobs: where one job ends, what a job must have at least, and which lines are in none."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from app.connectors.contract.abilities import Abilities, JobLimits
from app.connectors.contract.objects import EncodedLine, JobLine
from app.lib import json, jsonl
from app.services.jobs.cut import Added, JobCutter
from app.services.lines.rules import Finding, LineFacts
from app.translate.errors import TranslationError

CHAT = "/v1/chat/completions"


class Writer:
    """A connector that writes a line as `records` of ten bytes; one of no records is refused."""

    def encode_line(self, line: JobLine) -> EncodedLine:
        records = line.body["records"]
        if not records:
            raise TranslationError("records", "there are none.", code="no_records")
        return EncodedLine(b"x" * 10 * records, records, dropped=("seed",) if "seed" in line.body else ())


def cutter(*, runs: bool = False, **limits: Any) -> JobCutter:
    jobs = JobLimits(endpoints=frozenset({CHAT}), dialect="odd", **limits)
    able = Abilities(lines=frozenset({CHAT}) if runs else frozenset(), jobs=jobs)
    account = SimpleNamespace(
        id=1, provider="odd", abilities=able, models={}, connector=Writer(), native_model=lambda model: model
    )
    return JobCutter(account, CHAT, None)  # type: ignore[arg-type]


def a_line(number: int, custom_id: str, **body: Any) -> tuple[jsonl.Line, LineFacts]:
    full = {"model": "m", **body}
    data = json.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": full})
    return jsonl.Line(number, 0, len(data), data), LineFacts(custom_id, CHAT, "m", full)


def fed(cut: JobCutter, records: Iterable[int], *, every: int = 1) -> JobCutter:
    """`cut` with a line for each of `records`; `every` leaves gaps between the numbers of lines, as blank ones do."""
    for position, count in enumerate(records, 1):
        number = position * every
        added = cut.add(*a_line(number, f"c{number}", records=count))
        assert isinstance(added, Added)
        assert added.held_back == (None if count else "no_records")
    return cut


def shape(cut: JobCutter) -> list[tuple[int, int, int, int]]:
    return [(part.first_line, part.last_line, part.lines, part.records) for part in cut.cuts]


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (3, [(1, 3, 3, 3)]),
        (5, [(1, 5, 5, 5)]),
        (6, [(1, 3, 3, 3), (4, 6, 3, 3)]),
        (7, [(1, 4, 4, 4), (5, 7, 3, 3)]),
        (8, [(1, 5, 5, 5), (6, 8, 3, 3)]),
        (10, [(1, 5, 5, 5), (6, 10, 5, 5)]),
        (11, [(1, 5, 5, 5), (6, 8, 3, 3), (9, 11, 3, 3)]),
    ],
)
def test_the_last_job_gets_from_the_one_before_what_it_lacks(lines: int, parts: Any) -> None:
    cut = fed(cutter(min_lines=3, lines=5), [1] * lines)
    assert cut.finish() is None
    assert shape(cut) == parts


@pytest.mark.parametrize("lines", [1, 2])
def test_too_few_lines_are_told_with_both_numbers(lines: int) -> None:
    short = fed(cutter(min_lines=3, lines=5), [1] * lines).finish()
    assert short == Finding(
        "too_few_requests", f"odd takes jobs of at least 3 lines; this batch has {lines} for it.", None, None
    )


def test_where_the_gateway_could_run_them_that_is_told() -> None:
    short = fed(cutter(min_lines=3, runs=True), [1]).finish()
    assert short is not None
    assert short.message.endswith('Send more lines, or execution "gateway".')


def test_lines_that_are_never_sent_do_not_count() -> None:
    assert fed(cutter(min_lines=3), [1, 0, 1, 0, 0]).finish() is not None
    assert fed(cutter(min_lines=3), [1, 0, 1, 0, 1]).finish() is None
    nothing = fed(cutter(min_lines=3), [0, 0])
    assert (nothing.finish(), shape(nothing)) == (None, [(1, 2, 2, 0)])


def test_lines_that_are_never_sent_go_where_the_one_before_them_goes() -> None:
    cut = fed(cutter(min_lines=3, lines=5), [1, 1, 1, 0, 1, 0, 0, 1, 0, 1])
    assert cut.finish() is None
    assert shape(cut) == [(1, 4, 4, 3), (5, 10, 6, 3)]
    many = fed(cutter(min_lines=3, lines=5), [*[1, 0, 0, 0, 0, 0] * 5, 1])
    assert many.finish() is None
    assert shape(many) == [(1, 18, 18, 3), (19, 31, 13, 3)]


def test_records_count_and_not_lines() -> None:
    cut = fed(cutter(min_lines=4, lines=8), [2, 2, 2, 2, 1])
    assert cut.finish() is None
    assert shape(cut) == [(1, 2, 2, 4), (3, 5, 3, 5)]
    assert fed(cutter(min_lines=4, lines=8), [2, 2]).finish() is None


def test_gaps_between_lines_belong_to_somebody() -> None:
    cut = fed(cutter(min_lines=3, lines=5), [1] * 6, every=3)
    assert cut.finish() is None
    assert [(first, lines) for first, _, lines, _ in shape(cut)] == [(3, 3), (12, 3)]
    assert 9 <= cut.cuts[0].last_line < 12


def test_a_job_is_not_made_larger_than_it_may_be() -> None:
    cut = fed(cutter(min_lines=3, bytes=40), [1, 1, 2, 2])
    short = cut.finish()
    assert short is not None
    assert "too large to share a job" in short.message


def test_little_is_remembered_of_many_lines() -> None:
    cut = fed(cutter(min_lines=3, lines=10_000), [1, 0, 2] * 1000)
    assert len(cut.cuts[0].tail) <= 5


def test_what_a_dialect_leaves_out_is_told_of_the_line() -> None:
    line = a_line(1, "ä", records=1, seed=1)
    assert cutter(custom_id="[a-z]+").add(*line) == Added("bg-1", dropped=("seed",))


def test_a_line_that_its_dialect_nests_too_deep_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_deep(_: Writer, line: JobLine) -> EncodedLine:
        nested: Any = line.body
        for _ in range(json.MAX_WRITE_DEPTH):
            nested = [nested]
        return EncodedLine(json.dumps(nested))

    monkeypatch.setattr(Writer, "encode_line", too_deep)
    found = cutter().add(*a_line(7, "a", records=1))
    assert isinstance(found, Finding)
    assert (found.line, found.code) == (7, "invalid_request")
