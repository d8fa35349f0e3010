"""What a batch input is like, told while it is uploaded: how many lines, and which are wrong."""

from app.lib.jsonl import Line, LineSplitter
from app.services.lines import rules
from app.services.lines.rules import Finding

# A line is parsed while its upload goes on, so it is held in memory: longer ones are checked when a batch runs them.
PARSED_BYTES = 1024 * 1024
SHOWN_FINDINGS = 3


class LineIndex:
    """Fed with the bytes of a file as they come; `lines` and `details` are right after `finish`."""

    def __init__(self) -> None:
        self._splitter = LineSplitter(max_line_bytes=PARSED_BYTES)
        self._shown: list[Finding] = []
        self.lines = 0
        self.wrong = 0

    def write(self, data: bytes) -> None:
        """The next bytes of the file."""
        for line in self._splitter.feed(data):
            self._check(line)

    def finish(self) -> None:
        """The file ends here."""
        for line in self._splitter.finish():
            self._check(line)

    @property
    def details(self) -> str | None:
        """What is wrong, in one text for people; None when nothing is."""
        if not self.wrong:
            return None
        told = " ".join(f"line {finding.line}: {finding.message}" for finding in self._shown)
        more = self.wrong - len(self._shown)
        return told + (f" (+{more} more)" if more else "")

    def _check(self, line: Line) -> None:
        self.lines += 1
        if line.data is None:
            return
        found = rules.read(line.data, number=line.number, max_line_bytes=PARSED_BYTES)
        if isinstance(found, Finding):
            self.wrong += 1
            if len(self._shown) < SHOWN_FINDINGS:
                self._shown.append(found)
