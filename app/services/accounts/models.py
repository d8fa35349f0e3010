"""Lists the models of all accounts, requested from the providers at the same time."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from app.connectors.contract.errors import UpstreamError
from app.services.access import permissions
from app.services.accounts.directory import Account
from app.services.gateway import Caller, Gateway

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a provider lists. `created` is Unix seconds, 0 if the provider does not say."""

    id: str | None
    created: int
    owned_by: str
    provider: str


def list_(gateway: Gateway, caller: Caller, *, provider: str | None = None) -> list[Model]:
    """Returns the models of all accounts that the caller's key may use, or of `provider`.

    An account that does not answer is logged and left out.
    """
    allowed = caller.providers
    names = [name for name in gateway.accounts.providers() if allowed is None or name in allowed]
    candidates = [gateway.accounts.of(name) for name in names]
    if caller.own_account is not None:
        candidates = [gateway.accounts.by_id(caller.own_account)]
    accounts = [account for account in candidates if account and provider in (None, account.provider)]
    if not accounts:
        return []
    with ThreadPoolExecutor(max_workers=len(accounts)) as pool:
        listed = pool.map(lambda account: _models(gateway, account), accounts)
        return [
            _model(model, account.provider)
            for account, models in zip(accounts, listed, strict=True)
            for model in models
            if permissions.allows_model(caller.models, provider=account.provider, model=str(model.get("id")))
        ]


def _model(model: Mapping[str, Any], provider: str) -> Model:
    return Model(
        id=model.get("id"),
        created=model.get("created") or 0,
        owned_by=model.get("owned_by") or provider,
        provider=provider,
    )


def _models(gateway: Gateway, account: Account) -> list[Mapping[str, Any]]:
    try:
        return list(account.connector.list_models(timeout_s=TIMEOUT_S))
    except UpstreamError as error:
        gateway.log.warning("models.not_listed", provider=account.provider, reason=error.message)
        return []
