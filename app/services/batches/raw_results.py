"""What providers wrote of a batch's lines, as they wrote it: the results of all its jobs, read from there once more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.connectors.contract.errors import MissingError, UpstreamError
from app.data.batches import jobs
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, NotFoundError, ProviderError
from app.services import provider_errors
from app.services.batches import batches
from app.services.batches.batch_object import TERMINAL
from app.services.batches.results import buffered
from app.services.gateway import Caller, Gateway
from app.services.jobs import harvest

OVER = ("ended", "done")
RETRY_AFTER_S = 30.0


@dataclass(frozen=True, slots=True)
class RawResults:
    """A batch whose jobs are all over; `job_ids` are rows of those that its provider has had, in order."""

    batch: AnyRow
    job_ids: Sequence[int] = field(repr=False)


def find(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> RawResults:
    """The results of a batch that its provider ran. Nothing is asked there.

    Raises NotFoundError, InvalidRequestError for a batch that the gateway ran, ConflictError before all jobs are over.
    """
    batch = batches.retrieve(gateway, caller, public_id, provider=provider)
    if batch.execution != batches.PROVIDER:
        text = "format: the gateway ran this batch line by line, so that no provider has its results: leave out format."
        raise InvalidRequestError(text, param="format")
    with gateway.database.read() as connection:
        parts = jobs.places(connection, batch.id)
    if batch.status not in TERMINAL and not (parts and all(job.state in OVER for job in parts)):
        text = f"Batch {batch.public_id} is {batch.status}; its provider's results are there when all of it is over."
        raise ConflictError(text, retry_after_s=RETRY_AFTER_S)
    return RawResults(batch, [job.id for job in parts if job.native_id is not None and job.state in OVER])


def stream(gateway: Gateway, found: RawResults) -> Iterator[bytes]:
    """The lines of one job after another, in buffers; no connection to the store is held meanwhile.

    Raises before the first buffer what the provider's failure is for a caller; after it, an UpstreamError.
    """
    batch = found.batch
    buffers = buffered(_lines(gateway, found))
    with provider_errors.told(gateway, provider=batch.provider, account=str(batch.account_id)):
        try:
            first = next(buffers, b"")
        except MissingError as error:
            text = f"{batch.provider} has the results of {batch.public_id} no longer; without format they are as kept."
            raise NotFoundError(text, param="batch_id") from error
    return _continued(gateway, batch, first, buffers)


def _lines(gateway: Gateway, found: RawResults) -> Iterator[bytes]:
    for job_id in found.job_ids:
        with gateway.database.read() as connection:
            facts = jobs.facts(connection, job_id)
        account = gateway.accounts.by_id(facts.account_id)
        if account is None:
            text = f"The account at {facts.provider} that has these results is gone."
            raise ProviderError(text, provider=facts.provider)
        yield from account.connector.raw_results(harvest.native_job(facts, account))


def _continued(gateway: Gateway, batch: AnyRow, first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    try:
        yield from rest
    except (UpstreamError, ProviderError) as error:
        # The answer is under way: cutting it is the only way left to say that it is not whole.
        gateway.log.error("raw_results.cut", batch=batch.public_id, provider=batch.provider, error=error.message)
        raise
