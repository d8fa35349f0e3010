"""Jobs that the gateway fails on, by a fault of its own or of a connector: tried a few times, then ended."""

from collections.abc import Callable, Mapping

from app.data.batches import job_facts, jobs
from app.data.batches.job_facts import JobFacts
from app.data.batches.jobs import NOW, JobLease
from app.engine.outcomes import GATEWAY_ERROR
from app.services.gateway import Gateway
from app.services.jobs import harvest, reconcile, transition

# With the back-off of jobs these take minutes, so that a fault of one release can be mended in time.
MAX_ATTEMPTS = 8
BACKOFF_AS_FAULTS = 5


def put_off(gateway: Gateway, lease: JobLease, error: Exception) -> None:
    """Let other jobs go first after a step of this one failed; the log has the error.

    After the last attempt the job ends with a reason. Raises LeaseLostError.
    """
    with gateway.database.read() as connection:
        facts = job_facts.find(connection, lease.id)
    if facts.state != lease.state:
        return  # the step got further than it seems; the job is looked at again when its lease ends
    why = f"The gateway failed on this job ({type(error).__name__}); its log has the details."
    faults = facts.faults + 1
    if faults >= MAX_ATTEMPTS and lease.state in ENDS:
        gateway.log.error("job.given_up", batch=facts.public_id, job=facts.number, state=lease.state, reason=why)
        ENDS[lease.state](gateway, lease, facts, why)
        return
    delay_s = transition.backoff_s(gateway.settings, max(faults, BACKOFF_AS_FAULTS))
    with gateway.database.write() as connection:
        jobs.move(connection, lease, delay_ms=int(delay_s * 1000), faults=faults, last_error=why)


def _fail(gateway: Gateway, lease: JobLease, _facts: JobFacts, why: str) -> None:
    """End the job as failed; what results its provider has are still asked for."""
    errors = [{"code": GATEWAY_ERROR, "message": why, "param": None, "line": None}]
    transition.move(
        gateway, lease, state="ended", status="failed", ended_at=NOW, errors=errors, last_error=why, faults=0
    )


def _lose_sight(gateway: Gateway, lease: JobLease, facts: JobFacts, _why: str) -> None:
    reconcile.unknown(gateway, lease, facts)


# The end of a job by the state that its step failed in.
ENDS: Mapping[str, Callable[[Gateway, JobLease, JobFacts, str], None]] = {
    "pending": _fail,
    "creating": _lose_sight,
    "running": _fail,
    "ended": harvest.give_up,
}
