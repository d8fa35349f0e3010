"""Batches as callers make, find, list, cancel and delete them.

What runs them is in planning, segments and finalising; what providers run is in submitting, polling and harvesting.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.data.batches import batches, jobs
from app.data.files import files
from app.data.files.files import FileRow
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, NotFoundError, UnsupportedOperationError
from app.lib import failpoints, ids
from app.services import provider_errors
from app.services.access import permissions
from app.services.accounts import choose
from app.services.accounts.directory import Account
from app.services.batches import cost
from app.services.batches.batch_object import TERMINAL
from app.services.batches.inline_input import InlineInput
from app.services.copies import ensure, remote
from app.services.files.files import BATCH_EXPIRY_S
from app.services.gateway import Caller, Gateway
from app.services.jobs import poll
from app.services.limits import limits
from app.services.lines import dialects
from app.services.money import budgets

PURPOSE = "batch"
PROVIDER = "provider"
DEFAULT_WINDOW = "24h"
INLINE_FILENAME = "batch_requests.jsonl"

Settle = Callable[[Connection, AnyRow], None]

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_WINDOW = re.compile(r"([1-9][0-9]{0,3})([mhd])")


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a caller asks for, beside the input. `retry_of` is the row id of the batch whose lines are tried again."""

    provider: str | None = None  # named outside of `model`
    sdk_provider: str | None = None  # the provider whose own SDK sent the request
    model: str | None = None
    endpoint: str | None = None
    completion_window: str | None = None
    metadata: Mapping[str, str] | None = None
    output_expires_after_s: int | None = None
    execution: str | None = None
    retry_of: int | None = None


@dataclass(frozen=True, slots=True)
class _Decided:
    """Where a new batch goes and how it runs, all of it checked."""

    account_id: int
    provider: str
    model: str | None
    execution: str
    endpoint: str
    window: str


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A page of a list, and whether more follow."""

    items: Sequence[AnyRow]
    has_more: bool


def create(
    gateway: Gateway, caller: Caller, wanted: NewBatch, *, source: str | InlineInput, settle: Settle | None = None
) -> AnyRow:
    """A `validating` batch, committed, on a file of the project or on inline requests.

    `settle` is called last in the transaction. Raises InvalidRequestError, UnsupportedOperationError, BudgetError.
    """
    file = None if isinstance(source, InlineInput) else _file(gateway, caller, source)
    source = source if file is None else file.public_id
    decided = _decide(gateway, caller, wanted, source)
    if file is not None and not file.is_kept and file.purpose == PURPOSE:
        _bring_home(gateway, file)
        file = _file(gateway, caller, file.public_id) or file  # its lines are counted now
    if isinstance(source, InlineInput):
        source.seal(decided.endpoint)
    can_cost = cost.to_reserve(
        gateway, caller, source, provider=decided.provider, model=decided.model, execution=decided.execution
    )

    lines = source.lines if isinstance(source, InlineInput) else (file.lines if file else None) or 0
    account = gateway.accounts.by_id(decided.account_id)

    def unit(connection: Connection) -> AnyRow:
        limits.check_new_batch(
            connection,
            caller,
            lines,
            account_id=decided.account_id,
            account_limits=account.limits if account else None,
        )
        row = _insert(connection, caller, wanted, decided, source)
        limits.check_stored(connection, caller)
        budgets.reserve(connection, caller, row.id, can_cost, log=gateway.log)
        if settle is not None:
            settle(connection, row)
        return row

    row = gateway.database.run(unit)
    failpoints.hit("batch.after_row")
    return row


def retrieve(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> AnyRow:
    """A batch of the project. Raises NotFoundError, also when it is not `provider`'s."""
    with gateway.database.read() as connection:
        return find(connection, caller, public_id, provider)


def look_up(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> AnyRow:
    """As `retrieve`, after a look at the jobs that the batch has at its provider, if nobody looked of late."""
    row = retrieve(gateway, caller, public_id, provider=provider)
    if row.execution == PROVIDER and row.status not in TERMINAL and poll.refresh(gateway, row):
        return retrieve(gateway, caller, row.public_id)
    return row


def retrieve_with_lines(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> AnyRow:
    """As `retrieve`; raises NotFoundError, too, when the lines of the batch had their time."""
    batch = retrieve(gateway, caller, public_id, provider=provider)
    if batch.lines_state != "kept":
        text = f"The lines of {public_id} are no longer kept; its output and error file are as long as they last."
        raise NotFoundError(text, param="batch_id")
    return batch


def find(connection: Connection, caller: Caller, public_id: str, provider: str | None) -> AnyRow:
    """As `retrieve`, within a transaction."""
    # PostgreSQL refuses NUL in text, and no gateway id has anything odd in it.
    row = None
    if public_id.isprintable():
        row = batches.find(connection, project_id=caller.project_id, public_id=public_id)
        row = row or batches.find_native(connection, project_id=caller.project_id, native_id=public_id)
    if row is None or provider not in (None, row.provider):
        raise not_found(public_id)
    return row


def list_(
    gateway: Gateway,
    caller: Caller,
    *,
    limit: int,
    after: str | None = None,
    provider: str | None = None,
    statuses: Sequence[str] | None = None,
) -> BatchPage:
    """The project's batches, newest first. Raises InvalidRequestError on an unknown `after`."""
    with gateway.database.read() as connection:
        cursor = None
        if after is not None:
            cursor = batches.position(connection, project_id=caller.project_id, public_id=after)
            if cursor is None:
                raise InvalidRequestError(f"after: there is no batch {after!r} in this project.", param="after")
        rows = batches.list_page(
            connection, project_id=caller.project_id, provider=provider, statuses=statuses, after=cursor, limit=limit
        )
    return BatchPage(rows[:limit], has_more=len(rows) > limit)


def cancel(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> AnyRow:
    """Stop a batch: no new line is sent, finished ones are kept.

    Raises NotFoundError, ConflictError, and UnsupportedOperationError when its provider takes no job back.
    """
    first = retrieve(gateway, caller, public_id, provider=provider)
    if first.execution == PROVIDER:
        _require_native(gateway, first, "batch_cancel")

    def unit(connection: Connection) -> AnyRow:
        row = find(connection, caller, public_id, provider)
        if not batches.cancel(connection, row.id):
            # A worker may have moved it on since it was read.
            status = find(connection, caller, public_id, provider).status
            allowed = " or ".join(batches.CANCELLABLE)
            raise ConflictError(f"Batch {public_id} is {status}; only one that is {allowed} can be cancelled.")
        jobs.drop_unmade(connection, row.id)
        jobs.hurry(connection, row.id)
        return find(connection, caller, public_id, provider)

    row = gateway.database.run(unit)
    if row.execution == PROVIDER and poll.cancel(gateway, row, worker=f"web:{caller.request_id}"[:64]):
        return retrieve(gateway, caller, row.public_id)
    return row


def delete(gateway: Gateway, caller: Caller, public_id: str, *, provider: str | None = None) -> AnyRow:
    """Hide a batch that is over; its files stay. Where its provider deletes jobs, they are deleted there first.

    Raises NotFoundError, ConflictError, and what a failing provider is told as.
    """
    first = retrieve(gateway, caller, public_id, provider=provider)
    if first.execution == PROVIDER and first.status in TERMINAL:
        _delete_jobs(gateway, first)

    def unit(connection: Connection) -> AnyRow:
        row = find(connection, caller, public_id, provider)
        if not batches.mark_deleted(connection, row.id):
            status = find(connection, caller, public_id, provider).status
            raise ConflictError(f"Batch {public_id} is {status}; cancel it or wait for its end before deleting it.")
        return row

    return gateway.database.run(unit)


def window_ms(window: str) -> int:
    """Milliseconds of `15m`, `24h` or `7d`. Raises ValueError on anything else."""
    match = _WINDOW.fullmatch(window)
    if match is None:
        raise ValueError(f"{window!r} is no window such as 15m, 24h or 7d")
    return int(match[1]) * _UNIT_MS[match[2]]


def not_found(public_id: str) -> NotFoundError:
    """OpenAI's words for a batch that is not there."""
    return NotFoundError(f"No batch found with id '{public_id:.100}'.", param="batch_id")


def _decide(gateway: Gateway, caller: Caller, wanted: NewBatch, source: str | InlineInput) -> _Decided:
    choice = choose.choose(
        gateway, caller, explicit=wanted.provider, model=wanted.model, sdk_provider=wanted.sdk_provider
    )
    permissions.check_use(caller, provider=choice.provider, model=choice.model)
    account, execution = _executor(gateway, caller, choice.provider, wanted.execution, source)
    endpoint = _endpoint(account, execution, wanted.endpoint, source)
    permissions.check_use(caller, provider=choice.provider, endpoint=endpoint)
    window = wanted.completion_window or DEFAULT_WINDOW
    _require_one_of(window, account.abilities.windows(execution), provider=choice.provider, param="completion_window")
    return _Decided(
        account_id=account.id,
        provider=choice.provider,
        model=choice.model,
        execution=execution,
        endpoint=endpoint,
        window=window,
    )


def _insert(
    connection: Connection, caller: Caller, wanted: NewBatch, decided: _Decided, source: str | InlineInput
) -> AnyRow:
    return batches.insert_batch(
        connection,
        window_ms=window_ms(decided.window),
        public_id=ids.new(ids.BATCH),
        project_id=caller.project_id,
        key_id=caller.key_id,
        account_id=decided.account_id,
        provider=decided.provider,
        execution=decided.execution,
        endpoint=decided.endpoint,
        model=decided.model,
        model_override=decided.model,
        completion_window=decided.window,
        input_file_id=_input(connection, caller, source, home=decided.provider),
        retry_of=wanted.retry_of,
        metadata=None if wanted.metadata is None else dict(wanted.metadata),
        output_expires_after_s=wanted.output_expires_after_s,
    )


def _executor(
    gateway: Gateway, caller: Caller, provider: str, wanted: str | None, source: str | InlineInput
) -> tuple[Account, str]:
    """The account that gets the work, one that holds the input if there is one, and who runs it."""
    support = choose.require(gateway, provider, "batch_create")
    if support is Support.EMULATED and wanted == "provider":
        hint = 'It has no batch API of its own: leave out execution, or send "gateway" or "auto".'
        raise UnsupportedOperationError(provider, 'batch_create with execution "provider"', hint)
    prefer = _holders(gateway, caller, source) if support is Support.NATIVE else ()
    account = choose.account_for(gateway, caller, provider, prefer=prefer)
    if support is Support.NATIVE and wanted != "gateway":
        return account, PROVIDER
    if not account.abilities.runs_lines:
        hint = 'It answers no single requests: leave out execution, or send "provider" or "auto".'
        raise UnsupportedOperationError(provider, 'batch_create with execution "gateway"', hint)
    return account, "gateway"


def _file(gateway: Gateway, caller: Caller, given: str) -> FileRow | None:
    """The input by its own or its native id, or None when the project has no such file."""
    with gateway.database.read() as connection:
        return files.resolve(connection, caller.project_id, given)


def _bring_home(gateway: Gateway, file: FileRow) -> None:
    """Lines are checked and counted here, so that the bytes must be at hand, though a copy is used where it is."""
    try:
        remote.fetch(gateway, file)
    except NotFoundError as error:
        text = f"input_file_id: there is no file {file.public_id!r} in this project."
        raise InvalidRequestError(text, param="input_file_id") from error


def _holders(gateway: Gateway, caller: Caller, source: str | InlineInput) -> Sequence[int]:
    if isinstance(source, InlineInput) or not source.isprintable():
        return ()
    with gateway.database.read() as connection:
        file = batches.find_input(connection, project_id=caller.project_id, public_id=source)
    return () if file is None else ensure.holders(gateway, file.id)


def _require_native(gateway: Gateway, batch: AnyRow, operation: str) -> None:
    account = gateway.accounts.by_id(batch.account_id)
    if account is not None and account.abilities.support(operation) is not Support.NATIVE:
        raise UnsupportedOperationError(batch.provider, operation, "Its batches run until they end.")


def _delete_jobs(gateway: Gateway, batch: AnyRow) -> None:
    account = gateway.accounts.by_id(batch.account_id)
    if account is None or account.abilities.support("batch_delete") is not Support.NATIVE:
        return
    with gateway.database.read() as connection:
        made = [job.native_id for job in jobs.of_batch(connection, batch.id) if job.native_id is not None]
    for native_id in made:
        with provider_errors.told(gateway, provider=batch.provider, account=str(account.id)):
            account.connector.delete_job(native_id)


def _endpoint(account: Account, execution: str, wanted: str | None, source: str | InlineInput) -> str:
    endpoint = wanted or (source.endpoint if isinstance(source, InlineInput) else None)
    if endpoint is None:
        raise InvalidRequestError("endpoint is required, such as /v1/chat/completions.", param="endpoint")
    if isinstance(source, InlineInput):
        source.check_urls(endpoint)
    allowed = dialects.reachable(account.abilities.endpoints(execution))
    _require_one_of(endpoint, allowed, provider=account.provider, param="endpoint")
    return endpoint


def _require_one_of(value: str, allowed: frozenset[str], *, provider: str, param: str) -> None:
    if value not in allowed:
        listed = ", ".join(sorted(allowed)) or "none"
        raise InvalidRequestError(f"{param}: {provider} has {listed}, not {value!r:.80}.", param=param)


def _input(connection: Connection, caller: Caller, source: str | InlineInput, *, home: str) -> int:
    if isinstance(source, InlineInput):
        return _inline_file(connection, caller, source, home=home)
    row = None
    if source.isprintable():
        row = batches.hold_input(connection, project_id=caller.project_id, public_id=source)
    if row is None or row.key is None:
        raise InvalidRequestError(f"input_file_id: there is no file {source!r} in this project.", param="input_file_id")
    if row.purpose != PURPOSE:
        raise InvalidRequestError(
            f"input_file_id: the file {source!r} has purpose {row.purpose!r}; a batch needs one with purpose 'batch'.",
            param="input_file_id",
        )
    return int(row.id)


def _inline_file(connection: Connection, caller: Caller, source: InlineInput, *, home: str) -> int:
    source.blob.settle(connection)
    return files.insert(
        connection,
        public_id=ids.new(ids.FILE),
        project_id=caller.project_id,
        key_id=caller.key_id,
        home=home,
        purpose=PURPOSE,
        filename=INLINE_FILENAME,
        origin="inline",
        blob_id=source.blob.id,
        size=source.blob.bytes,
        sha256=source.blob.sha256,
        lines=source.lines,
        expires_after_s=BATCH_EXPIRY_S,
    )
