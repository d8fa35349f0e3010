"""What is true of all lines of a batch input: found out while it arrives, kept with its bytes, trusted by batches."""

import hashlib
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from app.lib import encodings, json, jsonl
from app.lib.jsonl import Line
from app.services.lines import file_refs, rules
from app.services.lines.file_refs import ESCAPE, SIGN
from app.services.lines.rules import MAX_CUSTOM_ID, METHOD, SHALLOW_BYTES, LineFacts

# Of more lines nobody remembers the custom_ids, at 8 bytes each.
MAX_IDS = 250_000
IDS_EACH_PASS = 65_536
MAX_NAMES = 256
FEW_LINES = 8  # looked at one by one
USUAL_MEMBERS = 4  # custom_id, method, url and body
# A letter, a sign or a NUL that is written as an escape; others, such as é, hide nothing.
_has_hidden = re.compile(rb"\\u00[0-7]").search
_members = itemgetter("custom_id", "method", "url", "body")
_model = itemgetter("model")
NOT_SEEN = object()  # equal to nothing that a line can have


def _fingerprint() -> str:
    """Changes with the code that decides what a valid line is: nobody trusts what other code has found."""
    digest = hashlib.sha256(json.VERSION.encode())
    for module in (rules.__file__, file_refs.__file__, json.__file__, jsonl.__file__, encodings.__file__, __file__):
        digest.update(Path(module).read_bytes())
    return digest.hexdigest()[:16]


RULES = _fingerprint()


@dataclass(frozen=True, slots=True)
class InputFacts:
    """A file whose lines are all valid in a batch, with different custom_ids, one url and one form.

    `file_lines` counts blank lines, too. `names_files` is false if no line can name a file. `model` is the one that all
    lines name, None if they name several or none.
    """

    lines: int
    file_lines: int
    first_line: int
    first_offset: int
    last_line: int
    longest_bytes: int
    names_files: bool
    url: str
    form: str
    model: str | None

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"rules": RULES, **asdict(self)}


def of_stored(stored: Mapping[str, Any] | None) -> InputFacts | None:
    """The facts that `stored` has; None if they were found by other code."""
    if stored is None or stored.get("rules") != RULES:
        return None
    return InputFacts(**{name: value for name, value in stored.items() if name != "rules"})


class Familiar:
    """Recognises lines that differ from earlier ones only in what makes no difference: most lines of most files."""

    def __init__(self) -> None:
        self._ids = array("q")  # hashes of the custom_ids
        self._names: set[str] = set()
        self._url: object = NOT_SEEN
        self._model: object = NOT_SEEN
        self._kinds: set[tuple[str, str]] = set()
        self._models: set[str | None] = set()
        self._first: tuple[int, int] | None = None  # number and offset
        self._last = 0
        self._longest = 0
        self._names_files = False
        self.lines = 0

    def takes(self, lines: Sequence[Line]) -> bool:
        """Take note of lines that are all like earlier ones, and so valid. False when one is not: `add` each then."""
        # A microsecond for each line of an upload: no loop of Python's own.
        if len(lines) < FEW_LINES:
            return False
        _, _, lengths, texts = zip(*lines, strict=True)
        try:
            values = list(map(json.loads, texts))
            custom_ids, methods, urls, bodies = zip(*map(_members, values), strict=True)
            is_like = (
                set(map(len, values)) == {USUAL_MEMBERS}
                and set(methods) == {METHOD}
                and set(urls) == {self._url}
                and set(map(_model, bodies)) == {self._model}
                and self._names.issuperset(set().union(*bodies))
                and set(map(type, custom_ids)) == {str}
                and 0 < min(map(len, custom_ids)) <= max(map(len, custom_ids)) <= MAX_CUSTOM_ID
                and (max(lengths) <= SHALLOW_BYTES or all(map(rules.is_shallow, texts)))
                and not _may_name_files(b"\n".join(texts))
            )
        except (ValueError, KeyError, TypeError):  # no JSON or too long, no object or not with these members
            return False
        if is_like:
            self._note(lines[-1], max(lengths), map(hash, custom_ids), count=len(lines))
        return is_like

    def add(self, line: Line, facts: LineFacts) -> None:
        """Take note of a valid line."""
        self._first = self._first or line[:2]
        self._names_files = self._names_files or _may_name_files(line.data or b"")
        self._note(line, line.length, [hash(facts.custom_id)], count=1)
        if len(self._kinds) <= 1:
            self._kinds.add((facts.url, facts.form))
        if len(self._models) <= 1:
            self._models.add(facts.model)
        if facts.is_standard and facts.model is not None:
            self._url, self._model = facts.url, facts.model
            if len(self._names) < MAX_NAMES:
                self._names.update(name for name in facts.body if name.lower() != "stream")

    def facts(self, *, file_lines: int) -> InputFacts | None:
        """What all lines have in common; None if a batch could not run them all, or not without another look."""
        if self._first is None or len(self._kinds) != 1 or not self._are_ids_unique():
            return None
        [(url, form)] = self._kinds
        return InputFacts(
            lines=self.lines,
            file_lines=file_lines,
            first_line=self._first[0],
            first_offset=self._first[1],
            last_line=self._last,
            longest_bytes=self._longest,
            names_files=self._names_files,
            url=url,
            form=form,
            model=next(iter(self._models)) if len(self._models) == 1 else None,
        )

    def _note(self, last: Line, longest: int, ids: Iterable[int], *, count: int) -> None:
        self.lines += count
        self._last = last.number
        self._longest = max(self._longest, longest)
        if self.lines <= MAX_IDS:
            self._ids.extend(ids)

    def _are_ids_unique(self) -> bool:
        """False also when nobody remembers them, or different ones have the same hash."""
        if self.lines > MAX_IDS:
            return False
        if len(self._ids) <= IDS_EACH_PASS:
            return len(set(self._ids)) == len(self._ids)
        passes = len(self._ids) // IDS_EACH_PASS + 1
        different = sum(len({each for each in self._ids if each % passes == which}) for which in range(passes))
        return different == len(self._ids)


def _may_name_files(data: bytes) -> bool:
    """False for lines that surely name no file, and have no NUL."""
    return SIGN in data or (ESCAPE in data and _has_hidden(data) is not None)
