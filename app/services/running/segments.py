"""Segments between SQL and the engine: claimed, renewed, their results written, released."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from app.data.batches import lines as batch_lines
from app.data.batches import segments
from app.data.batches.lines import LineAttempts, WaitingLine
from app.data.batches.segments import OpenSegment
from app.data.store.leases import Lease
from app.engine.outcomes import Line, Result
from app.engine.run import Segment
from app.engine.work import Capacity
from app.lib import failpoints
from app.services.gateway import Gateway
from app.services.leases import LeaseLostError, lease_ms, require
from app.services.lines import chunks
from app.services.lines.chunks import ChunkOwner, Counts
from app.services.money import charge

# After so many lost epochs the lines run one at a time, so that the one that kills workers is found.
SOLO_AFTER = 3
FAILPOINTS = "chunk"


def claim(gateway: Gateway, *, worker: str, skip: Collection[Capacity]) -> tuple[Capacity, Segment, int | None] | None:
    """Lease the best free segment; with it the line that its last holder was sending alone when it died, if any."""
    accounts = gateway.accounts.sending_ids()
    skipped = [(capacity.account_id, capacity.model) for capacity in skip]
    with gateway.database.read() as connection:
        projects = segments.projects_with_work(connection, accounts=accounts, skip=skipped)
    for project_id in projects:
        with gateway.database.read() as connection:
            row = segments.next_segment(connection, project_id=project_id, accounts=accounts, skip=skipped)
        if row is not None and _claimed(gateway, row, worker=worker):
            with gateway.database.read() as connection:
                lines = batch_lines.waiting(connection, row.batch_id, first=row.first_line, last=row.last_line)
            return _segment(row, lines)
    return None


def renew(gateway: Gateway, held: Sequence[Segment], *, worker: str) -> set[int]:
    """Renew the leases; returns the ids of segments whose lease is lost."""
    if not held:
        return set()
    leases = [_lease(segment, worker) for segment in held]
    with gateway.database.write() as connection:
        kept = segments.renew(connection, leases, worker=worker, lease_ms=lease_ms(gateway.settings))
    return {segment.id for segment in held} - kept


def ended(gateway: Gateway, held: Sequence[Segment]) -> set[int]:
    """Ids of segments whose batch no longer runs, or whose account has been disabled."""
    with gateway.database.read() as connection:
        batch_ids = segments.ended(connection, {segment.batch_id for segment in held})
    return {segment.id for segment in held if segment.batch_id in batch_ids}


def release(gateway: Gateway, segment: Segment, *, worker: str) -> None:
    """Close the segment if all of its lines have results; else give it back."""
    lease = _lease(segment, worker)
    with gateway.database.write() as connection:
        segments.close_if_done(connection, lease)
        segments.release(connection, lease)


def probe(gateway: Gateway, segment: Segment, line: Line, *, worker: str) -> None:
    """Note that `line` is about to be sent alone."""
    with gateway.database.write() as connection:
        segments.set_probe(connection, _lease(segment, worker), line=line.number)


def blame(gateway: Gateway, segment: Segment, line: Line, *, worker: str) -> None:
    """Note the attempts of a line that was being sent alone when its worker died."""
    with gateway.database.write() as connection:
        if segments.set_probe(connection, _lease(segment, worker), line=None):
            _write_retries(connection, gateway, segment, [line])


def flush(
    gateway: Gateway, segment: Segment, results: Sequence[Result], retried: Sequence[Line], *, last: bool, worker: str
) -> bool:
    """Write results as a chunk, and the attempts of lines to retry; `last` closes a segment that is done.

    False when the lease of the segment is lost; nothing was written then.
    """
    lease = _lease(segment, worker)

    def hold(connection: Connection) -> bool:
        return segments.hold(connection, lease, lease_ms=lease_ms(gateway.settings))

    def count(connection: Connection, counts: Counts) -> None:
        segments.count(connection, segment.batch_id, **counts)

    def then(connection: Connection) -> None:
        if retried:
            _write_retries(connection, gateway, segment, retried)
        if last:
            segments.close_if_done(connection, lease)

    try:
        if results:
            owner = ChunkOwner(segment.batch_id, segment.id, segment.epoch, hold, count, FAILPOINTS)
            chunks.write(gateway, owner, results, then=then)
        elif retried:
            with gateway.database.write() as connection:
                require(hold(connection))
                then(connection)
                failpoints.hit(f"{FAILPOINTS}.before_commit")
    except LeaseLostError:
        return False
    return True


def _write_retries(connection: Connection, gateway: Gateway, segment: Segment, lines: Sequence[Line]) -> None:
    attempts = [LineAttempts(line.number, line.attempts, line.unknown_attempts) for line in lines]
    batch_lines.write_retries(connection, segment.batch_id, attempts)
    charge.note_attempts(connection, gateway, segment.batch_id, lines)


def _claimed(gateway: Gateway, row: OpenSegment, *, worker: str) -> bool:
    lease = Lease(row.id, row.epoch + 1, worker)
    with gateway.database.write() as connection:
        claimed = segments.claim(connection, lease, lease_ms=lease_ms(gateway.settings))
        if claimed and row.worker is not None and row.probe_line is None:
            charge.note_lost_lease(connection, row.batch_id, first_line=row.first_line, epoch=row.epoch)
    return claimed


def _segment(row: OpenSegment, lines: Sequence[WaitingLine]) -> tuple[Capacity, Segment, int | None]:
    died = row.worker is not None
    lost = row.lost_epochs + died
    solo = lost >= SOLO_AFTER
    if solo:
        # Lines that were out when a worker died go last, so that the others are done before the next one dies.
        lines = sorted(lines, key=lambda line: line.unknown_attempts)
    segment = Segment(
        id=row.id,
        batch_id=row.batch_id,
        project_id=row.project_id,
        epoch=row.epoch + 1,
        deadline_s=row.left_ms / 1000,
        solo=solo,
        lines=tuple(Line(*line) for line in lines),
    )
    suspect = row.probe_line if died and lost > SOLO_AFTER else None
    return Capacity(account_id=row.account_id, model=row.model), segment, suspect


def _lease(segment: Segment, worker: str) -> Lease:
    return Lease(segment.id, segment.epoch, worker)
