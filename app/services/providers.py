"""Which provider gets something new, and whether it can do it (design: provider for something new)."""

from dataclasses import dataclass

from app.connectors import registry
from app.connectors.abilities import Support
from app.errors import InvalidRequestError, UnsupportedOperationError
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
    if rest and registry.is_known(prefix.lower()):
        return Choice(prefix.lower(), rest)
    return Choice(_default(gateway, caller, azure_client=azure_client), model)


def require(gateway: Gateway, provider: str, operation: str, *, told: str = "") -> Support:
    """How `provider` does `operation`. Raises UnsupportedOperationError, which names it, or what it is `told` as."""
    support = registry.abilities(provider).support(operation)
    if support is Support.NONE:
        raise UnsupportedOperationError(provider, told or operation)
    return support


def _default(gateway: Gateway, caller: Caller, *, azure_client: bool) -> str:
    having = gateway.accounts.providers()
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
