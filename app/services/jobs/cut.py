"""Cutting a batch into jobs, each within the limits of its provider."""

from collections import deque
from dataclasses import dataclass, field

from app.data.batches.jobs import NewJob
from app.lib import json, jsonl
from app.services.accounts.directory import Account
from app.services.jobs.input import OPENAI, Encoder
from app.services.line_files.line_files import LineFiles
from app.services.lines import file_refs
from app.services.lines.rules import Finding, LineFacts
from app.translate.errors import TranslationError

UNSUPPORTED_ID = "unsupported_id"


@dataclass(slots=True)
class Run:
    """A line that is sent, `first_line`, and the unsent lines after it, which stay in its job."""

    first_line: int
    records: int
    bytes: int
    lines: int = 1


@dataclass(slots=True)
class Cut:
    """A run of lines that becomes a job. `records` are what is sent for them.

    `tail` are the last of its lines, as many as the next job may be short of; `tail_records` are their records.
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
    """A line that was added to a job. `held_back` is the error code of a line that is never sent."""

    wire_id: str | None = None
    held_back: str | None = None
    dropped: tuple[str, ...] = ()


@dataclass(slots=True)
class JobCutter:
    """Takes the lines of an input in order (`add`, then `finish`), and makes the `jobs` that hold them."""

    account: Account
    endpoint: str
    override: str | None
    files: LineFiles | None = None
    cuts: list[Cut] = field(default_factory=list)
    rewritten: bool = False
    encoder: Encoder = field(init=False)

    def __post_init__(self) -> None:
        self.encoder = Encoder(self.account, self.endpoint, self.override, self.files)

    def add(self, line: jsonl.Line, facts: LineFacts) -> Finding | Added:
        """Take a valid line. A Finding when no job can hold it."""
        data = line.data or b""
        references, owned = file_refs.named_in(self.endpoint, facts.body)
        if owned is not None:
            return self._hold_back(line.number, UNSUPPORTED_ID)
        try:
            encoded, differs, size = self.encoder.draft(line.number, facts.custom_id, data, facts, references)
        except TranslationError as error:
            return self._hold_back(line.number, error.code)
        except (ValueError, json.JSONEncodeError) as error:  # the latter: translated, it is nested too deep
            return Finding(
                "invalid_request", f"{self.account.provider} does not accept this line: {error}", None, line.number
            )
        self.rewritten = self.rewritten or differs
        max_bytes = self.encoder.max_line_bytes
        if max_bytes is not None and size > max_bytes:
            text = f"This line has {size} bytes; {self.account.provider} accepts at most {max_bytes}."
            return Finding("line_too_long", text, None, line.number)
        self._put(line.number, size, encoded.records)
        wire_id = self.encoder.wire_id(line.number, facts.custom_id)
        return Added(None if wire_id == facts.custom_id else wire_id, dropped=encoded.dropped)

    def finish(self) -> Finding | None:
        """Even out the last two jobs. A Finding when a job would have too few lines."""
        limits = self.account.abilities.jobs
        least = limits.min_lines
        if len(self.cuts) > 1 and 0 < self.cuts[-1].records < least:
            _move_tail(self.cuts[-2], self.cuts[-1], least, most_bytes=limits.bytes)
        short = next((cut for cut in self.cuts if 0 < cut.records < least), None)
        if short is None:
            return None
        provider, sent = self.account.provider, sum(cut.records for cut in self.cuts)
        hint = ' Send more lines, or execution "gateway".' if self.account.abilities.runs_lines else ""
        large = ", which are too large to share a job" if sent >= least else ""
        text = f"{provider} takes jobs of at least {least} lines; this batch has {sent} for it{large}.{hint}"
        return Finding("too_few_requests", text, None, None)

    def jobs(self, *, marker: str, input_bytes: int) -> list[NewJob]:
        """The jobs in order; the marker of each is made from the batch's."""
        limits = self.account.abilities.jobs
        # The file itself also counts newlines and blank lines, so it may be too large where the lines are not.
        bulky = limits.bytes is not None and input_bytes > limits.bytes
        rewritten = self.rewritten or bulky or len(self.cuts) > 1 or limits.dialect != OPENAI
        return [
            NewJob(
                account_id=self.account.id,
                number=number,
                first_line=cut.first_line,
                last_line=cut.last_line,
                lines=cut.lines,
                rewritten=rewritten,
                marker=f"{marker}-{number}",
            )
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
        # One line more than the next job can be short of: a job never gives away its first remembered line.
        while len(cut.tail) > 1 and cut.tail_records - cut.tail[0].records - cut.tail[1].records >= most_records:
            cut.tail_records -= cut.tail.popleft().records
    elif cut.tail:
        cut.tail[-1].lines += 1


def _move_tail(before: Cut, last: Cut, least: int, *, most_bytes: int | None) -> None:
    """Move as many lines from the job before to the last one as that is short of."""
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
