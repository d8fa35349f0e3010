"""What operators do with jobs: list them, and resolve those whose fate the gateway cannot know."""

from dataclasses import dataclass

from sqlalchemy import Connection

from app.connectors.contract.errors import MissingError
from app.data.batches import job_facts, jobs
from app.data.batches.job_facts import ShownJob as ShownJob  # what callers of this module get
from app.data.batches.jobs import NOW, JobChanges
from app.data.batches.work import LockedBatch
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services import provider_errors
from app.services.events import record
from app.services.gateway import Actor, Gateway
from app.services.jobs import transition
from app.services.money import charge

UNKNOWN = "unknown"
GIVEN_UP = {
    "code": "job_unknown",
    "message": "It is not known whether the provider made the job of this batch; the operator gave it up.",
    "param": None,
    "line": None,
}


@dataclass(frozen=True, slots=True)
class Resolution:
    """The operator's decision: the provider has the job as `native_id`, it is made `again`, or (neither) given up."""

    native_id: str | None = None
    again: bool = False


def list_(gateway: Gateway, batch: str) -> list[ShownJob]:
    """The jobs of a batch (its public id), in order. Raises NotFoundError when there are none."""
    with gateway.database.read() as connection:
        rows = job_facts.named(connection, batch)
    if not rows:
        raise NotFoundError(f"There is no batch {batch!r:.100} with jobs at a provider.")
    return rows


def shown(gateway: Gateway, batch: str, *, limit: int) -> list[ShownJob]:
    """As `list_`, at most `limit` of them; none of a batch without jobs."""
    with gateway.database.read() as connection:
        return job_facts.named(connection, batch, limit=limit)


def resolve(
    gateway: Gateway, batch: str, resolution: Resolution, *, number: int | None = None, actor: Actor = record.OPERATOR
) -> ShownJob:
    """Resolve an unknown job; returns it. `number` is needed when several jobs of the batch are unknown.

    Raises NotFoundError, ConflictError, InvalidRequestError, and the GatewayError for a failing provider.
    """
    job = _unknown(list_(gateway, batch), batch, number)
    changes = _changes(gateway, job, resolution)

    def act(connection: Connection, _batch: LockedBatch) -> bool:
        if not jobs.resolve(connection, job.id, **changes):
            return False
        if resolution.native_id is None:
            charge.note_job(connection, gateway, job.batch_id, job_id=job.id, attempt=job.attempt)
        record.record_act(
            connection,
            operation="job_resolve",
            object_id=batch,
            actor=actor,
            project_id=job.project_id,
            detail={"job": job.number, "state": changes["state"], "native_id": resolution.native_id},
        )
        return True

    if not transition.write(gateway, job.batch_id, act):
        raise ConflictError(f"Job {job.number} of {batch} is no longer unknown.")
    return next(row for row in list_(gateway, batch) if row.id == job.id)


def _unknown(rows: list[ShownJob], batch: str, number: int | None) -> ShownJob:
    unknown = [row for row in rows if row.state == UNKNOWN and number in (None, row.number)]
    if not unknown:
        which = f"{batch} has no unknown job" if number is None else f"Job {number} of {batch} is not unknown"
        raise ConflictError(f"{which}; there is nothing to resolve.")
    if len(unknown) > 1:
        numbers = ", ".join(str(row.number) for row in unknown)
        raise InvalidRequestError(f"Several jobs of {batch} are unknown: name one of them ({numbers}).", param="job")
    return unknown[0]


def _changes(gateway: Gateway, job: ShownJob, resolution: Resolution) -> JobChanges:
    if resolution.again:
        return {"state": "pending", "last_error": None}
    if resolution.native_id is None:
        return {"state": "ended", "status": "failed", "ended_at": NOW, "errors": [GIVEN_UP]}
    account = gateway.accounts.by_id(job.account_id)
    if account is None:
        raise ConflictError("The account of this job has been removed.")
    with gateway.database.read() as connection:
        if job_facts.held_native_ids(connection, job.account_id, [resolution.native_id]):
            raise ConflictError(f"{resolution.native_id} is the job of another batch.", param="native_id")
    try:
        with provider_errors.translated(gateway, provider=job.provider, account=job.account):
            native = account.connector.retrieve_job(resolution.native_id)
    except NotFoundError as error:
        if isinstance(error.__cause__, MissingError):
            raise NotFoundError(
                f"{job.provider} has no job {resolution.native_id!r:.100}.", param="native_id"
            ) from error
        raise
    return {"state": "running", "native_id": native.id, "submitted_at": NOW, "last_error": None}
