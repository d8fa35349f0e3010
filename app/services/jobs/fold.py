"""What follows for a batch from its jobs. Pure, so that tests can read all of it as one table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from app.data.batches.job_facts import Errors, JobTally

MAX_ERRORS = 100

# A batch ends as the first of these that one of its jobs ended as:
#   cancelled   a job was cancelled: its results are kept, and the caller learns that there was more
#   expired     a job ran out of time: the same
#   completed   every other job has its results; lines of jobs that failed are in the error file
#   failed      no job has any result: `errors` of the batch says why, as for an invalid input
PRECEDENCE = ("cancelled", "expired", "completed", "failed")


@dataclass(frozen=True, slots=True)
class Folded:
    """What the batch shows. `ending` is None while a job is not done; `counts` are counters by column of the batch."""

    runs: bool
    ending: str | None
    expires_at: int | None
    counts: dict[str, int] = field(default_factory=dict)
    errors: Errors = field(default_factory=list)


def fold(jobs: Sequence[JobTally]) -> Folded:
    """The batch that `jobs`, all of its jobs, add up to."""
    done = all(job.state == "done" for job in jobs)
    counts = {
        "lines_completed": sum(_completed(job) for job in jobs),
        "lines_failed": sum(_failed(job) for job in jobs),
        "input_tokens": sum(job.input_tokens for job in jobs),
        "cached_tokens": sum(job.cached_tokens for job in jobs),
        "output_tokens": sum(job.output_tokens for job in jobs),
        "reasoning_tokens": sum(job.reasoning_tokens for job in jobs),
        "total_tokens": sum(job.total_tokens for job in jobs),
    }
    known = [job.native_expires_at for job in jobs if job.native_expires_at is not None]
    made = all(job.state not in ("pending", "creating", "unknown") for job in jobs)
    return Folded(
        runs=any(_has_run(job) for job in jobs),
        ending=ending({str(job.status) for job in jobs}) if done else None,
        expires_at=max(known) if known and made else None,
        counts=counts,
        errors=[error for job in jobs for error in job.errors or ()][:MAX_ERRORS],
    )


def ending(outcomes: Collection[str]) -> str:
    """The end of a batch whose jobs, at least one, ended as `outcomes`."""
    return next(word for word in PRECEDENCE if word in outcomes)


def _has_run(job: JobTally) -> bool:
    if job.state == "done" and job.native_id is None:
        return False
    return job.status not in (None, "validating", "failed")


def _completed(job: JobTally) -> int:
    # Until all results are harvested, the provider's own count is nearer to the truth than the harvested lines.
    reported = 0 if job.state == "done" else min(_lines(job, job.native_completed), job.lines)
    return max(reported, job.lines_completed)


def _failed(job: JobTally) -> int:
    reported = 0 if job.state == "done" else min(_lines(job, job.native_failed), job.lines - _completed(job))
    return max(reported, job.lines_failed)


def _lines(job: JobTally, records: int | None) -> int:
    """About how many lines the provider's count of records is: a line may be sent as several records."""
    total = max(job.native_total or 0, job.lines)
    return (records or 0) * job.lines // total if total else 0
