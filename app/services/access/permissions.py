"""Checks what a caller may do: by the role of the key, its lists, and the address of the request."""

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
# Ascending: of a key's role and its token's the lower one applies.
RANKS = (VIEWER, MEMBER, ADMIN)
# How many parsed patterns and networks are cached: authentication needs them for every request.
CACHE_SIZE = 4096


class Networked(Protocol):
    """Anything that may be restricted to networks, such as a key row."""

    @property
    def networks(self) -> Sequence[str] | None:
        """Networks in CIDR notation; None allows any address."""


def check_request(caller: Caller, *, operation: str, is_write: bool) -> None:
    """Raises PermissionDeniedError when the key's role does not allow `operation`: viewers may only read."""
    if is_write and caller.role == VIEWER:
        raise PermissionDeniedError(
            f"This key has the role viewer and may only read; {operation} needs the role member."
        )


def lowest(*roles: str) -> str:
    """The role that allows least."""
    return min(roles, key=RANKS.index)


def check_networks(row: Networked, address: str | None) -> None:
    """Raises PermissionDeniedError when the key is restricted to networks and `address` is in none of them."""
    if row.networks is None:
        return
    if not lies_in(address or "", row.networks):
        text = (
            f"This key may not be used from {address or 'an unknown address'}, which is in none of the key's networks."
        )
        raise PermissionDeniedError(text)


def lies_in(address: str, networks: Sequence[str]) -> bool:
    """True if the address is in one of the networks, each in CIDR notation."""
    parsed = _address(address)
    return parsed is not None and any(_contains(network.strip(), parsed) for network in networks)


def check_use(caller: Caller, *, provider: str, model: str | None = None, endpoint: str | None = None) -> None:
    """Raises PermissionDeniedError, which shows the list, when the key may not create something there."""
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
    """Returns True when a pattern matches `model` as the caller names it, with or without the prefix `provider/`.

    `*` matches any text; None allows all models. A pattern that begins with a provider's name and `/` applies to that
    provider only: `a/*` does not match the model `a/x` of provider `b`.
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
    """Returns True for an address or a network in CIDR notation, IPv4 or IPv6."""
    return _network(text) is not None


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "none"


def _names_provider(pattern: str) -> bool:
    prefix, slash, _ = pattern.partition("/")
    return bool(slash) and registry.is_known(prefix)


@lru_cache(maxsize=CACHE_SIZE)
def _only_stars(pattern: str) -> str:
    # Only `*` is a wildcard here; the other characters that fnmatch treats specially are literal.
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _contains(network: str, address: IPv4Address | IPv6Address) -> bool:
    parsed = _network(network)
    return parsed is not None and address.version == parsed.version and address in parsed


@lru_cache(maxsize=CACHE_SIZE)
def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]  # some proxies append the port: [address]:port
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A dual-stack socket reports IPv4 addresses as IPv4-mapped IPv6 addresses.
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
