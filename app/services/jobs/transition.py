"""Writing to a job, and in the same transaction what follows for its batch."""

import random
from collections.abc import Callable
from typing import Unpack

from sqlalchemy import Connection

from app.connectors.contract.errors import UpstreamError
from app.connectors.contract.objects import JobError, NativeJob
from app.data.batches import job_facts, jobs, lines, work
from app.data.batches.job_facts import Errors, JobFacts
from app.data.batches.jobs import NOW, JobChanges, JobLease
from app.data.batches.work import BatchChanges, LockedBatch
from app.data.store.database import Database
from app.lib.states import TERMINAL
from app.services import provider_errors
from app.services.gateway import Gateway
from app.services.jobs.fold import MAX_ERRORS, fold
from app.services.leases import require
from app.settings import Settings

MAX_POLL_S = 60.0
MAX_BACKOFF_S = 300.0
# A job is polled about twenty times in the first half of its life so far.
AGE_PER_POLL = 20
ERROR_LENGTH = 2000
SUBMIT_FAILED = "batch_failed"


def write(gateway: Gateway, batch_id: int, act: Callable[[Connection, LockedBatch], bool]) -> bool:
    """Call `act` on a job of the batch and, if it returns True, write what follows for the batch.

    Returns what `act` does. The batch is locked throughout.
    """

    def unit(connection: Connection) -> bool:
        batch = work.lock(connection, batch_id)
        done = act(connection, batch)
        if done:
            _follow(connection, batch)
        return done

    return gateway.database.run(unit)


def move(gateway: Gateway, lease: JobLease, *, delay_s: float = 0.0, **changes: Unpack[JobChanges]) -> None:
    """Write `changes` and release the job; it is due again after `delay_s`. Raises LeaseLostError."""

    def act(connection: Connection, _batch: LockedBatch) -> bool:
        return jobs.move(connection, lease, delay_ms=int(delay_s * 1000), **changes)

    require(write(gateway, lease.batch_id, act))


def postpone(
    gateway: Gateway,
    lease: JobLease,
    facts: JobFacts,
    why: str | UpstreamError,
    *,
    at_least_s: float = 0.0,
    changes: JobChanges | None = None,
) -> None:
    """Count a fault outside of the job, write `changes`, retry after a back-off. Raises LeaseLostError."""
    shown = provider_errors.reason(why, provider=facts.provider) if isinstance(why, UpstreamError) else why
    delay_s = max(at_least_s, backoff_s(gateway.settings, facts.faults + 1))
    log = gateway.log.info if facts.faults else gateway.log.warning  # the first of an episode is news
    log(
        "job.postponed",
        batch=facts.public_id,
        job=facts.number,
        state=lease.state,
        reason=str(why),
        delay_s=round(delay_s, 1),
    )
    counted: JobChanges = {"faults": facts.faults + 1, "last_error": shown[:ERROR_LENGTH]}
    move(gateway, lease, delay_s=delay_s, **(counted | (changes or {})))


def end_unmade(gateway: Gateway, lease: JobLease, status: str) -> None:
    """End a job that was never made, as cancelled or expired. Raises LeaseLostError."""
    move(gateway, lease, state="done", status=status, done_at=NOW)


def observed(gateway: Gateway, facts: JobFacts, native: NativeJob) -> JobChanges:
    """Columns of a job that its provider reports as `native`. One that has ended there is `ended` here: to harvest.

    What makes no sense is logged once for each job, and shown if it leaves unclear how far the job is.
    """
    if native.odd and gateway.episodes.failed(("odd", facts.id), ",".join(native.odd)):
        gateway.log.warning(
            "job.odd",
            batch=facts.public_id,
            job=facts.number,
            provider=facts.provider,
            native_id=native.id,
            members=list(native.odd),
            status=native.native_status,
        )
    changes: JobChanges = {
        "status": native.status,
        "native_status": native.native_status[:64],
        "output_native_id": native.output_id,
        "error_native_id": native.error_id,
        "native_total": native.total,
        "native_completed": native.completed,
        "native_failed": native.failed,
        "native_expires_at": native.expires_at,
        "last_error": native.unclear[:ERROR_LENGTH] or None,
        "faults": 0,
    }
    if native.status in TERMINAL:
        changes["state"] = "ended"
        changes["ended_at"] = native.ended_at or NOW
    if native.errors:
        changes["errors"] = errors(gateway, facts, native.errors)
    return changes


def errors(gateway: Gateway, facts: JobFacts, native: tuple[JobError, ...]) -> Errors:
    """Entries of `errors.data`, without the account's secrets; line numbers of the job's input become the batch's."""
    account = gateway.accounts.by_id(facts.account_id)
    entries: Errors = [
        {
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "line": _line(gateway.database, facts, error.line),
        }
        for error in native[:MAX_ERRORS]
    ]
    return entries if account is None else [account.connector.hide(entry) for entry in entries]


def poll_s(settings: Settings, age_ms: int | None) -> float:
    """Seconds until a job that runs well is polled again."""
    base = settings.job_poll_s
    longest = max(base, MAX_POLL_S)
    return _jittered(min(longest, max(base, (age_ms or 0) / 1000 / AGE_PER_POLL)))


def backoff_s(settings: Settings, faults: int) -> float:
    """Seconds until the next attempt after so many faults in a row."""
    base = settings.job_poll_s / 4
    return _jittered(min(max(base, MAX_BACKOFF_S), base * 2 ** min(faults, 20)))


def _jittered(delay_s: float) -> float:
    return delay_s * random.uniform(0.8, 1.2)  # noqa: S311 - so that workers do not poll all at once


def _line(database: Database, facts: JobFacts, position: int | None) -> int | None:
    if position is None or position < 1 or not facts.rewritten:
        return position
    with database.read() as connection:
        return lines.nth_sent(
            connection, facts.batch_id, first=facts.first_line, last=facts.last_line, position=position
        )


def _follow(connection: Connection, batch: LockedBatch) -> None:
    folded = fold(job_facts.tallies(connection, batch.id))
    changes: BatchChanges = {}
    if folded.expires_at is not None:
        changes["expires_at"] = min(folded.expires_at, batch.finish_by or folded.expires_at)
    if folded.runs and batch.in_progress_at is None:
        changes["in_progress_at"] = NOW
        if batch.status == "validating":
            changes["status"] = "in_progress"
    if folded.errors:
        changes["errors"] = folded.errors
    counts = dict(folded.counts)
    if folded.ending is not None and batch.status != "cancelling":
        if folded.ending == "failed":
            code = str(folded.errors[0]["code"] or SUBMIT_FAILED) if folded.errors else SUBMIT_FAILED
            lines.fail_pending(connection, batch.id, code=code)
            changes["status"], changes["failed_at"] = "failed", NOW
            counts["lines_failed"] = batch.lines_total
        else:
            changes["status"], changes["finalizing_at"] = "finalizing", NOW
            changes["ending"] = folded.ending
    work.follow(connection, batch.id, counts, **changes)
