"""Spools a provider's bytes to local disk, so that its connection never waits for the reader."""

import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import Download
from app.connectors.http.wire import MAX_ANSWER_BYTES
from app.lib import json
from app.lib.jsonl import LineSplitter

T = TypeVar("T")

# An answer as large as that of a line that is sent may get, and what the provider writes around it.
MAX_LINE_BYTES = MAX_ANSWER_BYTES + 2**20
PIECE_BYTES = 256 * 1024


class DamagedError(UpstreamServerError):
    """A file is not what it should be: a line is too long or cut off, or none of them is what was asked for."""


class LongLineError(DamagedError):
    """All that is wrong with a file is a line that is too long: the next look would find the same."""


@contextmanager
def spooled_lines(download: Download, *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Iterator[bytes]]:
    """The non-blank lines of the whole body, without their newlines. The spool file is anonymous and deletes itself.

    Raises what reading the download raises (UpstreamError), before the first line, and DamagedError after the last.
    """
    with tempfile.TemporaryFile() as spool:
        for chunk in download.chunks:
            spool.write(chunk)
        spool.seek(0)
        yield lines_of(iter(lambda: spool.read(PIECE_BYTES), b""), max_line_bytes)


def files(
    read: Callable[[str], AbstractContextManager[Download]], names: Iterable[str | None]
) -> Generator[Iterator[bytes]]:
    """The lines (see `spooled_lines`) of one file after another; `read` opens the file with a name (or id).

    Names that are None are skipped. May raise UpstreamError midway.
    """
    for name in names:
        if name is not None:
            with ExitStack() as spools:
                with read(name) as download:
                    lines = spools.enter_context(spooled_lines(download))
                yield lines


def rows(read: Callable[[str], AbstractContextManager[Download]], names: Iterable[str | None]) -> Iterator[bytes]:
    """The lines of all `files`; what is wrong with a line of one of them is raised at the end of all."""
    return each_row(files(read, names))


def each_row(opened: Iterable[Iterable[T]]) -> Iterator[T]:
    """The rows of all files. Damage to one of them (DamagedError) is raised at the end of all."""
    damage: DamagedError | None = None
    for lines in opened:
        try:
            yield from lines
        except DamagedError as error:
            damage = damage or error
    if damage is not None:
        raise damage


def lines_of(pieces: Iterator[bytes], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """The non-blank lines of a file. Raises DamagedError after the last that can be had."""
    splitter = LineSplitter(max_line_bytes=max_line_bytes)
    too_long = 0
    for piece in pieces:
        for line in splitter.feed(piece):
            if line.data is None:
                too_long = too_long or line.number
            else:
                yield line.data
    for line in splitter.finish():  # the last line, without an end
        if line.data is not None and _is_json(line.data):
            yield line.data
        else:
            raise DamagedError(f"The provider's file is cut off in line {line.number}.", code="bad_answer")
    if too_long:
        text = f"Line {too_long} of the provider's file is longer than {max_line_bytes} bytes."
        raise LongLineError(text, code="bad_answer")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except json.JSONDecodeError:
        return False
    return True
