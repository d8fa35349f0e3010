"""Answers are read in the order of the lines: small chunks once, as a whole; others where the answer lies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.blobs import BlobError
from app.blobs.local import LocalBlobs
from app.data.batches.lines import LineEnd
from app.data.batches.segments import Chunk
from app.services.lines.answers import KEPT_BYTES, Answers

SMALL, LARGE = b"0123456789" * 10, b"x" * KEPT_BYTES + b"the end"


class CountingBlobs(LocalBlobs):
    """A store that notes which blobs are read as a whole."""

    whole: list[str]

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.whole.append(key)
        return super().stream(key, offset=offset, length=length)


@pytest.fixture
def blobs(tmp_path: Path) -> CountingBlobs:
    store = CountingBlobs(tmp_path)
    store.whole = []
    for key, data in (("small", SMALL), ("large", LARGE)):
        writer = store.open_write(key)
        writer.write(data)
        writer.commit()
    return store


CHUNKS = {1: Chunk("small", len(SMALL)), 2: Chunk("large", len(LARGE))}


def end(chunk: int | None, offset: int, size: int) -> LineEnd:
    return LineEnd(7, "c7", "completed", chunk, offset, size)


def test_a_small_chunk_is_read_once_and_of_a_large_one_what_is_needed(blobs: CountingBlobs) -> None:
    with Answers(blobs) as answers:
        for _ in range(3):
            answers.expect(CHUNKS)
            assert b"".join(answers.pieces(end(1, 95, 5))) == b"56789"
            assert b"".join(answers.pieces(end(1, 0, 2))) == b"01"
            assert b"".join(answers.pieces(end(2, KEPT_BYTES, 7))) == b"the end"
    assert blobs.whole == ["small"]


def test_what_no_next_line_is_in_is_not_kept(blobs: CountingBlobs) -> None:
    with Answers(blobs) as answers:
        answers.expect({1: CHUNKS[1]})
        answers.expect({2: CHUNKS[2]})
        answers.expect({1: CHUNKS[1]})
    assert blobs.whole == ["small", "small"]


@pytest.mark.parametrize("line", [end(1, 95, 6), end(2, KEPT_BYTES, 8), end(3, 0, 1), end(None, 0, 1)])
def test_an_answer_that_is_not_there_is_an_error(blobs: CountingBlobs, line: LineEnd) -> None:
    with Answers(blobs) as answers:
        answers.expect(CHUNKS)
        with pytest.raises(BlobError):
            b"".join(answers.pieces(line))


def test_a_chunk_that_is_gone_is_an_error(blobs: CountingBlobs) -> None:
    blobs.delete("small")
    with Answers(blobs) as answers, pytest.raises(BlobError):
        answers.expect(CHUNKS)
