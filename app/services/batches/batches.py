"""Batches as callers find, list, cancel and delete them; `create` makes them.

What runs a batch is in services/running when the gateway sends its lines, and in services/jobs when a provider does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.data.batches import batches, job_facts, jobs, waits
from app.data.batches.batches import Batch as Batch  # what callers of this module get
from app.data.batches.waits import WaitingBatch as WaitingBatch  # what callers of this module get
from app.data.batches.waits import WaitingOn as WaitingOn  # what callers of this module get
from app.engine.parts import JOBS
from app.errors import ConflictError, InvalidRequestError, NotFoundError, UnsupportedOperationError
from app.services import provider_errors
from app.services.batches.create import PROVIDER
from app.services.gateway import Caller, Gateway
from app.services.jobs import poll

MAX_SHOWN = 10_000


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A page of a list, and whether more follow."""

    items: Sequence[Batch]
    has_more: bool


def retrieve(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Batch:
    """A batch of the project. Raises NotFoundError, also when it is not `provider`'s."""
    with gateway.database.read() as connection:
        return find(connection, caller, public_id, provider)


def find(connection: Connection, caller: Caller, public_id: str, provider: str | None) -> Batch:
    """As `retrieve`, within a transaction."""
    # PostgreSQL refuses NUL in text, and ids of the gateway are all printable.
    batch = None
    if public_id.isprintable():
        batch = batches.find(connection, project_id=caller.project_id, public_id=public_id)
        batch = batch or batches.find_native(connection, project_id=caller.project_id, native_id=public_id)
    if batch is None or provider not in (None, batch.provider):
        # OpenAI's words.
        raise NotFoundError(f"No batch found with id '{public_id:.100}'.", param="batch_id")
    return batch


def look_up(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Batch:
    """As `retrieve`, after polling the batch's jobs at its provider if nobody has done so for a while."""
    batch = retrieve(gateway, caller, public_id, provider=provider)
    if batch.execution == PROVIDER and not batch.has_ended and poll.refresh(gateway, batch):
        return retrieve(gateway, caller, batch.public_id)
    return batch


def retrieve_with_lines(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Batch:
    """As `retrieve`; also raises NotFoundError when the batch's lines have been deleted (retention)."""
    batch = retrieve(gateway, caller, public_id, provider=provider)
    if batch.lines_state != "kept":
        text = f"The lines of {public_id} have been deleted (retention); its output and error files may still exist."
        raise NotFoundError(text, param="batch_id")
    return batch


def list_(
    gateway: Gateway,
    caller: Caller,
    *,
    limit: int,
    after: str | None = None,
    provider: str | None = None,
    statuses: Sequence[str] | None = None,
    descending: bool = True,
) -> BatchPage:
    """The project's batches, newest first when `descending`. Raises InvalidRequestError for an unknown `after`."""
    with gateway.database.read() as connection:
        cursor = None
        if after is not None:
            cursor = batches.position(connection, project_id=caller.project_id, public_id=after)
            if cursor is None:
                raise InvalidRequestError(f"after: there is no batch {after!r} in this project.", param="after")
        rows = batches.list_page(
            connection,
            project_id=caller.project_id,
            provider=provider,
            statuses=statuses,
            after=cursor,
            limit=limit,
            descending=descending,
        )
    return BatchPage(rows[:limit], has_more=len(rows) > limit)


def waiting(gateway: Gateway) -> list[WaitingBatch]:
    """Batches of all projects that wait, and for what, the longest first."""
    with gateway.database.read() as connection:
        return waits.list_all(connection, limit=MAX_SHOWN)


def cancel(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Batch:
    """Stop a batch: no more lines are sent, and finished ones are kept.

    Raises NotFoundError, ConflictError, and UnsupportedOperationError when its provider cannot cancel jobs.
    """
    before = retrieve(gateway, caller, public_id, provider=provider)
    if before.execution == PROVIDER:
        _require_native(gateway, before, "batch_cancel")

    def unit(connection: Connection) -> Batch:
        batch = find(connection, caller, public_id, provider)
        if not batches.cancel(connection, batch.id):
            # A worker may have moved it on since it was read.
            status = find(connection, caller, public_id, provider).status
            allowed = " or ".join(batches.CANCELLABLE)
            raise ConflictError(f"Batch {public_id} is {status}; only one that is {allowed} can be cancelled.")
        jobs.drop_unmade(connection, batch.id)
        jobs.hurry(connection, batch.id)
        return find(connection, caller, public_id, provider)

    batch = gateway.database.run(unit)
    gateway.hints.send(JOBS)
    if batch.execution == PROVIDER and poll.cancel(gateway, batch, worker=f"web:{caller.request_id}"[:64]):
        return retrieve(gateway, caller, batch.public_id)
    return batch


def delete(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> Batch:
    """Hide a batch that has ended; its files stay. Jobs that its provider can delete are deleted there first.

    Raises NotFoundError, ConflictError, and the GatewayError for a failing provider.
    """
    before = retrieve(gateway, caller, public_id, provider=provider)
    if before.execution == PROVIDER and before.has_ended:
        _delete_jobs(gateway, before)

    def unit(connection: Connection) -> Batch:
        batch = find(connection, caller, public_id, provider)
        if not batches.mark_deleted(connection, batch.id):
            status = find(connection, caller, public_id, provider).status
            act = "cancel it or wait" if status in batches.CANCELLABLE else "wait"
            raise ConflictError(f"Batch {public_id} is {status}; {act} for its end before deleting it.")
        return batch

    return gateway.database.run(unit)


def _require_native(gateway: Gateway, batch: Batch, operation: str) -> None:
    account = gateway.accounts.by_id(batch.account_id)
    if account is not None and account.abilities.support(operation) is not Support.NATIVE:
        raise UnsupportedOperationError(batch.provider, operation, "Its batches run until they end.")


def _delete_jobs(gateway: Gateway, batch: Batch) -> None:
    account = gateway.accounts.by_id(batch.account_id)
    if account is None or account.abilities.support("batch_delete") is not Support.NATIVE:
        return
    with gateway.database.read() as connection:
        native_ids = [job.native_id for job in job_facts.of_batch(connection, batch.id) if job.native_id is not None]
    for native_id in native_ids:
        with provider_errors.translated(gateway, provider=batch.provider, account=account.name):
            account.connector.delete_job(native_id)
