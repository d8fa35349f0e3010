"""Lines of many texts: cut into pieces, and put together again in whatever order these come."""

import random
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import JobResult, Usage
from app.connectors.shared.regrouping import Piece, piece_id, regrouped
from app.translate.neutral import EmbeddingAnswer


def vector(name: str, *values: float, tokens: int = 1) -> Piece:
    usage = Usage(input_tokens=tokens, total_tokens=tokens)
    return Piece(name, JobResult(name, 200, usage=usage, answer=EmbeddingAnswer([list(values)], usage)))


def refused(name: str, message: str = "too long") -> Piece:
    return Piece(name, JobResult(name, 400, body=b'{"error":{"message":"%s"}}' % message.encode()))


def vectors(result: JobResult) -> list[list[float]]:
    assert isinstance(result.answer, EmbeddingAnswer)
    return result.answer.vectors


def test_what_is_no_piece_passes_at_once() -> None:
    results = regrouped(iter([vector("a", 0.5), vector("b#c", 1.5), vector("c#2/2", 2.5)]))
    assert [(result.custom_id, vectors(result)) for result in results] == [
        ("a", [[0.5]]),
        ("b#c", [[1.5]]),
        ("c#2/2", [[2.5]]),
    ]


def test_a_line_of_one_text_has_no_pieces() -> None:
    assert piece_id("a", 0, 1) == "a"
    assert [piece_id("a", index, 2) for index in range(2)] == ["a#0/2", "a#1/2"]


def test_ten_thousand_pieces_in_any_order_come_together() -> None:
    pieces = [
        vector(piece_id(f"line\n{line}", index, 20), line + index / 32, -1e-300, tokens=index)
        for line in range(500)
        for index in range(20)
    ]
    random.Random(7).shuffle(pieces)
    results = {result.custom_id: result for result in regrouped(iter(pieces))}
    assert len(results) == 500
    for line in range(500):
        result = results[f"line\n{line}"]
        assert vectors(result) == [[line + index / 32, -1e-300] for index in range(20)]
        assert result.usage == Usage(input_tokens=190, total_tokens=190)
        assert (result.status_code, result.answer and result.answer.usage) == (200, result.usage)


def test_pieces_of_more_than_one_text_keep_their_order() -> None:
    usage = Usage()
    one = Piece("a#1/2", JobResult("a#1/2", 200, answer=EmbeddingAnswer([[3.0], [4.0]], usage)))
    other = Piece("a#0/2", JobResult("a#0/2", 200, answer=EmbeddingAnswer([[1.0], [2.0]], usage)))
    (result,) = regrouped(iter([one, other]))
    assert vectors(result) == [[1.0], [2.0], [3.0], [4.0]]


def test_a_refused_piece_refuses_its_line_once() -> None:
    names = [piece_id("a", index, 4) for index in range(4)]
    pieces = [vector(names[2], 1.0), refused(names[0]), refused(names[1], "late"), vector(names[3], 1.0)]
    (result,) = regrouped(iter([*pieces, vector(names[2], 1.0)]))
    assert (result.custom_id, result.status_code, result.body) == ("a", 400, b'{"error":{"message":"too long"}}')


def test_a_line_that_lacks_a_piece_ends_with_an_error() -> None:
    pieces = [vector(piece_id("a", 0, 2), 1.0), vector(piece_id("b", 0, 2), 1.0), vector(piece_id("b", 1, 2), 2.0)]
    whole, short = regrouped(iter(pieces))
    assert (whole.custom_id, vectors(whole)) == ("b", [[1.0], [2.0]])
    assert (short.custom_id, short.status_code, short.error_code) == ("a", None, "missing_result")
    assert "1 of the 2" in short.message


@pytest.mark.parametrize("status", ["cancelled", "expired"])
def test_a_line_that_lacks_a_piece_of_an_unfinished_job_is_left_to_it(status: str) -> None:
    assert list(regrouped(iter([vector(piece_id("a", 0, 2), 1.0)]), status=status)) == []


def test_a_piece_that_comes_twice_counts_once() -> None:
    pieces = [vector("a#0/2", 1.0), vector("a#0/2", 1.0), vector("a#1/2", 2.0)]
    (result,) = regrouped(iter(pieces))
    assert vectors(result) == [[1.0], [2.0]]


def test_the_file_is_closed_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    make = tempfile.TemporaryFile

    def noted() -> Any:
        opened.append(make())
        return opened[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", noted)

    def breaks() -> Iterator[Piece]:
        yield vector("a#0/2", 1.0)
        yield vector("b", 1.0)
        raise UpstreamServerError("cut short")

    with pytest.raises(UpstreamServerError):
        list(regrouped(breaks()))
    left = regrouped(breaks())
    assert isinstance(left, Iterator)
    next(left)
    left.close()  # type: ignore[attr-defined]
    list(regrouped(iter([vector("a#0/2", 1.0), vector("a#1/2", 1.0)])))
    assert [file.closed for file in opened] == [True, True, True]
