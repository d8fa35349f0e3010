"""Raw results: the lines that providers wrote for a batch, read once more from all of its jobs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.connectors.contract.errors import MissingError, UpstreamError
from app.data.batches import job_facts
from app.errors import ConflictError, InvalidRequestError, NotFoundError, ProviderError
from app.services import provider_errors
from app.services.batches import batches
from app.services.batches.batches import Batch
from app.services.batches.create import PROVIDER
from app.services.batches.results import BUFFER_BYTES, NO_REASON, buffered, reason
from app.services.copies import looks
from app.services.gateway import Caller, Gateway
from app.services.jobs import harvest

ENDED = ("ended", "done")
RETRY_AFTER_S = 30.0


@dataclass(frozen=True, slots=True)
class RawResults:
    """A batch whose jobs have all ended; `job_ids` are the rows of those that its provider has had, in order."""

    batch: Batch
    job_ids: Sequence[int] = field(repr=False)


def find(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> RawResults:
    """The raw results of a batch that its provider ran. Asks no provider yet.

    Raises NotFoundError, also for a batch that its provider never made, InvalidRequestError for one that the gateway
    ran, ConflictError until all jobs have ended.
    """
    batch = batches.retrieve(gateway, caller, public_id, provider=provider)
    if batch.execution != PROVIDER:
        text = "format: the gateway ran this batch line by line, so no provider has its results: leave out format."
        raise InvalidRequestError(text, param="format")
    with gateway.database.read() as connection:
        jobs = job_facts.of_batch(connection, batch.id)
    if not batch.has_ended and not (jobs and all(job.state in ENDED for job in jobs)):
        text = f"Batch {batch.public_id} is {batch.status}; its provider's results are available once it has ended."
        raise ConflictError(text, retry_after_s=RETRY_AFTER_S)
    made = [job.id for job in jobs if job.native_id is not None and job.state in ENDED]
    if not made and reason(batch) is not None:
        raise _nothing(batch)
    return RawResults(batch, made)


def stream(gateway: Gateway, results: RawResults, *, buffer_bytes: int = BUFFER_BYTES) -> Iterator[bytes]:
    """The lines of one job after another, in buffers; no database connection is held meanwhile.

    Before the first buffer, raises the GatewayError that matches the provider's failure; after it, an UpstreamError.
    """
    batch = results.batch
    buffers = buffered(_lines(gateway, results), buffer_bytes)
    account = gateway.accounts.by_id(batch.account_id)
    with provider_errors.translated(gateway, provider=batch.provider, account=account.name if account else ""):
        try:
            first = next(buffers, b"")
        except MissingError as error:
            if reason(batch) is not None:
                raise _nothing(batch) from error
            if _ended_just_now(gateway, results):
                raise looks.not_shown(batch.provider, f"the results of {batch.public_id}") from error
            text = (
                f"{batch.provider} no longer has the results of {batch.public_id}; "
                "leave out format to get the gateway's copy."
            )
            raise NotFoundError(text, param="batch_id") from error
    if not first and reason(batch) is not None:
        raise _nothing(batch)
    return _continued(gateway, batch, first, buffers)


def _nothing(batch: Batch) -> NotFoundError:
    """The error for a batch that failed as a whole, so that its provider has no results."""
    why = (reason(batch) or {}).get("message") or NO_REASON
    text = f"{batch.provider} has no results of {batch.public_id}, which failed: {why}"
    return NotFoundError(text, param="batch_id")


def _ended_just_now(gateway: Gateway, results: RawResults) -> bool:
    """True while results may only not be visible yet."""
    with gateway.database.read() as connection:
        found = [job_facts.find(connection, job_id).ended_at for job_id in results.job_ids]
    return gateway.clock.now_ms() - max((at for at in found if at is not None), default=0) < looks.SETTLED_MS


def _lines(gateway: Gateway, results: RawResults) -> Iterator[bytes]:
    for job_id in results.job_ids:
        with gateway.database.read() as connection:
            facts = job_facts.find(connection, job_id)
        account = gateway.accounts.by_id(facts.account_id)
        if account is None:
            text = f"The account at {facts.provider} that has these results has been removed."
            raise ProviderError(text, provider=facts.provider)
        # What a provider says of a failure may repeat the account's key.
        yield from map(account.connector.hide_row, account.connector.raw_results(harvest.native_job(facts, account)))


def _continued(gateway: Gateway, batch: Batch, first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    try:
        yield from rest
    except (UpstreamError, ProviderError) as error:
        # The response has begun: cutting it off is the only way left to tell the client that it is incomplete.
        gateway.log.error("raw_results.cut", batch=batch.public_id, provider=batch.provider, reason=error.message)
        raise
