"""Lines of a batch cut into jobs, each within what its provider takes."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from app.lib import json, jsonl
from app.services.accounts.directory import Account
from app.services.jobs.input import OPENAI, Encoder
from app.services.lines import rules
from app.services.lines.rules import Finding, LineFacts
from app.translate.errors import TranslationError

UNSUPPORTED_ID = "unsupported_id"


@dataclass(slots=True)
class Run:
    """A line that is sent, from `first_line` on, and those after it that are not: they go where it goes."""

    first_line: int
    records: int
    bytes: int
    lines: int = 1


@dataclass(slots=True)
class Cut:
    """A run of lines that becomes a job. `records` are what is sent of them.

    `tail` are the last of its lines, as many as another job may lack; `tail_records` what they have.
    """

    first_line: int
    last_line: int = 0
    lines: int = 0
    records: int = 0
    bytes: int = 0
    tail: deque[Run] = field(default_factory=deque)
    tail_records: int = 0


@dataclass(frozen=True, slots=True)
class Added:
    """A line that is in a job now. `held_back` is why it is never sent, if it is not."""

    wire_id: str | None = None
    held_back: str | None = None
    dropped: tuple[str, ...] = ()


@dataclass(slots=True)
class JobCutter:
    """Fed with the lines of an input in order; `columns` are those of batch_jobs for the jobs that they make."""

    account: Account
    endpoint: str
    override: str | None
    cuts: list[Cut] = field(default_factory=list)
    rewritten: bool = False
    encoder: Encoder = field(init=False)

    def __post_init__(self) -> None:
        self.encoder = Encoder(self.account, self.endpoint, self.override)

    def add(self, line: jsonl.Line, facts: LineFacts) -> Finding | Added:
        """Take a right line. A Finding when no job can have it."""
        data = line.data or b""
        if rules.owned_id(data, facts.body) is not None:
            return self._hold_back(line.number, UNSUPPORTED_ID)
        try:
            encoded, differs = self.encoder.line(line.number, facts.custom_id, data, facts.body)
        except TranslationError as error:
            return self._hold_back(line.number, error.code)
        except (ValueError, json.JSONEncodeError) as error:  # the latter for what is nested deeper than it was
            return Finding(
                "invalid_request", f"{self.account.provider} can't take this line: {error}", None, line.number
            )
        self.rewritten = self.rewritten or differs
        limits = self.account.abilities.jobs
        size = len(encoded.data)
        most = min((limit for limit in (limits.line_bytes, limits.bytes) if limit is not None), default=None)
        if most is not None and size > most:
            text = f"This line has {size} bytes; {self.account.provider} takes {most}."
            return Finding("line_too_long", text, None, line.number)
        self._put(line.number, size, encoded.records)
        wire_id = self.encoder.wire_id(line.number, facts.custom_id)
        return Added(None if wire_id == facts.custom_id else wire_id, dropped=encoded.dropped)

    def finish(self) -> Finding | None:
        """Even out the last two jobs. A Finding when there are too few lines for a job."""
        limits = self.account.abilities.jobs
        least = limits.min_lines
        if len(self.cuts) > 1 and 0 < self.cuts[-1].records < least:
            _move_tail(self.cuts[-2], self.cuts[-1], least, most_bytes=limits.bytes)
        short = next((cut for cut in self.cuts if 0 < cut.records < least), None)
        if short is None:
            return None
        provider, sent = self.account.provider, sum(cut.records for cut in self.cuts)
        hint = ' Send more lines, or execution "gateway".' if self.account.abilities.runs_lines else ""
        large = ", too large for jobs of so many" if sent >= least else ""
        text = f"{provider} takes jobs of at least {least} lines; this batch has {sent} for it{large}.{hint}"
        return Finding("too_few_requests", text, None, None)

    def columns(self, *, marker: str, input_bytes: int) -> list[dict[str, Any]]:
        """A row for each job; `marker` is the batch's, each job's own is made from it."""
        limits = self.account.abilities.jobs
        # Line ends and blank lines count in the file itself.
        bulky = limits.bytes is not None and input_bytes > limits.bytes
        rewritten = int(self.rewritten or bulky or len(self.cuts) > 1 or limits.dialect != OPENAI)
        return [
            {
                "account_id": self.account.id,
                "number": number,
                "first_line": cut.first_line,
                "last_line": cut.last_line,
                "lines": cut.lines,
                "rewritten": rewritten,
                "marker": f"{marker}-{number}",
            }
            for number, cut in enumerate(self.cuts, start=1)
        ]

    def _hold_back(self, number: int, code: str) -> Added:
        self.rewritten = True
        self._put(number, 0, 0)
        return Added(held_back=code)

    def _put(self, number: int, size: int, records: int) -> None:
        limits = self.account.abilities.jobs
        current = self.cuts[-1] if self.cuts else None
        full = current is None or (
            (limits.lines is not None and current.records + records > limits.lines and current.records > 0)
            or (limits.bytes is not None and current.bytes + size > limits.bytes)
        )
        if current is None or full:
            current = Cut(first_line=number)
            self.cuts.append(current)
        current.last_line = number
        current.lines += 1
        current.records += records
        current.bytes += size
        if limits.min_lines > 1:
            _remember(current, number, size, records, most_records=limits.min_lines)


def _remember(cut: Cut, number: int, size: int, records: int, *, most_records: int) -> None:
    if records:
        cut.tail.append(Run(number, records, size))
        cut.tail_records += records
        # One more than can be lacking: a job never gives away the first that is remembered of it.
        while len(cut.tail) > 1 and cut.tail_records - cut.tail[0].records - cut.tail[1].records >= most_records:
            cut.tail_records -= cut.tail.popleft().records
    elif cut.tail:
        cut.tail[-1].lines += 1


def _move_tail(before: Cut, last: Cut, least: int, *, most_bytes: int | None) -> None:
    """Give the last job as many lines of the one before as it lacks."""
    while last.records < least and len(before.tail) > 1:
        run = before.tail[-1]
        if most_bytes is not None and last.bytes + run.bytes > most_bytes:
            return
        before.tail.pop()
        for cut, sign in ((before, -1), (last, 1)):
            cut.lines += sign * run.lines
            cut.records += sign * run.records
            cut.bytes += sign * run.bytes
        last.first_line = run.first_line
        before.last_line = run.first_line - 1
