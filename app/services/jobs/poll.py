"""Jobs that run at their providers: polled, cancelled, seen to end."""

import threading

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError
from app.connectors.contract.objects import NativeJob
from app.connectors.contract.refusals import NO_SUCH_CALL
from app.data.batches import job_facts, jobs
from app.data.batches.batches import Batch
from app.data.batches.job_facts import JobFacts
from app.data.batches.jobs import NOW, JobChanges, JobLease
from app.data.batches.work import LockedBatch
from app.engine.parts import JOBS
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.gateway import Gateway
from app.services.jobs import transition
from app.services.jobs.submit import FULL
from app.services.leases import LeaseLostError, lease_ms, require

# A provider ends its jobs with their window. One that still says nothing so long after it never will.
MAX_OVERDUE_MS = 7 * 24 * 3600 * 1000
# A job that its provider has just made may not be visible everywhere there yet.
SETTLING_MS = 600_000
LOST_AFTER_POLLS = 5
LOST = {
    "code": "job_lost",
    "message": "The provider no longer knows the job of this batch.",
    "param": None,
    "line": None,
}
SILENT = "provider_silent"
# How long a caller's GET waits for the provider; a later answer serves the next GET.
REFRESH_WAIT_S = 5.0


def poll(gateway: Gateway, lease: JobLease) -> None:
    """Poll a running job, or cancel it if that is still to be done: one call. Raises LeaseLostError."""
    with gateway.database.read() as connection:
        facts = job_facts.find(connection, lease.id)
    account = gateway.accounts.by_id(facts.account_id)
    if account is None:
        _postpone(gateway, lease, facts, "The account of this job has been removed.")
        return
    cancels = facts.batch_status == "cancelling" and facts.cancel_sent_at is None and can_cancel(account)
    try:
        native = _cancel(facts, account) if cancels else account.connector.retrieve_job(facts.made_id)
    except MissingError as error:
        _missing(gateway, lease, facts, error)
    except UpstreamError as error:
        changes: JobChanges = {"cancel_sent_at": NOW} if cancels and _is_refused(facts, error) else {}
        at_least_s = error.retry_after_s or 0.0
        _postpone(gateway, lease, facts, error, at_least_s=at_least_s, changes=changes)
    else:
        _write(gateway, lease, facts, native, account=account, cancelled=cancels)


def _cancel(facts: JobFacts, account: Account) -> NativeJob:
    """The job, after its provider was asked to cancel it. Raises UpstreamError."""
    try:
        return account.connector.cancel_job(facts.made_id)
    except RefusedError as error:
        if provider_errors.waits(error, provider=facts.provider) or (
            isinstance(error, MissingError) and _is_settling(facts)
        ):
            raise
        # It may be over, or its provider cannot cancel: then it runs to its end.
        native = account.connector.retrieve_job(facts.made_id)
        if not native.is_over and not _is_refused(facts, error):
            raise
        return native


def _is_refused(facts: JobFacts, error: UpstreamError) -> bool:
    return error.status in NO_SUCH_CALL or provider_errors.is_final(error, provider=facts.provider)


def _is_settling(facts: JobFacts) -> bool:
    return (facts.age_ms or 0) < SETTLING_MS or facts.faults + 1 < LOST_AFTER_POLLS


def can_cancel(account: Account) -> bool:
    """True when the provider can cancel a job."""
    return account.abilities.support("batch_cancel") is Support.NATIVE


def cancel(gateway: Gateway, batch: Batch, *, worker: str) -> bool:
    """Send the cancel of each running job of a batch that is `cancelling`; True when there was one.

    A worker sends the ones that fail here, and those that it has leased.
    """
    running = _running(gateway, batch)
    for job in running:
        lease = JobLease.to_claim(job, worker)
        with gateway.database.write() as connection:
            claimed = job.cancel_sent_at is None and jobs.claim(connection, lease, lease_ms=lease_ms(gateway.settings))
        try:
            if claimed:
                poll(gateway, lease)
        except LeaseLostError:
            gateway.log.info("job.lease_lost", batch=batch.public_id, job=job.number)
    return bool(running)


def refresh(gateway: Gateway, batch: Batch) -> bool:
    """Poll the jobs of a batch that nobody has polled for a while; True when this caller did.

    Of any number of callers one polls. When the provider is slow or broken, callers get what SQL has.
    """
    stale_ms = int(gateway.settings.refresh_s * 1000)
    mine = []
    for job in _running(gateway, batch):
        with gateway.database.write() as connection:
            if jobs.take_look(connection, job.id, stale_ms=stale_ms):
                mine.append(job)
    if not mine:
        return False
    thread = threading.Thread(target=_look_at_all, args=(gateway, batch.public_id, mine), name="refresh", daemon=True)
    thread.start()
    thread.join(REFRESH_WAIT_S)
    return True


def look(gateway: Gateway, job_id: int) -> None:
    """Poll a running job without a lease; what is written names the job that it is about. Raises UpstreamError."""
    with gateway.database.read() as connection:
        facts = job_facts.find(connection, job_id)
    account = gateway.accounts.by_id(facts.account_id)
    if account is None or facts.state != "running":
        return
    _note(gateway, facts, account.connector.retrieve_job(facts.made_id))


def _running(gateway: Gateway, batch: Batch) -> list[job_facts.JobRow]:
    with gateway.database.read() as connection:
        return [job for job in job_facts.of_batch(connection, batch.id) if job.state == "running"]


def _look_at_all(gateway: Gateway, batch: str, running: list[job_facts.JobRow]) -> None:
    for job in running:
        what = ("refresh", job.id)
        try:
            look(gateway, job.id)
            gateway.episodes.worked(what)
        except UpstreamError as error:
            log = gateway.log.warning if gateway.episodes.failed(what) else gateway.log.debug
            log("job.refresh_failed", batch=batch, job=job.number, reason=error.message)
        except Exception:
            gateway.log.exception("job.refresh_broken", batch=batch, job=job.number)


def _note(gateway: Gateway, facts: JobFacts, native: NativeJob) -> None:
    """Write what was seen of a running job outside of its lease. Its end is left to the worker, but made due now."""
    changes = transition.observed(gateway, facts, native)
    if "state" in changes:
        # The worker sees the end itself, under its lease; until then the row shows how far the job is.
        changes = {
            "native_total": native.total,
            "native_completed": native.completed,
            "native_failed": native.failed,
            "next_at": NOW,
        }

    def act(connection: Connection, _batch: LockedBatch) -> bool:
        return jobs.observe(connection, facts.id, facts.made_id, **changes)

    transition.write(gateway, facts.batch_id, act)
    if "next_at" in changes:
        gateway.hints.send(JOBS)


def _postpone(
    gateway: Gateway,
    lease: JobLease,
    facts: JobFacts,
    why: str | UpstreamError,
    *,
    at_least_s: float = 0.0,
    changes: JobChanges | None = None,
) -> None:
    if facts.left_ms > -MAX_OVERDUE_MS:
        transition.postpone(gateway, lease, facts, why, at_least_s=at_least_s, changes=changes)
        return
    shown = provider_errors.reason(why, provider=facts.provider) if isinstance(why, UpstreamError) else why
    _give_up(gateway, lease, facts, shown)


def _give_up(gateway: Gateway, lease: JobLease, facts: JobFacts, why: str) -> None:
    gateway.log.error("job.silent", batch=facts.public_id, job=facts.number, native_id=facts.native_id, reason=why)
    text = f"The provider has not told how this job ended, a week after its window: {why}"
    errors = [{"code": SILENT, "message": text, "param": None, "line": None}]
    transition.move(gateway, lease, state="ended", status="failed", ended_at=NOW, errors=errors)


def _missing(gateway: Gateway, lease: JobLease, facts: JobFacts, error: MissingError) -> None:
    settling = _is_settling(facts)
    if facts.cancel_sent_at is not None or (facts.batch_status == "cancelling" and not settling):
        transition.move(gateway, lease, state="ended", status="cancelled", ended_at=NOW)
    elif settling:
        transition.postpone(gateway, lease, facts, error)
    else:
        gateway.log.error(
            "job.lost", batch=facts.public_id, job=facts.number, native_id=facts.native_id, reason=error.message
        )
        transition.move(gateway, lease, state="ended", status="failed", ended_at=NOW, errors=[LOST])


def _write(
    gateway: Gateway, lease: JobLease, facts: JobFacts, native: NativeJob, *, account: Account, cancelled: bool
) -> None:
    if _is_full(facts, native):
        _make_again(gateway, lease, facts, native)
        return
    if not native.is_over and facts.left_ms <= -MAX_OVERDUE_MS:
        _give_up(gateway, lease, facts, native.unclear or f"it still calls it {native.native_status or native.status}.")
        return
    changes = transition.observed(gateway, facts, native)
    changes["refreshed_at"] = NOW
    if cancelled:
        changes["cancel_sent_at"] = NOW

    def act(connection: Connection, batch: LockedBatch) -> bool:
        # The batch may have been cancelled while its job was polled.
        to_cancel = batch.status == "cancelling" and facts.cancel_sent_at is None and not cancelled
        at_once = "state" in changes or (to_cancel and can_cancel(account))
        delay_ms = 0 if at_once else int(transition.poll_s(gateway.settings, facts.age_ms) * 1000)
        return jobs.move(connection, lease, delay_ms=delay_ms, **changes)

    require(transition.write(gateway, lease.batch_id, act))


def _is_full(facts: JobFacts, native: NativeJob) -> bool:
    """True for a job that failed because the account's queue was full: it waits, and is made again."""
    codes = {error.code for error in native.errors}
    still_due = facts.left_ms > 0 and facts.batch_status in jobs.MAKING
    return still_due and native.status == "failed" and bool(codes) and codes <= FULL and not native.completed


def _make_again(gateway: Gateway, lease: JobLease, facts: JobFacts, native: NativeJob) -> None:
    reason = native.errors[0].message
    gateway.log.info("job.no_room", batch=facts.public_id, job=facts.number, native_id=native.id, reason=reason)
    changes: JobChanges = {
        "state": "pending",
        "status": None,
        "native_id": None,
        "marker": f"{facts.public_id}-{facts.number}.{facts.attempt}",  # the old marker would find the old job
    }
    transition.postpone(gateway, lease, facts, reason, changes=changes)
