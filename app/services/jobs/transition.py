"""What happens to a job, and to its batch with it, in one transaction."""

import random
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from app.connectors.contract.objects import JobError, NativeJob
from app.data.batches import job_lines, jobs
from app.data.batches.jobs import JobLease
from app.data.store.database import AnyRow
from app.services.gateway import Gateway
from app.services.jobs.fold import MOST_ERRORS, fold
from app.services.leases import require

OVER = ("completed", "failed", "expired", "cancelled")
LONGEST_POLL_S = 60.0
LONGEST_WAIT_S = 300.0
# A job is looked at about twenty times in the first half of its life so far.
AGE_PER_LOOK = 20
ERROR_LENGTH = 2000
BROKEN_AS_FAULTS = 5
SUBMIT_FAILED = "batch_failed"


def write(gateway: Gateway, batch_id: int, act: Callable[[Connection, AnyRow], bool]) -> bool:
    """`act` on a job of the batch and, when it is true, what follows for the batch. Returns what `act` does."""

    def unit(connection: Connection) -> bool:
        batch = jobs.lock_batch(connection, batch_id)
        done = act(connection, batch)
        if done:
            _follow(connection, batch)
        return done

    return gateway.database.run(unit)


def move(gateway: Gateway, lease: JobLease, *, delay_s: float = 0.0, **values: Any) -> None:
    """Write `values` under the lease and give it back; the job is due after `delay_s`. Raises LeaseLostError."""

    def act(connection: Connection, _batch: AnyRow) -> bool:
        return jobs.move(connection, lease, delay_ms=int(delay_s * 1000), **values)

    require(write(gateway, lease.batch_id, act))


def postpone(
    gateway: Gateway, lease: JobLease, facts: Any, why: str, *, at_least_s: float = 0.0, **values: Any
) -> None:
    """Something outside of the job is wrong: count it, tell it, try again later. Raises LeaseLostError."""
    delay_s = max(at_least_s, backoff_s(gateway, facts.faults + 1))
    gateway.log.warning(
        "job.postponed",
        batch=facts.public_id,
        job=facts.number,
        state=lease.state,
        error=why,
        delay_s=round(delay_s, 1),
    )
    move(gateway, lease, delay_s=delay_s, faults=facts.faults + 1, last_error=why[:ERROR_LENGTH], **values)


def put_off(gateway: Gateway, lease: JobLease, error: Exception) -> None:
    """The gateway itself, or a connector, broke on this job: others go first. What it was is in the log."""
    why = f"The gateway failed on this job ({type(error).__name__}); its log tells more."
    with gateway.database.write() as connection:
        jobs.move(connection, lease, delay_ms=int(backoff_s(gateway, BROKEN_AS_FAULTS) * 1000), last_error=why)


def end_unmade(gateway: Gateway, lease: JobLease, status: str) -> None:
    """A job that was never made is over: cancelled or expired. Raises LeaseLostError."""
    move(gateway, lease, state="done", status=status, done_at=True)


def observed(gateway: Gateway, facts: Any, native: NativeJob) -> dict[str, Any]:
    """Columns of a job whose provider tells `native`; one that is over there is `ended` here, with results to fetch."""
    values: dict[str, Any] = {
        "status": native.status,
        "native_status": native.native_status[:64],
        "output_native_id": native.output_id,
        "error_native_id": native.error_id,
        "native_total": native.total,
        "native_completed": native.completed,
        "native_failed": native.failed,
        "native_expires_at": native.expires_at,
        "last_error": None,
        "faults": 0,
    }
    if native.status in OVER:
        values |= {"state": "ended", "ended_at": native.ended_at or True}
    if native.errors:
        values["errors"] = errors(gateway, facts, native.errors)
    return values


def errors(gateway: Gateway, facts: Any, told: tuple[JobError, ...]) -> list[dict[str, Any]]:
    """Entries of `errors.data`: lines of the job's input become lines of the batch's."""
    return [
        {"code": error.code, "message": error.message, "param": error.param, "line": _line(gateway, facts, error.line)}
        for error in told[:MOST_ERRORS]
    ]


def poll_s(gateway: Gateway, age_ms: int | None) -> float:
    """How long a job that runs well is left alone."""
    base = gateway.settings.job_poll_s
    most = max(base, LONGEST_POLL_S)
    return _jittered(min(most, max(base, (age_ms or 0) / 1000 / AGE_PER_LOOK)))


def backoff_s(gateway: Gateway, faults: int) -> float:
    """How long to wait after so many faults in a row."""
    base = gateway.settings.job_poll_s / 4
    return _jittered(min(max(base, LONGEST_WAIT_S), base * 2 ** min(faults, 20)))


def _jittered(delay_s: float) -> float:
    return delay_s * random.uniform(0.8, 1.2)  # noqa: S311 - so that workers do not look all at once


def _line(gateway: Gateway, facts: Any, position: int | None) -> int | None:
    if position is None or position < 1 or not facts.rewritten:
        return position
    with gateway.database.read() as connection:
        return job_lines.nth_sent(
            connection, facts.batch_id, first=facts.first_line, last=facts.last_line, position=position
        )


def _follow(connection: Connection, batch: Any) -> None:
    folded = fold(jobs.to_fold(connection, batch.id))
    values: dict[str, Any] = dict(folded.counts)
    if folded.expires_at is not None:
        values["expires_at"] = folded.expires_at
    if folded.runs and batch.in_progress_at is None:
        values["in_progress_at"] = True
        if batch.status == "validating":
            values["status"] = "in_progress"
    if folded.errors:
        values["errors"] = folded.errors
    if folded.ending is not None and batch.status != "cancelling":
        if folded.ending == "failed":
            code = str(folded.errors[0]["code"] or SUBMIT_FAILED) if folded.errors else SUBMIT_FAILED
            job_lines.fail_pending(connection, batch.id, code=code[:128])
            values |= {"status": "failed", "failed_at": True, "lines_failed": batch.lines_total}
        else:
            values |= {"status": "finalizing", "finalizing_at": True, "ending": folded.ending}
    jobs.follow(connection, batch.id, **values)
