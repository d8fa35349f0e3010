"""Lines of a batch cut into jobs, each within what its provider takes."""

from dataclasses import dataclass, field
from typing import Any

from app.lib import json, jsonl
from app.services import line_rules
from app.services.accounts import Account
from app.services.job_inputs import OPENAI, Encoder
from app.services.line_rules import Finding, LineFacts
from app.translate.errors import TranslationError

UNSUPPORTED_ID = "unsupported_id"


@dataclass(slots=True)
class Cut:
    """A run of lines that becomes a job."""

    first_line: int
    last_line: int = 0
    lines: int = 0
    bytes: int = 0


@dataclass(slots=True)
class JobCutter:
    """Fed with the lines of an input in order; `columns` are those of batch_jobs for the jobs that they make."""

    account: Account
    endpoint: str
    override: str | None
    cuts: list[Cut] = field(default_factory=list)
    rewritten: bool = False

    def add(self, line: jsonl.Line, facts: LineFacts) -> Finding | str | None:
        """Take a right line. A Finding when no job can have it; the code of a line that is never sent."""
        data = line.data or b""
        if line_rules.owned_id(data, json.loads(data)["body"]) is not None:
            self.rewritten = True
            self._put(line.number, 0)
            return UNSUPPORTED_ID
        encoder = Encoder(self.account, self.endpoint, self.override)
        try:
            encoded, differs = encoder.line(line.number, facts.custom_id, data)
        except (TranslationError, ValueError) as error:
            return Finding(
                "invalid_request", f"{self.account.provider} can't take this line: {error}", None, line.number
            )
        self.rewritten = self.rewritten or differs
        limits = self.account.abilities.jobs
        most = min((limit for limit in (limits.line_bytes, limits.bytes) if limit is not None), default=None)
        if most is not None and len(encoded) > most:
            text = f"This line has {len(encoded)} bytes; {self.account.provider} takes {most}."
            return Finding("line_too_long", text, None, line.number)
        self._put(line.number, len(encoded))
        return None

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

    def _put(self, number: int, size: int) -> None:
        limits = self.account.abilities.jobs
        current = self.cuts[-1] if self.cuts else None
        full = current is None or (
            (limits.lines is not None and current.lines >= limits.lines)
            or (limits.bytes is not None and current.bytes + size > limits.bytes)
        )
        if current is None or full:
            current = Cut(first_line=number)
            self.cuts.append(current)
        current.last_line = number
        current.lines += 1
        current.bytes += size
