"""Indexing a batch input while its bytes arrive: how many lines it has, which are invalid, and what they all share."""

from collections.abc import Iterator
from typing import Any

from app.lib.jsonl import Line, LineSplitter, TooManyLinesError
from app.services.lines import rules
from app.services.lines.facts import Familiar
from app.services.lines.rules import Finding, LineFacts

# A line is held in memory while it is parsed during the upload: longer ones are checked when a batch is planned.
MAX_PARSED_BYTES = 1024 * 1024
# So many parsed lines at once do not wake Python's garbage collector, which takes as long as the parsing.
GROUP_LINES = 64
MAX_SHOWN_FINDINGS = 3
# A file with so many invalid lines is no batch input; the others are only counted.
MAX_INVALID = 1000


class LineIndex:
    """Takes the bytes of a file as they arrive (`write`, then `finish`); what it found is complete then.

    It stops at `max_lines` lines, blank ones included: a batch on such a file fails.
    """

    def __init__(self, *, max_lines: int) -> None:
        self._splitter = LineSplitter(max_line_bytes=MAX_PARSED_BYTES, max_lines=max_lines)
        self._max_lines = max_lines
        self._shown: list[Finding] = []
        self._invalid = 0
        self._is_over = False
        self._unread = 0
        self._valid = Familiar()

    @property
    def lines(self) -> int:
        """How many lines there are that are not blank."""
        return self._valid.lines + self._invalid + self._unread

    def write(self, data: bytes) -> None:
        """Index the next bytes of the file."""
        self._take(self._splitter.feed(data))

    def finish(self) -> None:
        """Index the last line."""
        self._take(self._splitter.finish())

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

    @property
    def facts(self) -> dict[str, Any] | None:
        """What a batch on the file need not find out again, as `facts.of_stored` reads it.

        None unless every line was read, and could run in one batch with the others.
        """
        if self._is_over or self._invalid or self._unread:
            return None
        found = self._valid.facts(file_lines=self._splitter.lines)
        return None if found is None else found.stored()

    def _take(self, lines: Iterator[Line]) -> None:
        if self._is_over:
            return
        found: list[Line] = []
        try:
            found.extend(lines)  # those before the limit are kept
        except TooManyLinesError:
            self._is_over = True
        for start in range(0, len(found), GROUP_LINES):
            group = found[start : start + GROUP_LINES]
            if self._invalid >= MAX_INVALID or not self._valid.takes(group):
                for line in group:
                    self._check(line)

    def _check(self, line: Line) -> None:
        if line.data is None or self._invalid >= MAX_INVALID:
            self._unread += 1
            return
        checked = rules.read(line.data, number=line.number, max_line_bytes=MAX_PARSED_BYTES)
        if isinstance(checked, LineFacts):
            self._valid.add(line, checked)
            return
        self._invalid += 1
        if len(self._shown) < MAX_SHOWN_FINDINGS:
            self._shown.append(checked)
