"""Jobs whose creation got no answer: looked for at their provider, and never made twice."""

from dataclasses import replace

from sqlalchemy import Connection

from app.connectors.contract.errors import UpstreamError
from app.connectors.contract.objects import NativeJob, SoughtJob
from app.data.audit import events
from app.data.audit.events import EventValues
from app.data.batches import job_facts, jobs
from app.data.batches.job_facts import JobFacts
from app.data.batches.jobs import JobLease
from app.data.batches.work import LockedBatch
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.gateway import Gateway
from app.services.jobs import submit, transition
from app.services.leases import require

# How far the provider's clock may be behind the database's.
MAX_SKEW_MS = 120_000
WORKER = "worker"
NOT_THERE = "The provider does not have it: it is made again."


def reconcile(gateway: Gateway, lease: JobLease) -> None:
    """Find a job that has been `creating` for long, or let it be made again. Raises LeaseLostError."""
    with gateway.database.read() as connection:
        facts = job_facts.find(connection, lease.id)
    account = gateway.accounts.by_id(facts.account_id)
    if account is None:
        _postpone(gateway, lease, facts, "The account of this job has been removed.")
        return
    if not account.abilities.jobs.finds:
        unknown(gateway, lease, facts)
        return
    try:
        native = _find(gateway, facts, account)
    except UpstreamError as error:
        why = provider_errors.reason(error, provider=facts.provider)
        _postpone(gateway, lease, facts, why, at_least_s=error.retry_after_s or 0.0)
        return
    if native is None:
        gateway.log.warning(
            "job.not_found", batch=facts.public_id, job=facts.number, attempt=facts.attempt, reason=NOT_THERE
        )
        transition.move(gateway, lease, state="pending")
    else:
        submit.made(gateway, facts, native, attempt=facts.attempt)


def give_up(gateway: Gateway, lease: JobLease) -> None:
    """Expire an unknown job whose window has ended without a word from the operator. Raises LeaseLostError."""
    with gateway.database.read() as connection:
        facts = job_facts.find(connection, lease.id)
    if facts.left_ms > 0:
        transition.move(gateway, lease, delay_s=facts.left_ms / 1000)
        return
    transition.end_unmade(gateway, lease, "expired")


def unknown(gateway: Gateway, lease: JobLease, facts: JobFacts) -> None:
    """Leave a job that may or may not exist at its provider to the operator. Raises LeaseLostError."""
    text = "It is not known whether the provider made this job: see `batchgate batches resolve`."
    gateway.log.error("job.unknown", batch=facts.public_id, job=facts.number, provider=facts.provider, reason=text)
    event: EventValues = {
        "request_id": lease.worker[:64],
        "project_id": facts.project_id,
        "source": WORKER,
        "operation": "job_create",
        "object_id": facts.public_id,
        "outcome": "unknown",
        "detail": {"job": facts.number, "provider": facts.provider, "attempt": facts.attempt},
    }

    def act(connection: Connection, _batch: LockedBatch) -> bool:
        events.insert_event(connection, **event)
        why = f"{text} {facts.last_error or ''}".strip()
        return jobs.move(connection, lease, delay_ms=max(0, facts.left_ms), state="unknown", last_error=why)

    require(transition.write(gateway, lease.batch_id, act))


def _postpone(gateway: Gateway, lease: JobLease, facts: JobFacts, why: str, *, at_least_s: float = 0.0) -> None:
    """Look again later, but not after the window: from then on nobody waits for the answer."""
    if facts.left_ms <= 0:
        unknown(gateway, lease, replace(facts, last_error=why))
    else:
        transition.postpone(gateway, lease, facts, why, at_least_s=at_least_s)


def _find(gateway: Gateway, facts: JobFacts, account: Account) -> NativeJob | None:
    sought = SoughtJob(
        marker=facts.marker, input_id=facts.input_native_id, not_before=(facts.creating_at or 0) - MAX_SKEW_MS
    )
    candidates = account.connector.find_jobs(sought)
    if not candidates:
        return None
    with gateway.database.read() as connection:
        held = job_facts.held_native_ids(connection, facts.account_id, [job.id for job in candidates])
    free = [job for job in candidates if job.id not in held]
    if len(free) > 1:
        gateway.log.error(
            "job.several_found", batch=facts.public_id, job=facts.number, native_ids=[job.id for job in free[:10]]
        )
    return free[0] if free else None
