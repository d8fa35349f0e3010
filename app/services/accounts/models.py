"""The models of all accounts, asked at the providers at once."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.connectors.contract.errors import UpstreamError
from app.services.access import permissions
from app.services.accounts.directory import Account
from app.services.gateway import Caller, Gateway

TIMEOUT_S = 5.0


def list_(gateway: Gateway, caller: Caller) -> list[dict[str, Any]]:
    """Model objects as OpenAI's, with `provider` beside: those that the key may use.

    An account that does not answer is left out and logged.
    """
    allowed = caller.providers
    providers = [name for name in gateway.accounts.providers() if allowed is None or name in allowed]
    found = [gateway.accounts.of(provider) for provider in providers]
    if caller.own_account is not None:
        found = [gateway.accounts.by_id(caller.own_account)]
    accounts = [account for account in found if account is not None]
    if not accounts:
        return []
    with ThreadPoolExecutor(max_workers=len(accounts)) as pool:
        listed = pool.map(lambda account: _models(gateway, account), accounts)
        return [
            {
                "id": model.get("id"),
                "object": "model",
                "created": model.get("created") or 0,
                "owned_by": model.get("owned_by") or account.provider,
                "provider": account.provider,
            }
            for account, models in zip(accounts, listed, strict=True)
            for model in models
            if permissions.allows_model(caller.models, provider=account.provider, model=str(model.get("id")))
        ]


def _models(gateway: Gateway, account: Account) -> list[Mapping[str, Any]]:
    try:
        return list(account.connector.list_models(timeout_s=TIMEOUT_S))
    except UpstreamError as error:
        gateway.log.warning("models.not_listed", provider=account.provider, error=error.message)
        return []
