"""Segments between SQL and the engine: claimed, renewed, their results written, released."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from app.data.batches import lines as batch_lines
from app.data.batches import segments, waits
from app.data.batches.lines import LineAttempts, WaitingLine
from app.data.batches.segments import OpenSegment, Wanted
from app.data.batches.waits import NewWait
from app.data.store.leases import Lease
from app.engine.outcomes import Line, Refused, Result
from app.engine.run import LineWait, Segment, WaitNews
from app.engine.work import SAME_DEADLINE_S, Bar, Capacity, Lane, Orders, Stops
from app.services.gateway import Gateway
from app.services.leases import LeaseLostError, lease_ms
from app.services.lines import chunks
from app.services.lines.chunks import ChunkOwner, Counts
from app.services.money import charge

# After so many lost epochs the lines run one at a time, so that the one that kills workers is found.
SOLO_AFTER = 3
FAILPOINTS = "chunk"


def claim(
    gateway: Gateway, *, worker: str, skip: Collection[Bar], full: Collection[int] = (), used_up: Collection[int] = ()
) -> tuple[Capacity, Segment, int | None] | None:
    """Lease the best free segment; with it the line that its last holder was sending alone when it died, if any.

    Of a lane in `skip` only what comes first there, nothing of a project in `full`, or of a batch in `used_up`.
    """
    lanes = {_lane(bar.lane): bar for bar in skip}
    wanted = Wanted(worker, gateway.accounts.sending_ids(), skip=list(lanes), used_up=used_up)
    with gateway.database.read() as connection:
        for row in _candidates(connection, wanted, lanes, full):
            if _claimed(gateway, row, worker=worker):
                lines = batch_lines.waiting(connection, row.batch_id, first=row.first_line, last=row.last_line)
                return _segment(gateway, row, lines)
    return None


def _candidates(
    connection: Connection, wanted: Wanted, lanes: Mapping[tuple[int, int, str], Bar], full: Collection[int]
) -> Iterator[OpenSegment]:
    for project_id in segments.projects_with_work(connection, wanted):
        row = None if project_id in full else segments.next_segment(connection, wanted, project_id=project_id)
        if row is not None:
            yield row
    for lane, bar in lanes.items():
        if bar.left_s is not None and lane[0] not in full:
            left_ms = int((bar.left_s - SAME_DEADLINE_S) * 1000)
            row = segments.sooner_segment(connection, wanted, lane=lane, priority=bar.priority, left_ms=left_ms)
            if row is not None:
                yield row


def _lane(lane: Lane) -> tuple[int, int, str]:
    return lane.project_id, lane.capacity.account_id, lane.capacity.model


def renew(gateway: Gateway, held: Sequence[Segment], *, worker: str) -> set[int]:
    """Renew the leases; returns the ids of segments whose lease is lost."""
    if not held:
        return set()
    leases = [_lease(segment, worker) for segment in held]
    with gateway.database.write() as connection:
        kept = segments.renew(connection, leases, worker=worker, lease_ms=lease_ms(gateway.settings))
    return {segment.id for segment in held} - kept


def stops(gateway: Gateway, held: Sequence[Segment]) -> Stops:
    """Segments whose batch no longer runs, or that wait for their account or a person, and how to run the others."""
    with gateway.database.read() as connection:
        steered = segments.steered(connection, {segment.batch_id for segment in held})
    over = {batch.id for batch in steered if batch.is_over}
    halted = {batch.id for batch in steered if batch.is_held} - over
    return Stops(
        over={segment.id for segment in held if segment.batch_id in over},
        halted={segment.id for segment in held if segment.batch_id in halted},
        orders={
            batch.id: Orders(batch.priority, batch.left_ms / 1000, batch.concurrency is not None) for batch in steered
        },
    )


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
        if results or retried:
            owner = ChunkOwner(segment.batch_id, segment.batch, segment.id, segment.epoch, hold, count, FAILPOINTS)
            chunks.write(gateway, owner, results, then=then)
    except LeaseLostError:
        return False
    return True


def note(gateway: Gateway, news: Sequence[WaitNews]) -> None:
    """Record which lines run for long or wait to be sent again, and which no longer do."""
    with gateway.database.write() as connection:
        for each in news:
            batch_id = each.segment.batch_id
            if each.over:
                waits.forget(connection, batch_id, each.over)
            if each.waits:
                waits.note(connection, batch_id, [_wait(each.segment, wait) for wait in each.waits])


def _wait(segment: Segment, wait: LineWait) -> NewWait:
    words, refused = wait.words, wait.line.refused
    return NewWait(
        line=wait.line.number,
        state=wait.state,
        epoch=segment.epoch,
        age_ms=int(wait.age_s * 1000),
        left_ms=int(wait.left_s * 1000) if wait.state == "retry" else None,
        refusals=refused.times if refused else 0,
        refused_ms=int(wait.refused_s * 1000) if refused else None,
        kind=words.kind if words else None,
        status_code=words.status_code if words else None,
        code=words.code if words else None,
        message=words.message if words else None,
    )


def _write_retries(connection: Connection, gateway: Gateway, segment: Segment, lines: Sequence[Line]) -> None:
    attempts = [LineAttempts(line.number, line.attempts, line.unknown_attempts) for line in lines]
    batch_lines.write_retries(connection, segment.batch_id, attempts)
    charge.note_attempts(connection, gateway, segment.batch_id, lines)


def _claimed(gateway: Gateway, row: OpenSegment, *, worker: str) -> bool:
    lease = Lease(row.id, row.epoch + 1, worker)
    with gateway.database.write() as connection:
        claimed = segments.claim(connection, lease, lease_ms=lease_ms(gateway.settings))
        if claimed and row.worker is not None and row.probe_line is None:
            charge.note_lost_lease(connection, gateway, row.batch_id, first_line=row.first_line, epoch=row.epoch)
    return claimed


def _segment(gateway: Gateway, row: OpenSegment, lines: Sequence[WaitingLine]) -> tuple[Capacity, Segment, int | None]:
    account, now = gateway.accounts.by_id(row.account_id), gateway.clock.monotonic()
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
        lines=tuple(_line(line, now) for line in lines),
        age_s=row.age_ms / 1000,
        priority=row.priority,
        is_limited=row.concurrency is not None,
        batch=row.public_id,
        account=f"{account.provider}/{account.name}" if account else "",
    )
    suspect = row.probe_line if died and lost > SOLO_AFTER else None
    return Capacity(account_id=row.account_id, model=row.model), segment, suspect


def _line(row: WaitingLine, now: float) -> Line:
    refused = None
    if row.refusals:
        # How many of them were the line's own is not kept: it has to show that again.
        refused = Refused(row.refusals, alone=0, since=now - (row.refused_ms or 0) / 1000, at=now, answers=0)
    place = (row.line, row.custom_id, row.request_offset, row.request_bytes)
    return Line(*place, row.attempts, row.unknown_attempts, refused)


def _lease(segment: Segment, worker: str) -> Lease:
    return Lease(segment.id, segment.epoch, worker)
