"""Jobs whose creation got no answer: looked for at their provider, and never made twice."""

from dataclasses import replace

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import UpstreamError, UpstreamServerError
from app.connectors.contract.objects import JobError, NativeJob, SoughtJob
from app.connectors.contract.paging import UNREAD_ROWS
from app.connectors.contract.refusals import NO_SUCH_CALL
from app.data.audit import events
from app.data.audit.events import EventValues
from app.data.batches import job_facts, jobs
from app.data.batches.job_facts import JobFacts
from app.data.batches.jobs import NOW, JobLease
from app.data.batches.work import LockedBatch
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.gateway import Gateway
from app.services.jobs import submit, transition
from app.services.leases import require
from app.services.money import charge

# How far the provider's clock may be behind the database's.
MAX_SKEW_MS = 120_000
# After so many looks that cannot tell whether the job was made, an operator decides.
MAX_BLIND_LOOKS = 3
SEVERAL = "perhaps_made"
UNCLEAR = (SEVERAL, UNREAD_ROWS)
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
    finds = account.abilities.jobs.finds
    if not finds and account.abilities.support("batch_list") is not Support.NATIVE:
        unknown(gateway, lease, facts)
        return
    if not finds and (early_s := _early_s(gateway, facts)) > 0:
        transition.move(gateway, lease, delay_s=early_s)
        return
    try:
        native = _find(gateway, facts, account) if finds else _none(gateway, facts, account)
    except UpstreamError as error:
        why = provider_errors.reason(error, provider=facts.provider)
        final = error.status in NO_SUCH_CALL or provider_errors.is_final(error, provider=facts.provider)
        if (final or error.code in UNCLEAR) and facts.faults + 1 >= MAX_BLIND_LOOKS:
            unknown(gateway, lease, replace(facts, last_error=why))
        else:
            _postpone(gateway, lease, facts, why, at_least_s=error.retry_after_s or 0.0)
        return
    if native is None:
        _not_found(gateway, lease, facts)
    else:
        submit.made(gateway, facts, native, attempt=facts.attempt)


def _not_found(gateway: Gateway, lease: JobLease, facts: JobFacts) -> None:
    """The provider has not made the job: it is asked again, unless it refused several times."""
    gateway.log.warning(
        "job.not_found", batch=facts.public_id, job=facts.number, attempt=facts.attempt, reason=NOT_THERE
    )
    # A job that was made anew has the number of the attempt before in its marker.
    before = facts.marker.rpartition(".")[2]
    tries = facts.attempt - (int(before) if before.isdigit() else 0)
    if (facts.native_status or "").startswith(submit.REFUSED) and tries >= submit.MAX_TRIES:
        submit.refuse(
            gateway, lease, facts, JobError(submit.NO_CODE, facts.last_error or "The provider gave no reason.")
        )
        return
    transition.move(gateway, lease, state="pending", faults=0)


def give_up(gateway: Gateway, lease: JobLease) -> None:
    """End an unknown job whose batch was cancelled, or whose window has ended without a word from the operator.

    Raises LeaseLostError.
    """
    with gateway.database.read() as connection:
        facts = job_facts.find(connection, lease.id)
    cancelled = facts.batch_status == "cancelling"
    if facts.left_ms > 0 and not cancelled:
        transition.move(gateway, lease, delay_s=facts.left_ms / 1000)
        return

    def act(connection: Connection, _batch: LockedBatch) -> bool:
        status = "cancelled" if cancelled else "expired"
        if not jobs.move(connection, lease, state="done", status=status, done_at=NOW):
            return False
        charge.note_job(connection, gateway, facts.batch_id, job_id=facts.id, attempt=facts.attempt)
        return True

    require(transition.write(gateway, lease.batch_id, act))


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
        delay_ms = 0 if facts.batch_status == "cancelling" else max(0, facts.left_ms)
        return jobs.move(connection, lease, delay_ms=delay_ms, state="unknown", last_error=why, faults=0)

    require(transition.write(gateway, lease.batch_id, act))


def _postpone(gateway: Gateway, lease: JobLease, facts: JobFacts, why: str, *, at_least_s: float = 0.0) -> None:
    """Look again later, but not after the window: from then on nobody waits for the answer."""
    if facts.left_ms <= 0:
        unknown(gateway, lease, replace(facts, last_error=why))
    else:
        transition.postpone(gateway, lease, facts, why, at_least_s=at_least_s)


def _early_s(gateway: Gateway, facts: JobFacts) -> float:
    """Seconds until what the provider does not list by then was not made.

    If this process, or the one before, did not hear of the call's end, it may have lasted as long as calls may.
    """
    settings = gateway.settings
    call_s = 0.0 if facts.last_error else 2 * settings.call_timeout_s
    age_s = (facts.expires_at - facts.left_ms - (facts.creating_at or 0)) / 1000
    return settings.reconcile_s + call_s - age_s


def _none(gateway: Gateway, facts: JobFacts, account: Account) -> NativeJob | None:
    """None when the provider has not made the job: its list has no job of that time that is nobody's.

    Raises UpstreamError when that cannot be known.
    """
    listed = account.connector.recent_jobs(not_before=(facts.creating_at or 0) - MAX_SKEW_MS)
    with gateway.database.read() as connection:
        held = job_facts.held_native_ids(connection, facts.account_id, [job.id for job in listed])
    free = [job.id for job in listed if job.id not in held]
    if free:
        text = f"One of these jobs at the provider may be this one: {', '.join(free[:10])}."
        raise UpstreamServerError(text, code=SEVERAL)
    return None


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
