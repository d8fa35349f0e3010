"""Indexing: a batch whose first lines run already gets the rows of the others, a slice at a time.

Planning has read the whole input and found it valid; its blob never changes.
"""

from collections.abc import Generator

from app.data.batches import lines as batch_lines
from app.data.batches import segments, work
from app.data.batches.lines import NewLine
from app.data.store.leases import Lease
from app.errors import UnavailableError
from app.lib import failpoints
from app.lib.jsonl import Line, LineSplitter
from app.services.gateway import Gateway
from app.services.leases import lease_ms, require
from app.services.lines import rules
from app.services.lines.rules import LineFacts
from app.services.running.plan import MAX_HELD_BYTES, SLICE_LINES

# A batch that is cancelled or expires gets all of its rows, too: each of its lines ends.
STATUSES = ("in_progress", "finalizing", "cancelling")


def index(gateway: Gateway, lease: Lease) -> Generator[None]:
    """Write the rows that a claimed batch lacks, and let go the segments that they belong to.

    Yields where it may be put aside, as `turns.Task` explains. Raises LeaseLostError.
    """
    with gateway.database.read() as connection:
        batch = work.facts(connection, lease.id)
        done = batch_lines.last_line(connection, lease.id)
    if batch.input_key is None:
        raise UnavailableError("The bytes of an input file that is in use are gone.")
    splitter = LineSplitter(max_line_bytes=gateway.settings.max_line_bytes)
    rows: list[NewLine] = []
    for data in gateway.blobs.stream(batch.input_key):
        for line in splitter.feed(data):
            if line.number <= done:
                continue
            rows.append(_row(line))
            if len(rows) >= SLICE_LINES:
                _write(gateway, lease, rows, last_line=line.number)
                rows = []
                failpoints.hit("plan.between_slices")
        if splitter.held_bytes <= MAX_HELD_BYTES:
            yield
    rows += [_row(line) for line in splitter.finish() if line.number > done]
    _write(gateway, lease, rows, last_line=splitter.lines, is_last=True)


def _row(line: Line) -> NewLine:
    checked = rules.read(line.data, number=line.number, max_line_bytes=line.length)
    # A line that is invalid by now (its bytes were damaged, or a limit was lowered) fails by itself when it is sent.
    custom_id = checked.custom_id if isinstance(checked, LineFacts) else f"line-{line.number}"
    return NewLine(line.number, custom_id, line.offset, line.length)


def _write(gateway: Gateway, lease: Lease, rows: list[NewLine], *, last_line: int, is_last: bool = False) -> None:
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        if rows:
            batch_lines.insert_lines(connection, lease.id, rows)
        segments.let_go(connection, lease.id, last_line=last_line)
        if is_last:
            work.release(connection, lease)
