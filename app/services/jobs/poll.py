"""Jobs that run at their providers: looked at, cancelled, seen to end."""

import threading
from typing import Any

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError
from app.connectors.contract.objects import NativeJob
from app.data.batches import jobs
from app.data.batches.jobs import JobLease
from app.data.store.database import AnyRow
from app.services.accounts.directory import Account
from app.services.gateway import Gateway
from app.services.jobs import transition
from app.services.jobs.submit import FULL
from app.services.leases import LeaseLostError, lease_ms, require
from app.services.provider_errors import AUTH_STATUSES

# A job that its provider has just made may not be there for everyone yet.
SETTLING_MS = 600_000
LOST_AFTER_LOOKS = 5
LOST = {
    "code": "job_lost",
    "message": "The provider no longer knows the job of this batch.",
    "param": None,
    "line": None,
}
# How long a caller's GET waits for the provider; what comes later is for the next one.
LOOK_S = 5.0


def poll(gateway: Gateway, lease: JobLease) -> None:
    """Look at a running job, or cancel it where that is still to be done: one call. Raises LeaseLostError."""
    with gateway.database.read() as connection:
        facts = jobs.facts(connection, lease.id)
    account = gateway.accounts.by_id(facts.account_id)
    if account is None:
        transition.postpone(gateway, lease, facts, "The account of this job is gone.")
        return
    cancels = facts.batch_status == "cancelling" and facts.cancel_sent_at is None and can_cancel(account)
    call = account.connector.cancel_job if cancels else account.connector.retrieve_job
    try:
        native = call(facts.native_id)
    except MissingError as error:
        _missing(gateway, lease, facts, error)
    except UpstreamError as error:
        refused = cancels and isinstance(error, RefusedError) and error.status not in AUTH_STATUSES
        more = {"cancel_sent_at": True} if refused else {}
        transition.postpone(gateway, lease, facts, error.message, at_least_s=error.retry_after_s or 0.0, **more)
    else:
        _write(gateway, lease, facts, native, account=account, cancelled=cancels)


def can_cancel(account: Account) -> bool:
    """True when the provider takes back a job that it has."""
    return account.abilities.support("batch_cancel") is Support.NATIVE


def cancel(gateway: Gateway, batch: AnyRow, *, worker: str) -> bool:
    """Send the cancel of each running job of a batch that is `cancelling`; True when there was one.

    A worker sends what fails here, or what it has in its hands.
    """
    with gateway.database.read() as connection:
        running = [job for job in jobs.of_batch(connection, batch.id) if job.state == "running"]
    for job in running:
        lease = JobLease(job.id, job.epoch + 1, worker, job.batch_id, job.account_id, job.state)
        with gateway.database.write() as connection:
            claimed = job.cancel_sent_at is None and jobs.claim(connection, lease, lease_ms=lease_ms(gateway.settings))
        try:
            if claimed:
                poll(gateway, lease)
        except LeaseLostError:
            gateway.log.info("job.lease_lost", batch=batch.public_id, job=job.number)
    return bool(running)


def refresh(gateway: Gateway, batch: AnyRow) -> bool:
    """Look at the jobs of a batch that nobody has seen for a while; True when this caller was the one to look.

    Any number of callers look once. When the provider is slow or broken, what is known stays what is told.
    """
    stale_ms = int(gateway.settings.refresh_s * 1000)
    with gateway.database.read() as connection:
        running = [job for job in jobs.of_batch(connection, batch.id) if job.state == "running"]
    mine = []
    for job in running:
        with gateway.database.write() as connection:
            if jobs.take_look(connection, job.id, stale_ms=stale_ms):
                mine.append(job.id)
    if not mine:
        return False
    thread = threading.Thread(target=_look_at_all, args=(gateway, mine), name="refresh", daemon=True)
    thread.start()
    thread.join(LOOK_S)
    return True


def _look_at_all(gateway: Gateway, job_ids: list[int]) -> None:
    for job_id in job_ids:
        try:
            look(gateway, job_id)
        except UpstreamError as error:
            gateway.log.warning("job.refresh_failed", job=job_id, error=error.message)
        except Exception:
            gateway.log.exception("job.refresh_broken", job=job_id)


def look(gateway: Gateway, job_id: int) -> None:
    """One look at a running job, without a lease: what is written says which job it was. Raises UpstreamError."""
    with gateway.database.read() as connection:
        facts = jobs.facts(connection, job_id)
    account = gateway.accounts.by_id(facts.account_id)
    if account is None or facts.state != "running":
        return
    _note(gateway, facts, account.connector.retrieve_job(facts.native_id))


def _note(gateway: Gateway, facts: Any, native: NativeJob) -> None:
    """Write down what was seen of a running job outside of its lease; an end is left to the worker, but soon."""
    values = transition.observed(gateway, facts, native)
    if values.pop("state", None) is not None:
        # The worker sees the end itself, under its lease; until then the row tells how far the job is.
        values = {name: values[name] for name in ("native_total", "native_completed", "native_failed")}
        values["next_at"] = True

    def act(connection: Connection, _batch: AnyRow) -> bool:
        return jobs.observe(connection, facts.id, facts.native_id, **values)

    transition.write(gateway, facts.batch_id, act)


def _missing(gateway: Gateway, lease: JobLease, facts: Any, error: MissingError) -> None:
    settling = (facts.age_ms or 0) < SETTLING_MS or facts.faults + 1 < LOST_AFTER_LOOKS
    if facts.cancel_sent_at is not None or (facts.batch_status == "cancelling" and not settling):
        transition.move(gateway, lease, state="ended", status="cancelled", ended_at=True)
    elif settling:
        transition.postpone(gateway, lease, facts, error.message)
    else:
        gateway.log.error("job.lost", batch=facts.public_id, job=facts.number, native_id=facts.native_id)
        transition.move(gateway, lease, state="ended", status="failed", ended_at=True, errors=[LOST])


def _write(
    gateway: Gateway, lease: JobLease, facts: Any, native: NativeJob, *, account: Account, cancelled: bool
) -> None:
    if _is_full(facts, native):
        _again(gateway, lease, facts, native)
        return
    values = transition.observed(gateway, facts, native)
    values |= {"refreshed_at": True, **({"cancel_sent_at": True} if cancelled else {})}

    def act(connection: Connection, batch: AnyRow) -> bool:
        # The batch may have been cancelled while its job was looked at.
        to_cancel = batch.status == "cancelling" and facts.cancel_sent_at is None and not cancelled
        at_once = "state" in values or (to_cancel and can_cancel(account))
        delay_ms = 0 if at_once else int(transition.poll_s(gateway, facts.age_ms) * 1000)
        return jobs.move(connection, lease, delay_ms=delay_ms, **values)

    require(transition.write(gateway, lease.batch_id, act))


def _is_full(facts: Any, native: NativeJob) -> bool:
    """True for a job that failed as there was no room for it: it waits, and is made again."""
    codes = {error.code for error in native.errors}
    wanted = facts.left_ms > 0 and facts.batch_status in jobs.MAKING
    return wanted and native.status == "failed" and bool(codes) and codes <= FULL and not native.completed


def _again(gateway: Gateway, lease: JobLease, facts: Any, native: NativeJob) -> None:
    gateway.log.info("job.no_room", batch=facts.public_id, job=facts.number, native_id=native.id)
    values: dict[str, Any] = {
        "state": "pending",
        "status": None,
        "native_id": None,
        "marker": f"{facts.public_id}-{facts.number}.{facts.attempt}",  # the old one would find the old job
    }
    transition.postpone(gateway, lease, facts, native.errors[0].message, **values)
