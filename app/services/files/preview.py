"""The beginning of a file for people: its first lines, each with what is wrong with it in a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.lib import jsonl
from app.services import blobs
from app.services.files import files
from app.services.files.files import FileRow
from app.services.gateway import Gateway
from app.services.lines import rules
from app.services.lines.rules import Finding

MAX_BYTES = 128 * 1024
MAX_LINES = 20
MAX_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """A line, cut off at MAX_SHOWN characters. `finding` is what is wrong with it; `url` is where it wants to go."""

    number: int
    text: str
    finding: Finding | None
    url: str | None


def of_file(gateway: Gateway, row: FileRow) -> Sequence[PreviewLine] | None:
    """At most MAX_LINES lines of the first MAX_BYTES; None of a file that is no text, or that only a provider has."""
    if not row.is_kept:
        return None
    length = min(row.bytes, MAX_BYTES)
    head = b"".join(blobs.stream(gateway, files.blob_key(gateway, row), offset=0, length=length))
    if length < row.bytes:
        head = head[: head.rfind(b"\n") + 1] or head
    if b"\0" in head:
        return None
    splitter = jsonl.LineSplitter(max_line_bytes=MAX_BYTES)
    lines = [*splitter.feed(head), *splitter.finish()][:MAX_LINES]
    return [_shown(line, is_input=row.purpose == files.BATCH) for line in lines]


def _shown(line: jsonl.Line, *, is_input: bool) -> PreviewLine:
    data = line.data or b""
    found = rules.read(line.data, number=line.number, max_line_bytes=MAX_BYTES) if is_input else None
    finding = found if isinstance(found, Finding) else None
    url = None if found is None or isinstance(found, Finding) else found.url
    return PreviewLine(line.number, data.decode("utf-8", "replace")[:MAX_SHOWN], finding, url)
