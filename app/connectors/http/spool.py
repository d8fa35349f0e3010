"""Spools a provider's bytes to local disk, so that its connection never waits for the reader."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import Download
from app.lib import jsonl

MAX_LINE_BYTES = 128 * 2**20
PIECE_BYTES = 256 * 1024


@contextmanager
def spooled_lines(download: Download, *, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Iterator[bytes]]:
    """The non-blank lines of the whole body, without their newlines. The spool file is anonymous and deletes itself.

    Raises what reading the download raises (UpstreamError), before the first line.
    """
    with tempfile.TemporaryFile() as spool:
        for chunk in download.chunks:
            spool.write(chunk)
        spool.seek(0)
        yield _lines(iter(lambda: spool.read(PIECE_BYTES), b""), max_line_bytes)


def rows(read: Callable[[str], AbstractContextManager[Download]], names: Iterable[str | None]) -> Iterator[bytes]:
    """The lines (see `spooled_lines`) of one file after another; `read` opens the file with a name (or id).

    Names that are None are skipped. May raise UpstreamError midway.
    """
    for name in names:
        if name is not None:
            with ExitStack() as spools:
                with read(name) as download:
                    lines = spools.enter_context(spooled_lines(download))
                yield from lines


def _lines(pieces: Iterator[bytes], max_line_bytes: int) -> Iterator[bytes]:
    for line in jsonl.lines(pieces, max_line_bytes=max_line_bytes):
        if line.data is None:
            text = f"A line of the provider's file is longer than {max_line_bytes} bytes."
            raise UpstreamServerError(text, code="bad_answer")
        yield line.data
