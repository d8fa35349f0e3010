"""Creating a batch: where it goes and how it runs is decided first, then one transaction inserts it.

The decision reads copies, prices and sometimes the whole input, which is too slow for a transaction. So the input file
is looked up before, and the transaction locks that row, which also checks that the file has not been deleted since.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.data.batches import batches, inputs
from app.data.batches.batches import Batch
from app.data.batches.inputs import InputFile
from app.data.files import files
from app.engine.parts import JOBS
from app.errors import InvalidRequestError, NotFoundError, UnsupportedOperationError
from app.lib import failpoints, ids
from app.services.access import permissions
from app.services.accounts import choose, off_peak
from app.services.accounts.directory import Account
from app.services.batches import cost
from app.services.batches.inline_input import InlineInput
from app.services.copies import ensure, remote
from app.services.files.files import BATCH_EXPIRY_S
from app.services.gateway import Caller, Gateway
from app.services.limits import limits
from app.services.lines import dialects, rules
from app.services.money import budgets
from app.services.webhooks import attach
from app.services.webhooks.attach import Webhook

PURPOSE = "batch"
PROVIDER, GATEWAY = "provider", "gateway"
DEFAULT_WINDOW = "24h"
INLINE_FILENAME = "batch_requests.jsonl"
# How far ahead a batch may be put off: its input is kept until then.
MAX_AHEAD_DAYS = 30
MAX_AHEAD_MS = MAX_AHEAD_DAYS * 86_400_000

Settle = Callable[[Connection, Batch], None]

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_WINDOW = re.compile(r"([1-9][0-9]{0,3})([mhd])")


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a caller asks for, apart from the input. `retry_of` is the row id of the batch whose lines are retried.

    Instants are Unix milliseconds.
    """

    provider: str | None = None  # named outside of `model`
    sdk_provider: str | None = None  # the provider whose own SDK sent the request
    model: str | None = None
    endpoint: str | None = None
    completion_window: str | None = None
    metadata: Mapping[str, str] | None = None
    output_expires_after_s: int | None = None
    execution: str | None = None
    retry_of: int | None = None
    priority: int | None = None
    concurrency: int | None = None
    finish_by: int | None = None
    not_before: int | str | None = None
    webhook: Webhook | None = None
    webhook_endpoint_id: int | None = None  # of the batch whose lines are retried


@dataclass(frozen=True, slots=True)
class _NamedFile:
    """The input file that a request names. `stored` is None when the project has no such file."""

    given: str
    stored: InputFile | None

    @property
    def key(self) -> str | None:
        """The key of the bytes of a file that can be a batch input."""
        return self.stored.key if self.stored is not None and self.stored.file.purpose == PURPOSE else None

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return self.stored.file.bytes if self.stored else 0

    @property
    def lines(self) -> int:
        """How many lines were counted in the file."""
        return (self.stored.file.lines if self.stored else None) or 0


_Source = _NamedFile | InlineInput


@dataclass(frozen=True, slots=True)
class Begin:
    """When a batch may begin, and when the off-peak hours end that it was asked to keep to. Unix milliseconds."""

    not_before: int | None = None
    off_peak_until: int | None = None


@dataclass(frozen=True, slots=True)
class _Decided:
    """Where a new batch goes and how it runs, all of it checked."""

    account: Account
    model: str | None
    execution: str
    endpoint: str
    window: str
    begins: Begin


def create(
    gateway: Gateway, caller: Caller, new: NewBatch, *, source: str | InlineInput, settle: Settle | None = None
) -> Batch:
    """Insert a `validating` batch on a file of the project (its own or its native id) or on inline requests.

    `settle` is called last in the transaction. Raises InvalidRequestError, UnsupportedOperationError, RateLimitedError,
    BudgetError, and the GatewayError for a provider that fails to return the input's bytes.
    """
    chosen: _Source = source if isinstance(source, InlineInput) else _look_up(gateway, caller, source)
    decided = _decide(gateway, caller, new, chosen)
    attach.check(gateway, caller, new.webhook)
    if isinstance(chosen, InlineInput):
        chosen.seal(decided.endpoint)
        key: str | None = chosen.blob.key
    else:
        chosen = _with_bytes(gateway, caller, chosen)
        key = chosen.key
    estimate = cost.to_reserve(
        gateway,
        caller,
        key,
        size=chosen.size,
        provider=decided.account.provider,
        model=decided.model,
        execution=decided.execution,
    )

    def unit(connection: Connection) -> Batch:
        account = decided.account
        limits.check_new_batch(connection, caller, chosen.lines, account_id=account.id, account_limits=account.limits)
        input_file_id = _input_file(connection, caller, chosen, home=account.provider)
        own = attach.attach(gateway, connection, caller, new.webhook)
        row = _row(caller, new, decided, input_file_id, webhook_endpoint_id=own or new.webhook_endpoint_id)
        batch = batches.insert_batch(connection, row, window_ms=window_ms(decided.window))
        limits.check_stored(connection, caller)
        budgets.reserve(connection, caller, batch.id, estimate, log=gateway.log)
        if settle is not None:
            settle(connection, batch)
        return batch

    batch = gateway.database.run(unit)
    failpoints.hit("batch.after_row")
    gateway.hints.send(JOBS)
    return batch


def window_ms(window: str) -> int:
    """Milliseconds of a window such as `15m`, `24h` or `7d`. Raises ValueError for anything else."""
    match = _WINDOW.fullmatch(window)
    if match is None:
        raise ValueError(f"{window!r} is no window such as 15m, 24h or 7d")
    return int(match[1]) * _UNIT_MS[match[2]]


def begin(gateway: Gateway, account_id: int, model: str | None, not_before: int | str | None) -> Begin:
    """When a batch begins that asks for `not_before`. Raises InvalidRequestError for hours that an account lacks."""
    if not isinstance(not_before, str):
        return Begin(not_before)
    span = off_peak.next_span(gateway, account_id, model)
    if span is None:
        text = "not_before: the account has no off-peak hours; leave it out, or send an instant."
        raise InvalidRequestError(text, param="not_before")
    return Begin(*span)


def check_instants(gateway: Gateway, *, finish_by: int | None, not_before: int | None) -> None:
    """Raises InvalidRequestError unless a batch can run between the two, and has time left."""
    now = gateway.clock.now_ms()
    if finish_by is not None and finish_by <= max(now, not_before or 0):
        after = "now" if not_before is None or not_before <= now else "not_before"
        raise InvalidRequestError(f"finish_by: must be later than {after}.", param="finish_by")
    for name, at in (("finish_by", finish_by), ("not_before", not_before)):
        if at is not None and at > now + MAX_AHEAD_MS:
            raise InvalidRequestError(f"{name}: must be within {MAX_AHEAD_DAYS} days.", param=name)


def _look_up(gateway: Gateway, caller: Caller, given: str) -> _NamedFile:
    with gateway.database.read() as connection:
        stored = inputs.find(connection, project_id=caller.project_id, given=given)
    return _NamedFile(given if stored is None else stored.file.public_id, stored)


def _with_bytes(gateway: Gateway, caller: Caller, named: _NamedFile) -> _NamedFile:
    """The input with its bytes at the gateway: lines are checked and counted here, even where a copy is used."""
    stored = named.stored
    if stored is None or stored.file.is_kept or stored.file.purpose != PURPOSE:
        return named
    try:
        remote.fetch(gateway, stored.file)
    except NotFoundError as error:
        raise _no_file(named) from error
    # Only now are its lines counted.
    return replace(named, stored=_look_up(gateway, caller, named.given).stored or stored)


def _decide(gateway: Gateway, caller: Caller, new: NewBatch, source: _Source) -> _Decided:
    choice = choose.choose(gateway, caller, explicit=new.provider, model=new.model, sdk_provider=new.sdk_provider)
    permissions.check_use(caller, provider=choice.provider, model=choice.model)
    account, execution = _executor(gateway, caller, choice.provider, new.execution, source)
    endpoint = _endpoint(account, execution, new.endpoint, source)
    permissions.check_use(caller, provider=choice.provider, endpoint=endpoint)
    begins = begin(gateway, account.id, choice.model, new.not_before)
    check_instants(gateway, finish_by=new.finish_by, not_before=begins.not_before)
    window = new.completion_window or DEFAULT_WINDOW
    _require_one_of(window, account.abilities.windows(execution), provider=choice.provider, param="completion_window")
    return _Decided(
        account=account, model=choice.model, execution=execution, endpoint=endpoint, window=window, begins=begins
    )


def _executor(
    gateway: Gateway, caller: Caller, provider: str, execution: str | None, source: _Source
) -> tuple[Account, str]:
    """The account that gets the work, preferably one that has the input already, and who runs the lines."""
    support = choose.require(gateway, provider, "batch_create")
    if support is Support.EMULATED and execution == PROVIDER:
        hint = 'It has no batch API of its own: leave out execution, or send "gateway" or "auto".'
        raise UnsupportedOperationError(provider, 'batch_create with execution "provider"', hint)
    prefer = _holders(gateway, source) if support is Support.NATIVE else ()
    account = choose.account_for(gateway, caller, provider, prefer=prefer)
    if support is Support.NATIVE and execution != GATEWAY:
        return account, PROVIDER
    if not account.abilities.runs_lines:
        hint = 'It answers no single requests: leave out execution, or send "provider" or "auto".'
        raise UnsupportedOperationError(provider, 'batch_create with execution "gateway"', hint)
    return account, GATEWAY


def _holders(gateway: Gateway, source: _Source) -> Sequence[int]:
    if isinstance(source, InlineInput) or source.stored is None:
        return ()
    return ensure.holders(gateway, source.stored.file.id)


def _endpoint(account: Account, execution: str, named: str | None, source: _Source) -> str:
    endpoint = rules.endpoint_of(named or (source.endpoint if isinstance(source, InlineInput) else None) or "")
    if not endpoint:
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


def _row(
    caller: Caller, new: NewBatch, decided: _Decided, input_file_id: int, *, webhook_endpoint_id: int | None
) -> batches.NewBatch:
    return batches.NewBatch(
        public_id=ids.new(ids.BATCH),
        project_id=caller.project_id,
        key_id=caller.key_id,
        account_id=decided.account.id,
        provider=decided.account.provider,
        execution=decided.execution,
        endpoint=decided.endpoint,
        model=decided.model,
        model_override=decided.model,
        completion_window=decided.window,
        input_file_id=input_file_id,
        retry_of=new.retry_of,
        metadata=None if new.metadata is None else dict(new.metadata),
        output_expires_after_s=new.output_expires_after_s,
        priority=new.priority or 0,
        concurrency=new.concurrency,
        finish_by=new.finish_by,
        not_before=decided.begins.not_before,
        off_peak_until=decided.begins.off_peak_until,
        webhook_endpoint_id=webhook_endpoint_id,
    )


def _input_file(connection: Connection, caller: Caller, source: _Source, *, home: str) -> int:
    """The row id of the input, which nobody can delete until the transaction ends."""
    if isinstance(source, InlineInput):
        return _insert_file(connection, caller, source, home=home)
    if source.stored is None or not inputs.lock(connection, source.stored.file.id):
        raise _no_file(source)
    purpose = source.stored.file.purpose
    if purpose != PURPOSE:
        text = f"input_file_id: file {source.given!r} has purpose {purpose!r}; a batch needs one with purpose 'batch'."
        raise InvalidRequestError(text, param="input_file_id")
    return source.stored.file.id


def _no_file(named: _NamedFile) -> InvalidRequestError:
    return InvalidRequestError(
        f"input_file_id: there is no file {named.given!r} in this project.", param="input_file_id"
    )


def _insert_file(connection: Connection, caller: Caller, source: InlineInput, *, home: str) -> int:
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
