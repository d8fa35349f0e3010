"""Lists, tests, changes, disables and removes accounts."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.connectors.contract.base import Connector
from app.connectors.contract.errors import UpstreamError
from app.data.access import accounts
from app.data.access.accounts import AccountRow, AccountValues
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services.accounts.add import RESERVED, checked_models
from app.services.accounts.directory import Account
from app.services.accounts.environment import PROCESS, STORE_IT, UNSEEN_MS, retired_name
from app.services.accounts.load import concurrency
from app.services.events import record
from app.services.gateway import Actor, Gateway
from app.services.limits import limits as rates

# A request that chose the account just before it was retired has committed its work by then.
WIPE_AFTER_MS = 5 * 60 * 1000
# The account of a caller's own provider key is retired when it has had no work and no request for this time.
CALLER_IDLE_MS = 3600 * 1000


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """An account as operators see it. `options` are names only: their values may be confidential."""

    id: int
    provider: str
    name: str
    source: str
    state: str
    base_url: str
    weight: int
    max_concurrency: int
    limits: Mapping[str, int]
    models: Mapping[str, str]
    options: Sequence[str]
    abilities: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of testing an account. `error` is empty if it works; `tried` is False if nothing can be tested."""

    provider: str
    name: str
    latency_ms: int
    error: str = ""
    tried: bool = True


def list_(gateway: Gateway) -> list[AccountInfo]:
    """Returns all accounts by provider and name, including retired ones whose credential is still kept."""
    gateway.accounts.providers()  # a process that serves inserts the rows of its environment's accounts
    with gateway.database.read() as connection:
        return [_info(gateway, row) for row in accounts.list_all(connection)]


def try_out(gateway: Gateway, *, provider: str | None = None, name: str | None = None) -> list[Trial]:
    """Tests all accounts, those of `provider`, or the one called `name`. Raises NotFoundError when there is none."""
    gateway.accounts.settle_now()
    selected = [
        account
        for row in list_(gateway)
        if row.state not in ("retired", "caller's") and provider in (None, row.provider) and name in (None, row.name)
        if (account := gateway.accounts.by_id(row.id)) is not None
    ]
    if not selected:
        which = " ".join(word for word in (provider, name) if word)
        raise NotFoundError(f"There is no account {which}.".replace(" .", "."))
    return [_trial(account) for account in selected]


def set_enabled(gateway: Gateway, *, provider: str, name: str, enabled: bool) -> None:
    """Enables or disables an account: nothing new is sent to a disabled one. Raises NotFoundError."""
    operation = "account_enable" if enabled else "account_disable"
    _change(gateway, provider, name, operation=operation, values={"disabled_at": None if enabled else True})


def change(
    gateway: Gateway,
    *,
    provider: str,
    name: str,
    weight: int | None = None,
    max_concurrency: int | None = None,
    models: Mapping[str, str] | None = None,
    limits: Mapping[str, int] | None = None,
    disabled: bool | None = None,
    actor: Actor = record.OPERATOR,
) -> AccountInfo:
    """Changes the fields that are given; `models` and `limits` replace all that are set.

    Raises NotFoundError, InvalidRequestError.
    """
    values: AccountValues = {}
    if weight is not None:
        values["weight"] = weight
    if max_concurrency is not None:
        values["max_concurrency"] = max_concurrency
    if models is not None:
        values["models"] = checked_models(models) or None
    if limits is not None:
        values["limits"] = rates.validate(limits, owner="account") or None
    if disabled is not None:
        values["disabled_at"] = True if disabled else None
    if max_concurrency is not None and name == RESERVED:
        text = "max_concurrency: set the variable of this account in the environment instead (docs/settings.md)."
        raise InvalidRequestError(text, param="max_concurrency")
    return _change(gateway, provider, name, operation="account_change", values=values, actor=actor)


def remove(gateway: Gateway, *, provider: str, name: str) -> bool:
    """Retires an account. Returns True if it has work left, so that its credential is kept until that is done.

    Raises NotFoundError, or ConflictError when this process's environment configures the account.
    """
    gateway.accounts.providers()  # a process that serves inserts the rows of its environment's accounts
    with gateway.database.write() as connection:
        row = existing(gateway, connection, provider, name)
        if row.source == accounts.ENVIRONMENT and provider in gateway.accounts.configured():
            raise ConflictError(
                f"{provider}/{name} is configured by the environment: unset its variables in all processes instead. "
                "To give it no new work, run `batchgate accounts disable`."
            )
        accounts.retire(connection, row.id, name=retired_name(row.id, row.name))
        record.record_act(connection, operation="account_remove", object_id=f"{provider}/{name}")
        busy = accounts.has_work(connection, row.id)
    gateway.accounts.reread()
    gateway.log.info("account.removed", provider=provider, account=name, has_work=busy)
    return busy


def retire_due(gateway: Gateway) -> int:
    """Retires accounts that left the environment or are idle callers' own, and wipes credentials of retired ones.

    Returns how many credentials were wiped.
    """
    own = gateway.accounts.configured()
    with gateway.database.read() as connection:
        unseen = [row for row in accounts.unseen(connection, older_ms=UNSEEN_MS) if row.provider not in own]
        idle = accounts.idle_retired(connection, older_ms=WIPE_AFTER_MS)
        idle_callers = accounts.idle_callers(connection, older_ms=CALLER_IDLE_MS)
    if not unseen and not idle and not idle_callers:
        return 0
    with gateway.database.write() as connection:
        for row in accounts.idle_callers(connection, older_ms=CALLER_IDLE_MS):
            accounts.retire(connection, row.id, name=retired_name(row.id, row.name))
        left = [row for row in unseen if accounts.retire(connection, row.id, name=retired_name(row.id, row.name))]
        for row in left:
            detail = {"reason": "No process has had it in its environment for a day."}
            record.record_act(
                connection,
                operation="account_remove",
                object_id=f"{row.provider}/{row.name}",
                detail=detail,
                actor=PROCESS,
            )
        wiped = [row for row in idle if accounts.wipe(connection, row.id, older_ms=WIPE_AFTER_MS)]
    for row in left:
        gateway.log.info("account.left_environment", provider=row.provider, account=row.name)
    for row in wiped:
        gateway.log.info("account.wiped", provider=row.provider, account=row.name)
    return len(wiped)


def existing(gateway: Gateway, connection: Connection, provider: str, name: str) -> AccountRow:
    """Returns the row of an account that is not retired. Raises NotFoundError."""
    # Names are printable. Anything else is rejected here, since PostgreSQL raises an error on NUL in text.
    is_possible = provider.isprintable() and name.isprintable()
    row = accounts.find(connection, provider=provider, name=name) if is_possible else None
    if row is None:
        hint = "`batchgate accounts list` shows all accounts"
        if name == RESERVED and provider in gateway.accounts.configured():
            hint = f"This environment describes it, but no process has stored it: {STORE_IT}"
        raise NotFoundError(f"Provider {provider!r:.80} has no account {name!r:.80}. {hint}.")
    return row


def _trial(account: Account) -> Trial:
    began = time.monotonic()
    if type(account.connector) is Connector:
        return Trial(account.provider, account.name, 0, tried=False)
    try:
        account.connector.check()
    except UpstreamError as error:
        return Trial(account.provider, account.name, _since(began), error.for_operator or type(error).__name__)
    return Trial(account.provider, account.name, _since(began))


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _change(
    gateway: Gateway,
    provider: str,
    name: str,
    *,
    operation: str,
    values: AccountValues,
    actor: Actor = record.OPERATOR,
) -> AccountInfo:
    gateway.accounts.providers()  # a process that serves inserts the rows of its environment's accounts
    with gateway.database.write() as connection:
        row = existing(gateway, connection, provider, name)
        accounts.change(connection, row.id, **values)
        detail = {field.removesuffix("_at"): value for field, value in values.items()}
        record.record_act(
            connection, operation=operation, object_id=f"{provider}/{name}", detail=detail or None, actor=actor
        )
        changed = existing(gateway, connection, provider, name)
    gateway.accounts.reread()
    gateway.log.info("account.changed", act=operation, provider=provider, account=name)
    return _info(gateway, changed)


def _info(gateway: Gateway, row: AccountRow) -> AccountInfo:
    return AccountInfo(
        id=row.id,
        provider=row.provider,
        name=row.name,
        source=row.source,
        state=_state(gateway, row),
        base_url=row.base_url,
        weight=row.weight,
        max_concurrency=concurrency(row),
        limits=row.limits or {},
        models=row.models or {},
        options=sorted(row.options or {}),
        abilities=row.abilities,
    )


def _state(gateway: Gateway, row: AccountRow) -> str:
    if row.retired_at is not None:
        return "retired"
    if row.disabled_at is not None:
        return "disabled"
    if row.source == accounts.CALLER:
        return "caller's"
    return "enabled" if gateway.accounts.is_usable(row.id) else "unused"
