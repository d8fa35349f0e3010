"""Every provider that the gateway knows: the catalogue and those of other packages. Code is imported on first use."""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from urllib.parse import urlsplit

from app.connectors.catalogue.declarations import Provider
from app.connectors.catalogue.providers import PROVIDERS
from app.connectors.contract.abilities import Abilities
from app.connectors.contract.base import Connector, Target
from app.connectors.contract.errors import ConfigurationError
from app.lib import json, redact

# Other packages add providers under this entry-point group; each entry point is a Provider.
ENTRY_POINTS = "batchgate.connectors"
DEFAULT_CONCURRENCY = 64
# The credential of a cloud account that the machine itself has one for.
AMBIENT = "default"
NOTHING = Abilities()
PROVIDER_NAME = re.compile(r"[a-z][a-z0-9-]{1,63}")


@dataclass(frozen=True, slots=True)
class Configured:
    """An account that the environment describes."""

    provider: str
    base_url: str
    api_key: str = field(default="", repr=False)
    name: str = "env"
    max_concurrency: int = DEFAULT_CONCURRENCY
    options: Mapping[str, str] = field(default_factory=dict)


@cache
def _known() -> dict[str, Provider]:
    known = {entry.name: entry for entry in PROVIDERS}
    for entry_point in entry_points(group=ENTRY_POINTS):
        outside = _outside(entry_point)
        if outside.name in known:
            raise _wrong(entry_point, f"names the provider {outside.name}, which already exists")
        known[outside.name] = outside
    return known


def _outside(entry_point: EntryPoint) -> Provider:
    try:
        entry = entry_point.load()
    except Exception as error:
        raise _wrong(entry_point, f"cannot be loaded ({type(error).__name__}: {error})") from error
    if not isinstance(entry, Provider):
        raise _wrong(entry_point, f"is a {type(entry).__name__} and no app.connectors.catalogue.providers.Provider")
    if not PROVIDER_NAME.fullmatch(entry.name):
        raise _wrong(entry_point, f"names a provider {entry.name!r:.80}; use a-z 0-9 and -")
    return entry


def _wrong(entry_point: EntryPoint, what: str) -> ConfigurationError:
    package = entry_point.dist.name if entry_point.dist else "unknown"
    name = f"{entry_point.name} = {entry_point.value}"
    return ConfigurationError(f"The package {package} has an entry point of {ENTRY_POINTS}, {name}, that {what}.")


def names() -> list[str]:
    """The names of all providers, in the order of the catalogue."""
    return list(_known())


def forget() -> None:
    """Look up the installed packages again at the next use."""
    _known.cache_clear()


def is_known(name: str) -> bool:
    """True for a provider of the catalogue or of an installed package; names are lower case."""
    return name in _known()


def find(name: str) -> Provider | None:
    """The declaration of `name`, or None."""
    return _known().get(name)


def abilities(name: str) -> Abilities:
    """The abilities of `name`; none for an unknown provider."""
    entry = _known().get(name)
    return entry.abilities if entry else NOTHING


def providers() -> list[Provider]:
    """The declarations of all providers."""
    return list(_known().values())


def configured(environ: Mapping[str, str]) -> list[Configured]:
    """The accounts of `environ`, in the order of the catalogue. Raises ConfigurationError naming the variable."""
    accounts = (_configured(entry, environ) for entry in _known().values())
    return [account for account in accounts if account]


def base_url(entry: Provider, environ: Mapping[str, str]) -> str:
    """The provider's base URL, even without an account. Raises ConfigurationError naming the variable."""
    url = environ.get(entry.url_env, "").strip()
    return checked_url(entry.url_env, url) if url else entry.base_url


def load(target: Target, *, path: str = "") -> Connector:
    """The connector of an account; imports its module. Raises ConfigurationError if that is not installed.

    `path` is the `module:Class` of a provider that the catalogue does not have.
    """
    entry = _known().get(target.provider)
    path = path or (entry.target if entry else "")
    if not path:
        raise ConfigurationError(f"The provider {target.provider} does not exist.")
    module, _, attribute = path.partition(":")
    try:
        connector_class = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        hint = f": {entry.install_hint}" if entry and entry.install_hint else ""
        raise ConfigurationError(f"Provider {target.provider} needs the module {error.name}{hint}.") from error
    connector: Connector = connector_class(target)
    return connector


def _configured(entry: Provider, environ: Mapping[str, str]) -> Configured | None:
    api_key = next(
        (value for name in entry.key_envs if (value := environ.get(name, "").strip())),
        "",
    )
    url = environ.get(entry.url_env, "").strip()
    if not (url if entry.keyless else api_key):
        return None
    variables = " or ".join(entry.key_envs)
    api_key = _checked_key(variables, api_key)
    base_url = checked_url(entry.url_env, url) if url else entry.base_url
    check_length(entry, variables, api_key, base_url=base_url)
    return Configured(
        provider=entry.name,
        base_url=base_url,
        api_key=api_key,
        max_concurrency=_concurrency(f"{entry.prefix}_MAX_CONCURRENCY", environ),
        options={name: value for name, env in entry.option_envs.items() if (value := environ.get(env, "").strip())},
    )


def _checked_key(variables: str, key: str) -> str:
    """A credential as it is stored: one word, or a JSON object."""
    if key.startswith("{"):
        try:
            return json.dumps(json.loads(key)).decode()
        except json.JSONDecodeError:
            raise ConfigurationError(f"{variables} looks like a JSON object, but is not valid JSON.") from None
    if any(ord(character) < 0x21 or ord(character) > 0x7E for character in key):
        raise ConfigurationError(f"{variables} must be one word of printable ASCII, or a JSON object.")
    return key


def check_length(entry: Provider, what: str, key: str, *, base_url: str) -> None:
    """Raise ConfigurationError for a key that the vendor cannot have made: one so short is kept out of no text.

    A server at another URL may take any word as its key ("x", "EMPTY"). A credential that is not a key is for its
    connector to check: JSON, or the word for what the machine has.
    """
    is_key = bool(key) and key != AMBIENT and not key.startswith("{")
    if is_key and not entry.keyless and base_url == entry.base_url and redact.is_placeholder(key):
        raise ConfigurationError(
            f"{what} is no key of {entry.name}, but a placeholder: a key has at least {redact.MIN_SECRET_LENGTH} "
            "characters. For a server of your own, which may take any word as its key, set its URL as well."
        )


def checked_url(variable: str, url: str) -> str:
    """`url` without a trailing slash. It is shown to operators, so it must contain no credential."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(ord(character) < 0x21 or ord(character) > 0x7E for character in url):
        raise ConfigurationError(f"{variable} must be a URL such as http://127.0.0.1:8000/v1.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError(f"{variable} must have no user, password, query or fragment; keys have variables.")
    return url.rstrip("/")


def _concurrency(variable: str, environ: Mapping[str, str]) -> int:
    text = environ.get(variable, "").strip()
    if not text:
        return DEFAULT_CONCURRENCY
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 100_000):
        raise ConfigurationError(f"{variable} must be a whole number from 1 to 100000, not {text!r}.")
    return int(text)


def traced_as(provider: str) -> str:
    """OpenTelemetry's name for a provider."""
    entry = find(provider)
    return (entry.traced_as if entry else "") or provider
