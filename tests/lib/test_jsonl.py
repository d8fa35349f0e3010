"""Lines of JSONL: where each lies, however the stream is cut into pieces."""

import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.lib import jsonl

BOM = b"\xef\xbb\xbf"
MAX = 12

# Pieces that make trouble: line ends of every kind, blanks, byte order marks, text around the limit.
_PIECES = st.sampled_from([b"\n", b"\r\n", b"\r", b" ", b"\t", BOM, b"{}", b"a", b"x" * MAX, b"y" * (MAX + 1), b"\xff"])
_STREAMS = st.lists(_PIECES, max_size=30).map(b"".join)
# Lines as long as those of most files, which are split in another way, with some of the trouble.
LONG = 40
_USUAL = st.sampled_from([b"{%s}" % (b"x" * 30), b"{%s}" % (b"y" * (LONG - 2))])
_RARE = st.sampled_from([b"", b" ", b"\t\v", b"\r", b"{}", b"{}\r", BOM, b"z" * (LONG + 1), b" " * (LONG + 1)])
_LONG_STREAMS = st.lists(st.one_of(_USUAL, _USUAL, _USUAL, _RARE), max_size=20).map(b"\n".join)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def read(data: bytes, *, size: int = 65536, most: int = MAX) -> list[jsonl.Line]:
    return list(jsonl.lines(cut(data, size), max_line_bytes=most))


def expected(data: bytes, *, most: int = MAX) -> list[tuple[int, int, int, bytes | None]]:
    """What the lines are, said in the simplest way."""
    found = []
    start = 0
    for number, raw in enumerate(data.split(b"\n"), 1):
        offset, content = start, raw
        start += len(raw) + 1
        if number == 1 and content.startswith(BOM):
            offset, content = offset + len(BOM), content[len(BOM) :]
        content = content.removesuffix(b"\r")
        if content.strip():
            found.append((number, offset, len(content), content if len(content) <= most else None))
    return found


@given(_STREAMS, st.integers(1, 40))
@example(BOM + b"x" * MAX + b"\r\n{}", 5)
@example(b"y" * (MAX + 1) + b"\r\n{}", 3)
@example(b" " * (MAX * 3) + b"\n{}", 3)
@example(b"x" * MAX + b"\r\r\r\r\n{}", 3)
def test_lines_do_not_depend_on_how_the_stream_is_cut(data: bytes, size: int) -> None:
    lines = read(data, size=size)
    assert [(line.number, line.offset, line.length, line.data) for line in lines] == expected(data)


@given(_LONG_STREAMS, st.sampled_from([1, 7, 100, 300, 1000]))
def test_usual_lines_do_not_depend_on_it_either(data: bytes, size: int) -> None:
    assert [tuple(line) for line in read(data, size=size, most=LONG)] == expected(data, most=LONG)


@given(_LONG_STREAMS, st.sampled_from([100, 1000]), st.integers(0, 20))
def test_usual_lines_are_limited_as_others_are(data: bytes, size: int, most: int) -> None:
    numbers = [line[0] for line in expected(data)]
    found, is_over = [], False
    try:
        for line in jsonl.lines(cut(data, size), max_line_bytes=LONG, max_lines=most):
            found.append(line.number)
    except jsonl.TooManyLinesError:
        is_over = True
    assert is_over == (data.count(b"\n") > most or any(number > most for number in numbers))
    assert found == [number for number in numbers if number <= most][: len(found)]
    assert is_over or found == numbers


@given(_LONG_STREAMS, st.sampled_from([7, 100, 1000]), st.integers(0, 20))
def test_a_stream_can_begin_after_any_line(data: bytes, size: int, after: int) -> None:
    lines = read(data, most=LONG)
    done = lines[after : after + 1]
    for line in done:  # what is left of it, its line end, is a blank line
        offset = line.offset + line.length
        splitter = jsonl.LineSplitter(max_line_bytes=LONG, lines=line.number - 1, offset=offset)
        found = [each for piece in cut(data[offset:], size) for each in splitter.feed(piece)]
        assert [*found, *splitter.finish()] == lines[after + 1 :]


@given(_STREAMS, st.integers(1, 40), st.integers(0, 12))
@example(b"\n\n\n{}", 2, 3)
@example(b"{}\n \n\t", 40, 2)
def test_the_limit_counts_every_line_however_the_stream_is_cut(data: bytes, size: int, most: int) -> None:
    found = []
    is_over = False
    try:
        for line in jsonl.lines(cut(data, size), max_line_bytes=MAX, max_lines=most):
            found.append(line.number)
    except jsonl.TooManyLinesError:
        is_over = True
    numbers = [line[0] for line in expected(data)]
    # A last line that is blank and has no line end is nothing at all.
    complete = data.count(b"\n")
    assert is_over == (complete > most or any(number > most for number in numbers))
    assert found == [number for number in numbers if number <= most][: len(found)]
    assert is_over or found == numbers


@pytest.mark.parametrize("blanks", [b"\n", b" \n", b"\r\n", b"\t\r\n\n", b" " * 1000])
def test_blank_lines_take_no_step_each(blanks: bytes) -> None:
    steps = 0

    def count(_frame: object, event: str, _argument: object) -> object:
        nonlocal steps
        steps += event == "line"
        return count

    data = b"{}\n" + blanks * 20_000 + b"\n{}"
    before = sys.gettrace()
    sys.settrace(count)
    try:
        found = read(data)
    finally:
        sys.settrace(before)
    assert [line.offset for line in found] == [0, len(data) - 2]
    assert steps < 1000 + len(data) // 100


@given(_STREAMS, st.integers(1, 40))
def test_a_line_lies_where_it_says(data: bytes, size: int) -> None:
    for line in read(data, size=size):
        content = data[line.offset : line.offset + line.length]
        assert b"\n" not in content and not content.endswith(b"\r\n")
        assert line.data is None or line.data == content


def test_blank_lines_count_but_are_left_out() -> None:
    assert [(line.number, line.offset) for line in read(b"{}\n\n \r\n{}")] == [(1, 0), (4, 7)]


def test_a_mark_of_byte_order_is_no_part_of_the_first_line() -> None:
    (line,) = read(BOM + b"{}\r\n")
    assert (line.number, line.offset, line.length, line.data) == (1, 3, 2, b"{}")


def test_the_last_line_needs_no_newline() -> None:
    assert [line.data for line in read(b"1\n2")] == [b"1", b"2"]


def test_a_line_over_the_limit_is_not_held() -> None:
    splitter = jsonl.LineSplitter(max_line_bytes=1000)
    for _ in range(1000):
        assert list(splitter.feed(b"x" * 1000)) == []
        assert splitter.held_bytes <= 1100
    (line,) = splitter.feed(b"\n")
    assert (line.length, line.data) == (1_000_000, None)


def test_nothing_gives_nothing() -> None:
    assert read(b"") == read(BOM) == read(b"\n") == []
