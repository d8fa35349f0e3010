"""Downloads that go to disk before their lines are read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import Download
from app.connectors.http.spool import spooled_lines


def download(*pieces: bytes) -> Download:
    return Download(length=None, content_type="", chunks=iter(pieces))


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b'{"a":1}\n{"b":2}\n'], [b'{"a":1}', b'{"b":2}']),
        ([b'{"a":1}\r\n\r\n  \n{"b":2}'], [b'{"a":1}', b'{"b":2}']),
        ([b'\xef\xbb\xbf{"a":1}\n'], [b'{"a":1}']),
        ([b'{"a"', b":1}", b"\n", b'{"b":2}'], [b'{"a":1}', b'{"b":2}']),
        ([b"a\xe2\x80\xa8b\x0bc\n"], [b"a\xe2\x80\xa8b\x0bc"]),
        ([], []),
        ([b"\n\n"], []),
    ],
)
def test_lines_are_whole_however_they_came_in(pieces, lines):
    with spooled_lines(download(*pieces)) as read:
        assert list(read) == lines


def test_the_whole_body_is_here_before_the_first_line():
    taken = []

    def pieces() -> Iterator[bytes]:
        for number in range(3):
            taken.append(number)
            yield b"%d\n" % number

    with spooled_lines(Download(None, "", pieces())) as read:
        assert taken == [0, 1, 2]
        assert next(read) == b"0"


def test_a_body_that_is_cut_gives_no_line():
    def pieces() -> Iterator[bytes]:
        yield b'{"a":1}\n'
        raise UpstreamServerError("The answer was cut short.")

    with pytest.raises(UpstreamServerError, match="cut short"), spooled_lines(Download(None, "", pieces())):
        pytest.fail("a part of a file is no file")


def test_a_line_that_is_too_long_is_an_error_and_those_before_it_are_not():
    with spooled_lines(download(b"a" * 10 + b"\n" + b"b" * 11 + b"\n"), max_line_bytes=10) as read:
        assert next(read) == b"a" * 10
        with pytest.raises(UpstreamServerError, match="longer than 10 bytes"):
            next(read)


def test_the_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with spooled_lines(download(b"a\n" * 100_000)) as read:
        next(read)
        assert os.listdir(tmp_path) == []
