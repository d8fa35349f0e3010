"""Making a job at its provider: input copied there, intent committed, provider asked once, answer noted."""

from dataclasses import replace

from sqlalchemy import Connection

from app.connectors.contract.abilities import JobLimits
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError
from app.connectors.contract.objects import JobError, NativeJob, NewJob
from app.data.batches import job_facts, jobs
from app.data.batches.job_facts import JobFacts
from app.data.batches.jobs import NOW, JobLease
from app.data.batches.work import LockedBatch
from app.lib import failpoints
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.copies import ensure
from app.services.copies.ensure import Copy, CopyBusyError
from app.services.gateway import Gateway
from app.services.jobs import input as job_input
from app.services.jobs import transition
from app.services.jobs.input import JobInput
from app.services.leases import LeaseLostError, require
from app.services.lines.send import NotReadyError

# Codes by which a provider says that this account has enough in its queue: the job waits until the window ends.
FULL = frozenset({"token_limit_exceeded", "rate_limit_exceeded", "too_many_batches"})
# A refusal that may pass is believed after so many calls. Until then `native_status` begins with REFUSED.
MAX_TRIES = 4
REFUSED = "refused"
NO_CODE = "provider_refused"
COPY_WAIT_S = 1.0
DISABLED_WAIT_S = 5.0
MAX_METADATA = 15  # OpenAI's limit is 16, and the marker needs one


def submit(gateway: Gateway, lease: JobLease) -> None:
    """Make a pending job. Raises LeaseLostError, and BlobError when its input cannot be read."""
    with gateway.database.read() as connection:
        facts = job_facts.find(connection, lease.id)
    if facts.batch_status not in jobs.MAKING:
        transition.end_unmade(gateway, lease, "cancelled")
        return
    if facts.left_ms <= 0:
        transition.end_unmade(gateway, lease, "expired")
        return
    with gateway.database.write() as connection:
        held_ms = jobs.held_ms(connection, facts.batch_id)
    if held_ms is not None:
        transition.move(gateway, lease, delay_s=held_ms / 1000)
        return
    account = gateway.accounts.by_id(facts.account_id)
    if account is None:
        transition.postpone(gateway, lease, facts, "The account of this job has been removed.")
        return
    if account.disabled:
        why = f"The account {account.label} is disabled; the job is submitted once it is enabled."
        transition.move(gateway, lease, delay_s=DISABLED_WAIT_S, last_error=why)
        return
    try:
        with job_input.opened(gateway, facts, account, worker=lease.worker) as source:
            if not source.lines:  # none of them may be sent
                transition.move(gateway, lease, state="ended", status="completed")
                return
            _make(gateway, lease, facts, account, source)
    except NotReadyError as error:
        transition.move(gateway, lease, delay_s=COPY_WAIT_S, last_error=str(error)[: transition.ERROR_LENGTH])
    except UpstreamError as error:  # of a file that lines name
        transition.postpone(gateway, lease, facts, error, at_least_s=error.retry_after_s or 0.0)


def made(gateway: Gateway, facts: JobFacts, native: NativeJob, *, attempt: int) -> bool:
    """Note that the provider has the job. False, and an error in the log, when the row has another job by now."""
    changes = transition.observed(gateway, facts, native)
    changes["native_id"] = native.id

    def act(connection: Connection, batch: LockedBatch) -> bool:
        at_once = "state" in changes or batch.status == "cancelling"
        delay_ms = 0 if at_once else int(transition.poll_s(gateway.settings, 0) * 1000)
        return jobs.confirm(connection, facts.id, attempt=attempt, delay_ms=delay_ms, **changes)

    noted = transition.write(gateway, facts.batch_id, act)
    if noted:
        gateway.log.info("job.running", batch=facts.public_id, job=facts.number, native_id=native.id)
    else:
        gateway.log.error("job.not_ours", batch=facts.public_id, job=facts.number, native_id=native.id)
    return noted


def _make(gateway: Gateway, lease: JobLease, facts: JobFacts, account: Account, source: JobInput) -> None:
    inline = _is_inline(account.abilities.jobs, source)
    try:
        copy = None if inline else _copied(gateway, lease, facts, account, source)
    except CopyBusyError:
        transition.move(gateway, lease, delay_s=COPY_WAIT_S)
        return
    except UpstreamError as error:
        _not_made(gateway, lease, facts, error)
        return
    begun_s = gateway.clock.monotonic()
    with gateway.database.write() as connection:
        held_ms = jobs.held_ms(connection, facts.batch_id)
        if held_ms is None:
            begins = jobs.begin(
                connection,
                lease,
                input_object_id=None if copy is None else copy.object_id,
                rewritten=job_input.is_rewritten(facts, account),
                reconcile_ms=int(gateway.settings.reconcile_s * 1000),
            )
            require(begins)
    if held_ms is not None:  # since a moment ago
        transition.move(gateway, lease, delay_s=held_ms / 1000)
        return
    failpoints.hit("job.before_create")
    if gateway.clock.monotonic() - begun_s > gateway.settings.lease_s:
        raise LeaseLostError  # this process stood still: another one may be looking for the job by now
    _ask(gateway, replace(lease, state="creating"), facts, account, _new_job(facts, account, source, copy), copy)


def _is_inline(limits: JobLimits, source: JobInput) -> bool:
    return limits.inline or source.payload.length <= limits.inline_bytes


def _copied(gateway: Gateway, lease: JobLease, facts: JobFacts, account: Account, source: JobInput) -> Copy:
    return ensure.ensure(
        gateway,
        file_id=facts.input_file_id,
        account=account,
        variant=source.variant,
        new=source.new_file,
        until_ms=facts.expires_at,
        worker=lease.worker,
    )


def _new_job(facts: JobFacts, account: Account, source: JobInput, copy: Copy | None) -> NewJob:
    return NewJob(
        endpoint=source.endpoint,
        model=account.native_model(facts.model),
        window=facts.completion_window,
        marker=facts.marker,
        lines=source.lines,
        input_id=None if copy is None else copy.native_id,
        payload=source.payload if copy is None else None,
        output_expires_after_s=facts.output_expires_after_s,
        metadata=dict(list((facts.batch_metadata or {}).items())[:MAX_METADATA]),
    )


def _ask(
    gateway: Gateway, creating: JobLease, facts: JobFacts, account: Account, new: NewJob, copy: Copy | None
) -> None:
    try:
        native = account.connector.create_job(new)
    except UpstreamError as error:
        if not provider_errors.may_be_done(error):
            missing = isinstance(error, MissingError) and copy is not None and _forgot_copy(gateway, account, copy)
            _not_made(gateway, creating, facts, error, waits=missing)
            return
        # The provider may have made it. Nobody asks again before the job has been looked for.
        gateway.log.warning("job.unheard", batch=facts.public_id, job=facts.number, reason=error.message)
        last_error = provider_errors.reason(error, provider=facts.provider)[: transition.ERROR_LENGTH]
        transition.move(
            gateway,
            creating,
            delay_s=max(gateway.settings.reconcile_s, error.retry_after_s or 0.0),
            last_error=last_error,
            native_status=f"{REFUSED} {error.status}" if isinstance(error, RefusedError) else None,
            faults=0,
        )
        return
    failpoints.hit("job.after_create")
    made(gateway, facts, native, attempt=facts.attempt + 1)


def _forgot_copy(gateway: Gateway, account: Account, copy: Copy) -> bool:
    """True when it is the input file that the provider no longer has: it is copied again then."""
    try:
        account.connector.retrieve_file(copy.native_id)
    except MissingError:
        ensure.vanished(gateway, account, copy)
        return True
    except UpstreamError as error:
        gateway.log.warning("copy.not_seen", native_id=copy.native_id, reason=error.message)
    return False


def _not_made(gateway: Gateway, lease: JobLease, facts: JobFacts, error: UpstreamError, *, waits: bool = False) -> None:
    """The provider has no job: retry later if that may help, else end the job with the provider's refusal."""
    few = facts.faults + 1 < MAX_TRIES and not provider_errors.is_final(error, provider=facts.provider)
    if waits or few or error.code in FULL or provider_errors.waits(error, provider=facts.provider):
        after_s = min(error.retry_after_s or 0.0, max(0.0, facts.left_ms / 1000))
        transition.postpone(gateway, lease, facts, error, at_least_s=after_s, changes={"state": "pending"})
        return
    refuse(gateway, lease, facts, JobError(error.code or NO_CODE, error.message, error.param))


def refuse(gateway: Gateway, lease: JobLease, facts: JobFacts, why: JobError) -> None:
    """End a job that its provider refused. Raises LeaseLostError."""
    gateway.log.info("job.refused", batch=facts.public_id, job=facts.number, code=why.code, reason=why.message)
    transition.move(
        gateway,
        lease,
        state="ended",
        status="failed",
        ended_at=NOW,
        errors=[{"code": why.code, "message": why.message, "param": why.param, "line": None}],
        last_error=why.message[: transition.ERROR_LENGTH],
    )
