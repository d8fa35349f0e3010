"""Which provider gets something new, and whether it can do it (design: provider for something new)."""

from collections.abc import Collection
from dataclasses import dataclass

from app.connectors.catalogue import registry
from app.connectors.contract.abilities import OPERATIONS, Support
from app.errors import InvalidRequestError, PermissionDeniedError, UnavailableError, UnsupportedOperationError
from app.services.accounts.directory import Account
from app.services.gateway import Caller, Gateway

FALLBACK = "openai"
AZURE = "azure"


@dataclass(frozen=True, slots=True)
class Choice:
    """The provider, and the model without the prefix that named the provider."""

    provider: str
    model: str | None


def choose(
    gateway: Gateway, caller: Caller, *, explicit: str | None, model: str | None = None, azure_client: bool = False
) -> Choice:
    """The provider for something new. Raises InvalidRequestError when nothing decides."""
    if explicit:
        return Choice(explicit, model)
    # `openai/gpt-oss-120b` is also a model name, so a prefix counts only when nothing else names a provider.
    prefix, _, rest = (model or "").partition("/")
    if rest and gateway.accounts.is_known(prefix.lower()):
        return Choice(prefix.lower(), rest)
    return Choice(_default(gateway, caller, azure_client=azure_client), model)


def require(gateway: Gateway, provider: str, operation: str, *, told: str = "") -> Support:
    """How `provider` does `operation`. Raises UnsupportedOperationError, which names it, or what it is `told` as."""
    support = gateway.accounts.abilities(provider).support(operation)
    if support is Support.NONE:
        raise UnsupportedOperationError(provider, told or operation)
    return support


def check_named(gateway: Gateway, provider: str, operation: str) -> None:
    """Raises UnsupportedOperationError when the provider that a request names lacks one of its declared operations."""
    if operation in OPERATIONS and not able(gateway, provider, operation):
        require(gateway, provider, operation)


def able(gateway: Gateway, provider: str, operation: str) -> list[int]:
    """Ids of the provider's accounts whose own API has the operation: accounts of one provider may differ."""
    found = [account for account_id in gateway.accounts.ids() if (account := gateway.accounts.by_id(account_id))]
    return [
        account.id
        for account in found
        if account.provider == provider and account.abilities.support(operation) is Support.NATIVE
    ]


def account_for(gateway: Gateway, caller: Caller, provider: str, *, prefer: Collection[int] = ()) -> Account:
    """The account that something new at `provider` goes to, one of the ids `prefer` if it may.

    Raises InvalidRequestError when there is none, or none of the name that the request gives, and
    PermissionDeniedError when the key may not use it.
    """
    if caller.own_account is not None:
        return _own(gateway, caller.own_account, provider)
    wanted, allowed = caller.account, caller.accounts
    found = gateway.accounts.choose(provider, name=wanted, allowed=allowed, prefer=prefer)
    if found is not None:
        return found
    if gateway.accounts.choose(provider) is None:
        raise InvalidRequestError(_no_account(gateway, provider), param="provider")
    if wanted is not None and gateway.accounts.choose(provider, name=wanted) is None:
        text = f"x-bf-api-key: provider {provider} has no account {wanted!r:.80} that takes new work."
        raise InvalidRequestError(text, param="x-bf-api-key")
    which = "no account" if wanted is None else f"not the account {wanted!r:.80}"
    raise PermissionDeniedError(f"This key may use {which} of provider {provider}.")


def _own(gateway: Gateway, account_id: int, provider: str) -> Account:
    found = gateway.accounts.by_id(account_id)
    if found is None:
        raise UnavailableError("The account of this key is just being made: try again.", retry_after_s=1)
    if found.provider != provider:
        raise PermissionDeniedError(f"This key is of provider {found.provider}, not {provider}.", param="provider")
    return found


def _no_account(gateway: Gateway, provider: str) -> str:
    entry = registry.find(provider)
    if entry is None or provider in gateway.accounts.configured():
        return f"Provider {provider} has no account that takes new work now: the operator finds why in the log."
    variables = entry.url_env if entry.keyless else " or ".join(entry.key_envs)
    return f"Provider {provider} has no account: set {variables} in the gateway's environment."


def _having(gateway: Gateway, caller: Caller) -> list[str]:
    """Providers with an account for new work: those that the caller may use and named, if there are any."""
    having = gateway.accounts.providers()
    if caller.providers is not None:
        having = [name for name in having if name in caller.providers] or having
    if caller.account is None and caller.accounts is None:
        return having
    choose = gateway.accounts.choose
    fitting = [name for name in having if choose(name, name=caller.account, allowed=caller.accounts) is not None]
    return fitting or having


def _default(gateway: Gateway, caller: Caller, *, azure_client: bool) -> str:
    having = _having(gateway, caller)
    if azure_client and AZURE in having:
        return AZURE
    if caller.default_provider:
        return caller.default_provider
    if gateway.settings.default_provider:
        return gateway.settings.default_provider
    if FALLBACK in having:
        return FALLBACK
    if len(having) == 1:
        return having[0]
    text = f"several have an account ({', '.join(having)})" if having else "no provider has an account"
    raise InvalidRequestError(
        f"Name a provider: the request names none, no default is set, and {text}.", param="provider"
    )
