"""Indexing a batch input while it is uploaded: how many lines it has, and which are invalid."""

from app.lib.jsonl import Line, LineSplitter, TooManyLinesError
from app.services.lines import rules
from app.services.lines.rules import Finding

# A line is held in memory while it is parsed during the upload: longer ones are checked when a batch is planned.
MAX_PARSED_BYTES = 1024 * 1024
MAX_SHOWN_FINDINGS = 3
# A file with so many invalid lines is no batch input; the others are only counted.
MAX_INVALID = 1000


class LineIndex:
    """Takes the bytes of a file as they arrive (`write`, then `finish`); `lines` and `details` are complete then.

    It stops at `max_lines` lines, blank ones included: a batch on such a file fails.
    """

    def __init__(self, *, max_lines: int) -> None:
        self._splitter = LineSplitter(max_line_bytes=MAX_PARSED_BYTES, max_lines=max_lines)
        self._max_lines = max_lines
        self._shown: list[Finding] = []
        self._invalid = 0
        self._is_over = False
        self.lines = 0

    def write(self, data: bytes) -> None:
        """Index the next bytes of the file."""
        if self._is_over:
            return
        try:
            for line in self._splitter.feed(data):
                self._check(line)
        except TooManyLinesError:
            self._is_over = True

    def finish(self) -> None:
        """Index the last line."""
        if self._is_over:
            return
        try:
            for line in self._splitter.finish():
                self._check(line)
        except TooManyLinesError:
            self._is_over = True

    @property
    def details(self) -> str | None:
        """The first findings as one text for people; None when every line is valid."""
        texts = [f"line {finding.line}: {finding.message}" for finding in self._shown]
        if self._is_over:
            texts.insert(0, rules.too_many_lines(self._max_lines).message)
        if not texts:
            return None
        more = self._invalid - len(self._shown)
        count = f"at least {more}" if self._is_over or self._invalid >= MAX_INVALID else f"+{more}"
        return " ".join(texts) + (f" ({count} more)" if more else "")

    def _check(self, line: Line) -> None:
        self.lines += 1
        if line.data is None or self._invalid >= MAX_INVALID:
            return
        checked = rules.read(line.data, number=line.number, max_line_bytes=MAX_PARSED_BYTES)
        if isinstance(checked, Finding):
            self._invalid += 1
            if len(self._shown) < MAX_SHOWN_FINDINGS:
                self._shown.append(checked)
