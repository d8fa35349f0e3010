"""The index of an upload: what it says about the lines, and where it stops."""

import pytest

from app.services.lines.index import MAX_INVALID, LineIndex
from tests.support.batches import chat_line, jsonl


def indexed(*pieces: bytes, max_lines: int = 1000) -> LineIndex:
    index = LineIndex(max_lines=max_lines)
    for piece in pieces:
        index.write(piece)
    index.finish()
    return index


def test_valid_lines_are_counted_and_nothing_is_said() -> None:
    index = indexed(jsonl([chat_line("a")]), b"\n\n", jsonl([chat_line("b")])[:-1])
    assert (index.lines, index.details) == (2, None)


def test_the_first_findings_are_shown_and_the_others_counted() -> None:
    index = indexed(b"x\n" * 10)
    assert index.lines == 10
    assert index.details is not None
    assert index.details.startswith("line 1: ") and index.details.endswith("(+7 more)")


@pytest.mark.parametrize("pieces", [(b"\n" * 11,), (b"\n" * 6, b"\n" * 6), (b"\r\n" * 10, b"{}"), (b"{}\n" * 11,)])
def test_it_stops_at_the_limit_of_lines_blank_ones_included(pieces: tuple[bytes, ...]) -> None:
    index = indexed(*pieces, max_lines=10)
    assert index.details is not None
    assert index.details.startswith("The file has more than 10 lines, blank ones included.")


def test_what_is_within_the_limit_is_not_stopped() -> None:
    assert indexed(b"\n" * 10, max_lines=10).details is None


def test_after_so_many_invalid_lines_the_others_are_only_counted() -> None:
    index = indexed(b"x\n" * (MAX_INVALID + 500), max_lines=10_000)
    assert index.lines == MAX_INVALID + 500
    assert index.details is not None and index.details.endswith(f"(at least {MAX_INVALID - 3} more)")
