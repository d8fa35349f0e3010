"""Chooses the provider and account for a new object (design: provider for something new), and checks abilities."""

from collections.abc import Collection
from dataclasses import dataclass

from app.connectors.catalogue import registry
from app.connectors.catalogue.providers import FALLBACK
from app.connectors.contract.abilities import OPERATIONS, Support
from app.errors import InvalidRequestError, PermissionDeniedError, UnavailableError, UnsupportedOperationError
from app.lib import headers
from app.services.accounts.directory import Account
from app.services.accounts.environment import STORE_IT
from app.services.gateway import Caller, Gateway


@dataclass(frozen=True, slots=True)
class Choice:
    """The provider, and the model without the prefix that named the provider."""

    provider: str
    model: str | None


def choose(
    gateway: Gateway,
    caller: Caller,
    *,
    explicit: str | None,
    model: str | None = None,
    sdk_provider: str | None = None,
) -> Choice:
    """Chooses the provider for a new object. Raises InvalidRequestError when nothing decides.

    `explicit` is the provider that the request names, apart from the prefix of `model`. `sdk_provider` is the provider
    whose own SDK sent the request, if that can be told: it comes before the defaults.
    """
    if explicit:
        return Choice(explicit, model)
    # Model names may contain a slash, too, so the prefix counts only when nothing else names a provider.
    prefix, _, rest = (model or "").partition("/")
    if rest and gateway.accounts.is_known(prefix.lower()):
        return Choice(prefix.lower(), rest)
    return Choice(_default(gateway, caller, sdk_provider=sdk_provider), model)


def require(gateway: Gateway, provider: str, operation: str, *, shown: str = "") -> Support:
    """Returns how `provider` supports `operation`. Raises UnsupportedOperationError, which names it (or `shown`)."""
    support = gateway.accounts.abilities(provider).support(operation)
    if support is Support.NONE:
        raise UnsupportedOperationError(provider, shown or operation)
    return support


def check_named(gateway: Gateway, provider: str, operation: str) -> None:
    """Raises UnsupportedOperationError when the provider that a request names does not support `operation`."""
    if operation in OPERATIONS and not able(gateway, provider, operation):
        require(gateway, provider, operation)


def able(gateway: Gateway, provider: str, operation: str) -> list[int]:
    """Returns the ids of the provider's accounts whose own API has the operation: its accounts may differ."""
    accounts = [account for account_id in gateway.accounts.ids() if (account := gateway.accounts.by_id(account_id))]
    return [
        account.id
        for account in accounts
        if account.provider == provider and account.abilities.support(operation) is Support.NATIVE
    ]


def account_for(gateway: Gateway, caller: Caller, provider: str, *, prefer: Collection[int] = ()) -> Account:
    """Chooses the account for a new object at `provider`, if possible one with an id in `prefer`.

    Raises InvalidRequestError when there is no account, or none with the name in the request; PermissionDeniedError
    when the key may not use it; UnavailableError when the account of a caller's own key is not loaded yet.
    """
    if caller.own_account is not None:
        return _own(gateway, caller.own_account, provider)
    name, allowed = caller.account, caller.accounts
    account = gateway.accounts.choose(provider, name=name, allowed=allowed, prefer=prefer)
    if account is not None:
        return account
    if gateway.accounts.choose(provider) is None:
        raise InvalidRequestError(_no_account(gateway, provider), param="provider")
    if name is not None and gateway.accounts.choose(provider, name=name) is None:
        text = f"{headers.ACCOUNT}: provider {provider} has no account {name!r:.80} that accepts new work."
        raise InvalidRequestError(text, param=headers.ACCOUNT)
    which = "any account" if name is None else f"the account {name!r:.80}"
    raise PermissionDeniedError(f"This key may not use {which} of provider {provider}.")


def _own(gateway: Gateway, account_id: int, provider: str) -> Account:
    account = gateway.accounts.by_id(account_id)
    if account is None:
        raise UnavailableError("The account of this key is being created. Try again.", retry_after_s=1)
    if account.provider != provider:
        text = f"This key belongs to provider {account.provider}, not {provider}."
        raise PermissionDeniedError(text, param="provider")
    return account


def _no_account(gateway: Gateway, provider: str) -> str:
    entry = registry.find(provider)
    if provider in gateway.accounts.configured() and not gateway.accounts.applies:
        return f"Provider {provider} has no stored account: {STORE_IT}."
    if entry is None or provider in gateway.accounts.configured():
        return f"Provider {provider} has no account that accepts new work now. The gateway's log says why."
    variables = entry.url_env if entry.keyless else " or ".join(entry.key_envs)
    return f"Provider {provider} has no account: set {variables} in the gateway's environment."


def _usable(gateway: Gateway, caller: Caller) -> list[str]:
    """Returns the providers with an account that the caller may use (and names), else all that have an account."""
    providers = gateway.accounts.providers()
    if caller.providers is not None:
        providers = [name for name in providers if name in caller.providers] or providers
    if caller.account is None and caller.accounts is None:
        return providers
    choose = gateway.accounts.choose
    fitting = [name for name in providers if choose(name, name=caller.account, allowed=caller.accounts) is not None]
    return fitting or providers


def _default(gateway: Gateway, caller: Caller, *, sdk_provider: str | None) -> str:
    usable = _usable(gateway, caller)
    if sdk_provider is not None and sdk_provider in usable:
        return sdk_provider
    if caller.default_provider:
        return caller.default_provider
    if gateway.settings.default_provider:
        return gateway.settings.default_provider
    if FALLBACK in usable:
        return FALLBACK
    if len(usable) == 1:
        return usable[0]
    text = f"several providers have an account ({', '.join(usable)})" if usable else "no provider has an account"
    raise InvalidRequestError(
        f"Name a provider: the request names none, no default is configured, and {text}.", param="provider"
    )
