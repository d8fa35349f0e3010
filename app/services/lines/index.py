"""Indexing a batch input while it is uploaded: how many lines it has, and which are invalid."""

from app.lib.jsonl import Line, LineSplitter
from app.services.lines import rules
from app.services.lines.rules import Finding

# A line is held in memory while it is parsed during the upload: longer ones are checked when a batch is planned.
MAX_PARSED_BYTES = 1024 * 1024
MAX_SHOWN_FINDINGS = 3


class LineIndex:
    """Takes the bytes of a file as they arrive (`write`, then `finish`); `lines` and `details` are complete then."""

    def __init__(self) -> None:
        self._splitter = LineSplitter(max_line_bytes=MAX_PARSED_BYTES)
        self._shown: list[Finding] = []
        self.lines = 0
        self.invalid = 0

    def write(self, data: bytes) -> None:
        """Index the next bytes of the file."""
        for line in self._splitter.feed(data):
            self._check(line)

    def finish(self) -> None:
        """Index the last line."""
        for line in self._splitter.finish():
            self._check(line)

    @property
    def details(self) -> str | None:
        """The first findings as one text for people; None when every line is valid."""
        if not self.invalid:
            return None
        text = " ".join(f"line {finding.line}: {finding.message}" for finding in self._shown)
        more = self.invalid - len(self._shown)
        return text + (f" (+{more} more)" if more else "")

    def _check(self, line: Line) -> None:
        self.lines += 1
        if line.data is None:
            return
        checked = rules.read(line.data, number=line.number, max_line_bytes=MAX_PARSED_BYTES)
        if isinstance(checked, Finding):
            self.invalid += 1
            if len(self._shown) < MAX_SHOWN_FINDINGS:
                self._shown.append(checked)
