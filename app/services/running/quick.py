"""Starting a batch at once: its input was found right while it arrived, so only the first lines are read.

What was found is kept with the bytes it was found in, and counts only for the code that found it. What depends on the
batch, on its key and on settings is compared here; `plan` reads the whole input when any of it does not fit.
"""

from collections.abc import Iterable, Sequence

from app.data.batches.new_lines import LinePlace
from app.data.batches.work import BatchFacts
from app.lib import json
from app.lib.jsonl import Line, LineSplitter
from app.services.gateway import Gateway
from app.services.lines import rules
from app.services.lines.facts import InputFacts

FIRST_LINES = 1000
FIRST_BYTES = 256 * 1024


def fits(gateway: Gateway, batch: BatchFacts, facts: InputFacts, *, model_patterns: Sequence[str] | None) -> bool:
    """True when every line of the input can run in this batch."""
    settings = gateway.settings
    return (
        batch.execution == "gateway"
        and facts.url == batch.endpoint
        and (facts.model is not None or batch.model_override is not None)
        and model_patterns is None  # else each line is searched for names of models
        and not facts.names_files  # they are looked up
        and facts.longest_bytes <= settings.max_line_bytes
        and facts.file_lines <= settings.max_input_lines
        and not 0 < settings.max_batch_lines < facts.lines
    )


def first_places(gateway: Gateway, batch: BatchFacts, facts: InputFacts) -> list[LinePlace]:
    """Where the first lines of an input are: some, or few that are long. None when it is not what it was."""
    if batch.input_key is None:
        return []
    start = {"lines": facts.first_line - 1, "offset": facts.first_offset}
    splitter = LineSplitter(max_line_bytes=gateway.settings.max_line_bytes, **start)
    found: list[LinePlace] = []
    size = 0
    for data in gateway.blobs.stream(batch.input_key, offset=facts.first_offset):
        found += places(splitter.feed(data))
        size += len(data)
        if len(found) >= FIRST_LINES or (found and size >= FIRST_BYTES):
            return found
    found += places(splitter.finish())
    is_whole = facts.first_offset + size == batch.input_bytes
    return found if is_whole and found and found[-1][0] == facts.last_line else []


def places(lines: Iterable[Line]) -> list[LinePlace]:
    """The rows of lines that are valid.

    A line that is invalid by now (its bytes were damaged, or a limit was lowered) fails by itself when it is sent.
    """
    loads, is_id = json.loads, rules.is_custom_id
    found = []
    for line in lines:
        try:
            custom_id = loads(line[3])["custom_id"]  # type: ignore[arg-type]  # None is no JSON
        except (ValueError, KeyError, TypeError):
            custom_id = None
        found.append((line[0], custom_id if is_id(custom_id) else f"line-{line[0]}", line[1], line[2]))
    return found
