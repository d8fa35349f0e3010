"""Accounts as operators list, try, disable and remove them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from app.connectors.contract.base import Connector
from app.connectors.contract.errors import UpstreamError
from app.data.access import accounts
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services.accounts.add import RESERVED, checked_models
from app.services.accounts.directory import Account
from app.services.accounts.environment import UNSEEN_MS, retired_name
from app.services.accounts.load import concurrency
from app.services.events import record
from app.services.gateway import Actor, Gateway
from app.services.limits import limits as rates

# A request that chose the account just before it was retired has put its work down by then.
WIPE_AFTER_MS = 5 * 60 * 1000
# A caller who brings a key of a provider and has no work is forgotten after this time.
CALLER_GONE_MS = 3600 * 1000


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """An account as it can be shown: its options by name only, as their values are nobody's business."""

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
    """How an account answered. `error` is empty when it is fine; not `tried` when nothing can be called there."""

    provider: str
    name: str
    latency_ms: int
    error: str = ""
    tried: bool = True


def list_(gateway: Gateway) -> list[AccountInfo]:
    """All accounts, by provider and name; retired ones while their credential is kept for their work."""
    gateway.accounts.providers()  # those of the environment are rows from now on
    with gateway.database.read() as connection:
        return [_info(gateway, row) for row in accounts.list_all(connection)]


def try_out(gateway: Gateway, *, provider: str | None = None, name: str | None = None) -> list[Trial]:
    """Try each account, or those of `provider`, or the one called `name`. Raises NotFoundError when there is none."""
    gateway.accounts.settle_now()
    wanted = [
        account
        for row in list_(gateway)
        if row.state not in ("retired", "caller's") and provider in (None, row.provider) and name in (None, row.name)
        if (account := gateway.accounts.by_id(row.id)) is not None
    ]
    if not wanted:
        which = " ".join(word for word in (provider, name) if word)
        raise NotFoundError(f"There is no account {which}.".replace(" .", "."))
    return [_trial(account) for account in wanted]


def set_enabled(gateway: Gateway, *, provider: str, name: str, enabled: bool) -> None:
    """Give an account new work, or no more of it; what it has goes on. Raises NotFoundError."""
    operation = "account_enable" if enabled else "account_disable"
    _change(gateway, provider, name, operation=operation, disabled_at=None if enabled else True)


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
    """Set what is given; `models` and `limits` are all that there are. Raises NotFoundError, InvalidRequestError."""
    given = {"weight": weight, "max_concurrency": max_concurrency}
    values: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if models is not None:
        values["models"] = checked_models(models) or None
    if limits is not None:
        values["limits"] = rates.validate(limits, owner="account") or None
    if disabled is not None:
        values["disabled_at"] = True if disabled else None
    if max_concurrency is not None and name == RESERVED:
        text = "max_concurrency: that of this account is set by its variable (docs/settings.md)."
        raise InvalidRequestError(text, param="max_concurrency")
    return _change(gateway, provider, name, operation="account_change", actor=actor, **values)


def remove(gateway: Gateway, *, provider: str, name: str) -> bool:
    """Retire an account. True while it has work, so that its credential is kept for longer than a few minutes.

    Raises NotFoundError, and ConflictError when this process's environment has it.
    """
    gateway.accounts.providers()  # those of the environment are rows from now on
    with gateway.database.write() as connection:
        row = _existing(connection, provider, name)
        if row.source == accounts.ENVIRONMENT and provider in gateway.accounts.configured():
            raise ConflictError(
                f"{provider}/{name} comes from the environment: unset its variables for all processes instead. "
                "`batchgate accounts disable` keeps new work away from it."
            )
        accounts.retire(connection, row.id, name=retired_name(row))
        record.record_act(connection, operation="account_remove", object_id=f"{provider}/{name}")
        busy = accounts.has_work(connection, row.id)
    gateway.accounts.reread()
    gateway.log.info("account.removed", provider=provider, account=name, has_work=busy)
    return busy


def retire_due(gateway: Gateway) -> int:
    """Retire accounts that left the environment; wipe credentials of retired ones without work. Returns how many."""
    own = gateway.accounts.configured()
    with gateway.database.read() as connection:
        unseen = [row for row in accounts.unseen(connection, older_ms=UNSEEN_MS) if row.provider not in own]
        idle = accounts.idle_retired(connection, older_ms=WIPE_AFTER_MS)
        gone = accounts.idle_callers(connection, older_ms=CALLER_GONE_MS)
    if not unseen and not idle and not gone:
        return 0
    with gateway.database.write() as connection:
        for row in accounts.idle_callers(connection, older_ms=CALLER_GONE_MS):
            accounts.retire(connection, row.id, name=retired_name(row))
        left = [row for row in unseen if accounts.retire(connection, row.id, name=retired_name(row))]
        wiped = [row for row in idle if accounts.wipe(connection, row.id, older_ms=WIPE_AFTER_MS)]
    for row in left:
        gateway.log.info("account.left_environment", provider=row.provider, account=row.name)
    for row in wiped:
        gateway.log.info("account.wiped", provider=row.provider, account=row.name)
    return len(wiped)


def _trial(account: Account) -> Trial:
    began = time.monotonic()
    if type(account.connector) is Connector:
        return Trial(account.provider, account.name, 0, tried=False)
    try:
        account.connector.check()
    except UpstreamError as error:
        return Trial(account.provider, account.name, _since(began), error.message or type(error).__name__)
    return Trial(account.provider, account.name, _since(began))


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


def _change(
    gateway: Gateway, provider: str, name: str, *, operation: str, actor: Actor = record.OPERATOR, **values: Any
) -> AccountInfo:
    gateway.accounts.providers()  # those of the environment are rows from now on
    with gateway.database.write() as connection:
        row = _existing(connection, provider, name)
        accounts.change(connection, row.id, **values)
        detail = {field.removesuffix("_at"): value for field, value in values.items()}
        record.record_act(
            connection, operation=operation, object_id=f"{provider}/{name}", detail=detail or None, actor=actor
        )
        changed = _existing(connection, provider, name)
    gateway.accounts.reread()
    gateway.log.info("account.changed", act=operation, provider=provider, account=name)
    return _info(gateway, changed)


def _existing(connection: Connection, provider: str, name: str) -> AnyRow:
    # PostgreSQL refuses NUL in text, and no name has anything odd in it.
    is_possible = provider.isprintable() and name.isprintable()
    row = accounts.find(connection, provider=provider, name=name) if is_possible else None
    if row is None:
        raise NotFoundError(
            f"Provider {provider!r:.80} has no account {name!r:.80}: `batchgate accounts list` shows all."
        )
    return row


def _info(gateway: Gateway, row: AnyRow) -> AccountInfo:
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


def _state(gateway: Gateway, row: AnyRow) -> str:
    if row.retired_at is not None:
        return "retired"
    if row.disabled_at is not None:
        return "disabled"
    if row.source == accounts.CALLER:
        return "caller's"
    return "enabled" if gateway.accounts.is_usable(row.id) else "unused"
