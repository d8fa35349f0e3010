"""Indexing: a batch whose first lines run already gets the rows of the others, a slice at a time.

The input is known to be valid, and its blob never changes.
"""

from collections.abc import Generator

from app.data.batches import lines as batch_lines
from app.data.batches import new_lines, segments, work
from app.data.batches.new_lines import LinePlace
from app.data.store.leases import Lease
from app.errors import UnavailableError
from app.lib import failpoints
from app.lib.jsonl import LineSplitter
from app.services.gateway import Gateway
from app.services.leases import lease_ms, require
from app.services.running.plan import MAX_HELD_BYTES
from app.services.running.quick import places

# A batch that is cancelled or expires gets all of its rows, too: each of its lines ends.
STATUSES = ("in_progress", "finalizing", "cancelling")
# Few commits, each in a few hundredths of a second: meanwhile nobody else writes to SQLite.
SLICE_LINES = 4000


def index(gateway: Gateway, lease: Lease) -> Generator[None]:
    """Write the rows that a claimed batch lacks, and let go the segments that they belong to.

    Yields where it may be put aside, as `turns.Task` explains. Raises LeaseLostError.
    """
    with gateway.database.read() as connection:
        batch = work.facts(connection, lease.id)
        done, offset = batch_lines.end_of_last(connection, lease.id)
    if batch.input_key is None:
        raise UnavailableError("The bytes of an input file that is in use are gone.")
    # What is left of the last line that is done, its line end, counts as a blank line.
    splitter = LineSplitter(max_line_bytes=gateway.settings.max_line_bytes, lines=max(done - 1, 0), offset=offset)
    rows: list[LinePlace] = []
    if offset < batch.input_bytes:
        for data in gateway.blobs.stream(batch.input_key, offset=offset):
            rows += places(splitter.feed(data))
            if len(rows) >= SLICE_LINES:
                _write(gateway, lease, rows, last_line=rows[-1][0])
                rows = []
                failpoints.hit("plan.between_slices")
            if splitter.held_bytes <= MAX_HELD_BYTES:
                yield
    rows += places(splitter.finish())
    _write(gateway, lease, rows, last_line=max(done, splitter.lines), is_last=True)


def _write(gateway: Gateway, lease: Lease, rows: list[LinePlace], *, last_line: int, is_last: bool = False) -> None:
    with gateway.database.write() as connection:
        require(work.hold(connection, lease, statuses=STATUSES, lease_ms=lease_ms(gateway.settings)))
        if rows:
            new_lines.insert_places(connection, lease.id, rows)
        segments.let_go(connection, lease.id, last_line=last_line)
        if is_last:
            work.release(connection, lease)
