"""Segments between SQL and the engine: claimed, kept, written to, given back."""

from collections.abc import Collection, Sequence
from typing import Any

from app.data.batches import segments
from app.data.store.leases import Lease
from app.engine.outcomes import Line, Result
from app.engine.run import Segment
from app.engine.work import Capacity
from app.lib import failpoints
from app.services.blobs import incoming
from app.services.gateway import Gateway
from app.services.leases import LeaseLostError, lease_ms, require
from app.services.lines.chunks import counts, result_row
from app.services.money import charge

# After this many lost epochs the lines run one by one, so that the one that kills workers is found.
SOLO_AFTER = 3


def claim(gateway: Gateway, *, worker: str, skip: Collection[Capacity]) -> tuple[Capacity, Segment, int | None] | None:
    """The best free segment on lease, and the line that was being sent alone when its last holder died."""
    accounts = gateway.accounts.ids()
    skipped = [(capacity.account_id, capacity.model) for capacity in skip]
    with gateway.database.read() as connection:
        projects = segments.projects_with_work(connection, accounts=accounts, skip=skipped)
    for project in projects:
        with gateway.database.read() as connection:
            row = segments.next_segment(connection, project_id=project.project_id, accounts=accounts, skip=skipped)
        if row is not None and _claimed(gateway, row, worker=worker):
            with gateway.database.read() as connection:
                lines = segments.pending_lines(
                    connection, batch_id=row.batch_id, first=row.first_line, last=row.last_line
                )
            return _segment(row, lines)
    return None


def renew(gateway: Gateway, held: Sequence[Segment], *, worker: str) -> set[int]:
    """Keep the leases; returns the ids of segments that are lost."""
    if not held:
        return set()
    with gateway.database.write() as connection:
        kept = segments.renew(
            connection,
            [_lease(segment, worker) for segment in held],
            worker=worker,
            lease_ms=lease_ms(gateway.settings),
        )
    return {segment.id for segment in held} - kept


def ended(gateway: Gateway, held: Sequence[Segment]) -> set[int]:
    """Ids of segments whose batch no longer runs."""
    with gateway.database.read() as connection:
        over = segments.ended(connection, {segment.batch_id for segment in held})
    return {segment.id for segment in held if segment.batch_id in over}


def release(gateway: Gateway, segment: Segment, *, worker: str) -> None:
    """Close the segment if no line of it waits; else give it back."""
    with gateway.database.write() as connection:
        segments.close_if_done(connection, _lease(segment, worker))
        segments.release(connection, _lease(segment, worker))


def probe(gateway: Gateway, segment: Segment, line: Line, *, worker: str) -> None:
    """Note that `line` is about to be sent alone."""
    with gateway.database.write() as connection:
        segments.set_probe(connection, _lease(segment, worker), line=line.number)


def blame(gateway: Gateway, segment: Segment, line: Line, *, worker: str) -> None:
    """Note the attempts of a line that was being sent alone when its worker died."""
    with gateway.database.write() as connection:
        if segments.set_probe(connection, _lease(segment, worker), line=None):
            segments.write_retries(connection, [_retry_row(segment, line)])
            charge.note_attempts(connection, gateway, segment.batch_id, [line])


def flush(
    gateway: Gateway, segment: Segment, results: Sequence[Result], retried: Sequence[Line], *, last: bool, worker: str
) -> bool:
    """Results into a chunk, then lines and counters in one transaction. False when the segment is lost."""
    try:
        if results:
            with incoming(gateway, hashed=False) as blob:
                places = []
                for result in results:
                    places.append(blob.bytes)
                    blob.write(result.data)
                blob.seal()
                failpoints.hit("chunk.after_bytes")
                _write(gateway, segment, results, retried, places=places, blob=blob, last=last, worker=worker)
            failpoints.hit("chunk.after_commit")
        elif retried:
            _write(gateway, segment, (), retried, places=[], blob=None, last=last, worker=worker)
    except LeaseLostError:
        return False
    return True


def _write(
    gateway: Gateway,
    segment: Segment,
    results: Sequence[Result],
    retried: Sequence[Line],
    *,
    places: list[int],
    blob: Any,
    last: bool,
    worker: str,
) -> None:
    lease = _lease(segment, worker)
    with gateway.database.write() as connection:
        require(segments.hold(connection, lease, lease_ms=lease_ms(gateway.settings)))
        if blob is not None:
            blob.settle(connection)
            chunk = segments.insert_chunk(
                connection,
                batch_id=segment.batch_id,
                segment_id=segment.id,
                epoch=segment.epoch,
                blob_id=blob.id,
                lines=len(results),
                size=blob.bytes,
            )
            rows = [
                result_row(segment.batch_id, result, chunk, place)
                for result, place in zip(results, places, strict=True)
            ]
            segments.write_results(connection, rows)
            segments.count(connection, segment.batch_id, **counts(results))
            charge.charge(connection, gateway, segment.batch_id, results)
        if retried:
            segments.write_retries(connection, [_retry_row(segment, line) for line in retried])
            charge.note_attempts(connection, gateway, segment.batch_id, retried)
        if last:
            segments.close_if_done(connection, lease)
        failpoints.hit("chunk.before_commit")


def _claimed(gateway: Gateway, row: Any, *, worker: str) -> bool:
    with gateway.database.write() as connection:
        claimed = segments.claim(connection, Lease(row.id, row.epoch + 1, worker), lease_ms=lease_ms(gateway.settings))
        if claimed and row.worker is not None and row.probe_line is None:
            charge.note_lost_lease(connection, row.batch_id, first_line=row.first_line, epoch=row.epoch)
    return claimed


def _segment(row: Any, lines: Sequence[Any]) -> tuple[Capacity, Segment, int | None]:
    died = row.worker is not None
    lost = row.lost_epochs + died
    solo = lost >= SOLO_AFTER
    if solo:
        # Lines that were out when a worker died go last: those that did nothing need not wait for the next death.
        lines = sorted(lines, key=lambda line: int(line.unknown_attempts))
    segment = Segment(
        id=row.id,
        batch_id=row.batch_id,
        project_id=row.project_id,
        epoch=row.epoch + 1,
        deadline_s=row.left_ms / 1000,
        solo=solo,
        lines=tuple(
            Line(
                number=line.line,
                custom_id=line.custom_id,
                offset=line.request_offset,
                length=line.request_bytes,
                attempts=line.attempts,
                unknown_attempts=line.unknown_attempts,
            )
            for line in lines
        ),
    )
    suspect = row.probe_line if died and lost > SOLO_AFTER else None
    return Capacity(account_id=row.account_id, model=row.model), segment, suspect


def _retry_row(segment: Segment, line: Line) -> dict[str, Any]:
    return {
        "the_batch": segment.batch_id,
        "the_line": line.number,
        "attempts": line.attempts,
        "unknown_attempts": line.unknown_attempts,
    }


def _lease(segment: Segment, worker: str) -> Lease:
    return Lease(segment.id, segment.epoch, worker)
