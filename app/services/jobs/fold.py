"""What follows for a batch from its jobs. Pure, so that all of it is one table that tests can read."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_ERRORS = 100
TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens")

# The end of a batch is the first of these that one of its jobs came to:
#   cancelled   a job was ended on somebody's word: what it has is kept, and the caller is told that there was more
#   expired     a job ran out of time: the same
#   completed   every other job has its results; lines of jobs that failed are in the error file
#   failed      no job has anything: the batch tells why in `errors`, as one whose input is wrong
PRECEDENCE = ("cancelled", "expired", "completed", "failed")


@dataclass(frozen=True, slots=True)
class Folded:
    """What the batch shows. `ending` is None while a job is not done."""

    runs: bool
    ending: str | None
    expires_at: int | None
    counts: dict[str, int] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)


def fold(jobs: Sequence[Any]) -> Folded:
    """The batch that these jobs (rows of batch_jobs), all that it has, make."""
    done = all(job.state == "done" for job in jobs)
    counts = {
        "lines_completed": sum(_completed(job) for job in jobs),
        "lines_failed": sum(_failed(job) for job in jobs),
        **{name: sum(getattr(job, name) for job in jobs) for name in TOKENS},
    }
    known = [job.native_expires_at for job in jobs if job.native_expires_at is not None]
    made = all(job.state not in ("pending", "creating", "unknown") for job in jobs)
    return Folded(
        runs=any(_has_run(job) for job in jobs),
        ending=ending({str(job.status) for job in jobs}) if done else None,
        expires_at=max(known) if known and made else None,
        counts=counts,
        errors=[error for job in jobs for error in job.errors or ()][:MOST_ERRORS],
    )


def ending(outcomes: Collection[str]) -> str:
    """How a batch ends whose jobs came to `outcomes`, at least one."""
    return next(word for word in PRECEDENCE if word in outcomes)


def _has_run(job: Any) -> bool:
    if job.state == "done" and job.native_id is None:
        return False
    return job.status not in (None, "validating", "failed")


def _completed(job: Any) -> int:
    # While results come home, what the provider counted is nearer to the truth than what is here.
    told = 0 if job.state == "done" else min(_lines(job, job.native_completed), job.lines)
    return int(max(told, job.lines_completed))


def _failed(job: Any) -> int:
    told = 0 if job.state == "done" else min(_lines(job, job.native_failed), job.lines - _completed(job))
    return int(max(told, job.lines_failed))


def _lines(job: Any, counted: int | None) -> int:
    """About how many lines the provider's count of records is: a line may be sent as several."""
    total = max(job.native_total or 0, job.lines)
    return (counted or 0) * int(job.lines) // total if total else 0
