"""What a caller may do: by the role of the key, its lists, and where a request comes from."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol

from app.connectors.catalogue import registry
from app.errors import PermissionDeniedError
from app.services.gateway import Caller

ADMIN = "admin"
MEMBER = "member"
VIEWER = "viewer"
# Known patterns and networks are parsed once: authentication asks for every request.
KNOWN = 4096


class Networked(Protocol):
    """Whoever is bound to networks: a row of data.keys."""

    @property
    def networks(self) -> Sequence[str] | None:
        """Networks in CIDR notation; None: from anywhere."""


def check_request(caller: Caller, *, operation: str, is_write: bool) -> None:
    """Raises PermissionDeniedError when the role of the key does not allow `operation`: a viewer only reads."""
    if is_write and caller.role == VIEWER:
        raise PermissionDeniedError(f"This key may only read: its role is viewer, and {operation} needs a member.")


def check_networks(row: Networked, address: str | None) -> None:
    """Raises PermissionDeniedError when the key is bound to networks and `address` is in none of them."""
    if row.networks is None:
        return
    found = _address(address or "")
    if found is None or not any(_holds(network, found) for network in row.networks):
        text = f"This key may not be used from {address or 'an unknown address'}: it is in none of its networks."
        raise PermissionDeniedError(text)


def check_use(caller: Caller, *, provider: str, model: str | None = None, endpoint: str | None = None) -> None:
    """Raises PermissionDeniedError, which names the list, when the key may not make something new there."""
    if caller.providers is not None and provider not in caller.providers:
        text = f"This key may not use provider {provider}: its providers are {_listed(caller.providers)}."
        raise PermissionDeniedError(text, param="provider", provider=provider)
    if endpoint is not None and caller.endpoints is not None and endpoint not in caller.endpoints:
        text = f"This key may not use endpoint {endpoint}: its endpoints are {_listed(caller.endpoints)}."
        raise PermissionDeniedError(text, param="endpoint", provider=provider)
    if model is not None and not allows_model(caller.models, provider=provider, model=model):
        text = f"This key may not use model {model!r:.300}: its models are {_listed(caller.models or ())}."
        raise PermissionDeniedError(text, param="model", provider=provider)


def allows_model(patterns: Collection[str] | None, *, provider: str, model: str) -> bool:
    """True when one of `patterns` is `model`, as the caller calls it, with or without `provider/` before it.

    `*` in a pattern is any text. One that begins with a provider's name and `/` is about that provider alone:
    `openai/*` is not the model `openai/gpt-oss-120b` at another one. None allows all.
    """
    if patterns is None:
        return True
    bare = model.removeprefix(f"{provider}/")
    full = (f"{provider}/{model}", f"{provider}/{bare}")
    names = (*full, model, bare)
    return any(
        fnmatchcase(name, _only_stars(pattern))
        for pattern in patterns
        for name in (full if _names_provider(pattern) else names)
    )


def is_network(text: str) -> bool:
    """True for an address or a network in CIDR notation, IPv4 or IPv6."""
    return _network(text) is not None


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "none"


def _names_provider(pattern: str) -> bool:
    prefix, slash, _ = pattern.partition("/")
    return bool(slash) and registry.is_known(prefix)


@lru_cache(maxsize=KNOWN)
def _only_stars(pattern: str) -> str:
    # Names of models hold no wildcards; what fnmatch would read into brackets is meant literally.
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _holds(network: str, address: IPv4Address | IPv6Address) -> bool:
    parsed = _network(network)
    return parsed is not None and address.version == parsed.version and address in parsed


@lru_cache(maxsize=KNOWN)
def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]  # as some proxies tell an address with its port
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket for both versions shows IPv4 in IPv6's clothes.
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
