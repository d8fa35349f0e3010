"""What operators do with jobs: see them, and say what became of one that the gateway can't know."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from app.connectors.contract.errors import MissingError
from app.data.batches import jobs
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services import provider_errors
from app.services.events import record
from app.services.gateway import Gateway
from app.services.jobs import transition
from app.services.money import charge

UNKNOWN = "unknown"
GIVEN_UP = {
    "code": "job_unknown",
    "message": "It could not be known whether the provider made the job of this batch; the operator gave it up.",
    "param": None,
    "line": None,
}


@dataclass(frozen=True, slots=True)
class Word:
    """What the operator says: the job is there under `native_id`, or it is to be made again, or given up."""

    native_id: str | None = None
    again: bool = False


def listed(gateway: Gateway, batch: str) -> list[AnyRow]:
    """The jobs of a batch (its public id), in order. Raises NotFoundError when there are none."""
    with gateway.database.read() as connection:
        found = jobs.named(connection, batch)
    if not found:
        raise NotFoundError(f"There is no batch {batch!r:.100} with jobs at a provider.")
    return list(found)


def resolve(gateway: Gateway, batch: str, word: Word, *, number: int | None = None) -> AnyRow:
    """Move an unknown job on as the operator says; returns it. `number` is needed when several are unknown.

    Raises NotFoundError, ConflictError, InvalidRequestError and what the provider is told as.
    """
    job = _unknown(listed(gateway, batch), batch, number)
    values = _values(gateway, job, word)

    def act(connection: Connection, _batch: AnyRow) -> bool:
        if not jobs.resolve(connection, job.id, **values):
            return False
        if word.native_id is None:
            charge.note_job(connection, job.batch_id, job_id=job.id, attempt=job.attempt)
        record.record_act(
            connection,
            operation="job_resolve",
            object_id=batch,
            project_id=job.project_id,
            detail={"job": job.number, "state": values["state"], "native_id": word.native_id},
        )
        return True

    if not transition.write(gateway, job.batch_id, act):
        raise ConflictError(f"Job {job.number} of {batch} is not unknown any more.")
    return next(row for row in listed(gateway, batch) if row.id == job.id)


def _unknown(rows: list[AnyRow], batch: str, number: int | None) -> AnyRow:
    found = [row for row in rows if row.state == UNKNOWN and number in (None, row.number)]
    if not found:
        which = f"{batch} has no unknown job" if number is None else f"Job {number} of {batch} is not unknown"
        raise ConflictError(f"{which}; there is nothing to resolve.")
    if len(found) > 1:
        numbers = ", ".join(str(row.number) for row in found)
        raise InvalidRequestError(f"Several jobs of {batch} are unknown: say which ({numbers}).", param="job")
    return found[0]


def _values(gateway: Gateway, job: AnyRow, word: Word) -> dict[str, Any]:
    if word.again:
        return {"state": "pending", "last_error": None}
    if word.native_id is None:
        return {"state": "ended", "status": "failed", "ended_at": True, "errors": [GIVEN_UP]}
    account = gateway.accounts.by_id(job.account_id)
    if account is None:
        raise ConflictError("The account of this job is gone.")
    with gateway.database.read() as connection:
        if jobs.held_native_ids(connection, job.account_id, [word.native_id]):
            raise ConflictError(f"{word.native_id} is the job of another batch.", param="native_id")
    try:
        with provider_errors.told(gateway, provider=job.provider, account=job.account):
            native = account.connector.retrieve_job(word.native_id)
    except NotFoundError as error:
        if isinstance(error.__cause__, MissingError):
            raise NotFoundError(f"{job.provider} has no job {word.native_id!r:.100}.", param="native_id") from error
        raise
    return {"state": "running", "native_id": native.id, "submitted_at": True, "last_error": None}
