"""Every provider the gateway knows, as data; its code is imported when an account first needs it."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from app.connectors.base import Abilities, Connector, Support

DEFAULT_CONCURRENCY = 64
WINDOWS = frozenset({"15m", "1h", "4h", "12h", "24h", "48h", "7d"})
ENDPOINTS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"})
OPENAI_COMPATIBLE = "app.connectors.openai_compatible:OpenAICompatible"
NOTHING = Abilities()
EMULATED = Abilities(
    files=Support.EMULATED,
    batches=Support.EMULATED,
    endpoints=ENDPOINTS,
    windows=WINDOWS,
)
HOSTED = Abilities(
    files=Support.EMULATED,
    batches=Support.EMULATED,
    containers=Support.EMULATED,
    endpoints=ENDPOINTS,
    windows=WINDOWS,
)


class ConfigurationError(ValueError):
    """A provider's variable that cannot be used; the message names it and the fix."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What is known of a provider without importing its code.

    `target` is `module:Class`, empty while there is no connector. `base_url` is the default, may be
    empty. An account exists when `key_envs` (the first one set counts) has a value or, for a provider
    that runs without keys, when `url_env` has. `prefix` starts the names of its other variables.
    """

    name: str
    prefix: str
    key_envs: tuple[str, ...]
    url_env: str
    base_url: str = ""
    keyless: bool = False
    target: str = ""
    abilities: Abilities = NOTHING
    install_hint: str = ""


@dataclass(frozen=True, slots=True)
class Configured:
    """An account that the environment describes."""

    provider: str
    base_url: str
    api_key: str = field(default="", repr=False)
    name: str = "env"
    max_concurrency: int = DEFAULT_CONCURRENCY


def names() -> list[str]:
    """All providers, in the order of the table."""
    return list(_PROVIDERS)


def is_known(name: str) -> bool:
    """True for a provider of the table; names are lower case."""
    return name in _PROVIDERS


def abilities(name: str) -> Abilities:
    """What `name` declares; an unknown provider can do nothing."""
    entry = _PROVIDERS.get(name)
    return entry.abilities if entry else NOTHING


def providers() -> list[Provider]:
    """The table itself, for documentation and tests."""
    return list(_PROVIDERS.values())


def configured(environ: Mapping[str, str]) -> list[Configured]:
    """The accounts of `environ`, in the order of the table. Raises ConfigurationError naming the variable."""
    found = (_configured(entry, environ) for entry in _PROVIDERS.values())
    return [account for account in found if account]


def load(account: Configured, *, connect_timeout_s: float) -> Connector:
    """The connector of an account; imports its module. Raises ConfigurationError when it is not installed."""
    entry = _PROVIDERS[account.provider]
    if not entry.target:
        return Connector()
    module, _, attribute = entry.target.partition(":")
    try:
        connector_class = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        hint = f": {entry.install_hint}" if entry.install_hint else ""
        raise ConfigurationError(f"Provider {entry.name} needs the module {error.name}{hint}.") from error
    connector: Connector = connector_class(
        base_url=account.base_url,
        api_key=account.api_key,
        abilities=entry.abilities,
        connect_timeout_s=connect_timeout_s,
        max_idle=account.max_concurrency,
    )
    return connector


def _configured(entry: Provider, environ: Mapping[str, str]) -> Configured | None:
    api_key = next(
        (value for name in entry.key_envs if (value := environ.get(name, "").strip())),
        "",
    )
    url = environ.get(entry.url_env, "").strip()
    if not (url if entry.keyless else api_key):
        return None
    if any(ord(character) < 0x21 or ord(character) > 0x7E for character in api_key):
        raise ConfigurationError(f"{' or '.join(entry.key_envs)} must be one word of printable ASCII.")
    return Configured(
        provider=entry.name,
        base_url=_checked_url(entry.url_env, url) if url else entry.base_url,
        api_key=api_key,
        max_concurrency=_concurrency(f"{entry.prefix}_MAX_CONCURRENCY", environ),
    )


def _checked_url(variable: str, url: str) -> str:
    """`url` without a slash at its end. It is shown to operators, so it must hold no credential."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or any(ord(character) < 0x21 or ord(character) > 0x7E for character in url):
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


def _hosted(name: str, base_url: str, *, keys: str = "", url: str = "", prefix: str = "") -> Provider:
    prefix = prefix or name.upper()
    key_envs = tuple(keys.split()) or (f"{prefix}_API_KEY",)
    return Provider(name, prefix, key_envs, url or f"{prefix}_BASE_URL", base_url)


def _own_server(name: str, abilities: Abilities) -> Provider:
    prefix = name.upper()
    return Provider(
        name=name,
        prefix=prefix,
        key_envs=(f"{prefix}_API_KEY",),
        url_env=f"{prefix}_BASE_URL",
        keyless=True,
        target=OPENAI_COMPATIBLE,
        abilities=abilities,
    )


_PROVIDERS: dict[str, Provider] = {
    entry.name: entry
    for entry in (
        _hosted("openai", "https://api.openai.com/v1"),
        _hosted(
            "azure",
            "",
            keys="AZURE_OPENAI_API_KEY",
            url="AZURE_OPENAI_ENDPOINT",
            prefix="AZURE_OPENAI",
        ),
        _hosted("anthropic", "https://api.anthropic.com"),
        _hosted(
            "bedrock",
            "",
            keys="AWS_BEARER_TOKEN_BEDROCK",
            url="AWS_ENDPOINT_URL_BEDROCK",
        ),
        _hosted(
            "cohere",
            "https://api.cohere.com",
            keys="CO_API_KEY COHERE_API_KEY",
            url="CO_API_URL",
        ),
        _hosted("vertex", "https://aiplatform.googleapis.com"),
        _own_server("vllm", EMULATED),
        _hosted("mistral", "https://api.mistral.ai"),
        _own_server("ollama", EMULATED),
        _hosted("groq", "https://api.groq.com/openai/v1"),
        _own_server("sgl", EMULATED),
        _hosted("parasail", "https://api.parasail.io/v1"),
        _hosted(
            "perplexity",
            "https://api.perplexity.ai/v1",
            keys="PERPLEXITY_API_KEY PPLX_API_KEY",
        ),
        _hosted("replicate", "https://api.replicate.com/v1", keys="REPLICATE_API_TOKEN"),
        _hosted("cerebras", "https://api.cerebras.ai/v1"),
        _hosted(
            "gemini",
            "https://generativelanguage.googleapis.com",
            keys="GEMINI_API_KEY GOOGLE_API_KEY",
            url="GOOGLE_GEMINI_BASE_URL",
        ),
        _hosted("openrouter", "https://openrouter.ai/api/v1"),
        _hosted("elevenlabs", "https://api.elevenlabs.io"),
        _hosted(
            "huggingface",
            "https://router.huggingface.co/v1",
            keys="HF_TOKEN HUGGINGFACE_API_KEY",
        ),
        _hosted("nebius", "https://api.tokenfactory.nebius.com/v1"),
        _hosted("xai", "https://api.x.ai/v1"),
        _hosted("runway", "https://api.dev.runwayml.com", keys="RUNWAYML_API_SECRET"),
        _hosted("fireworks", "https://api.fireworks.ai"),
        _own_server("local", HOSTED),
        _hosted("together", "https://api.together.xyz/v1"),
        _hosted(
            "deepinfra",
            "https://api.deepinfra.com/v1",
            keys="DEEPINFRA_API_KEY DEEPINFRA_TOKEN",
        ),
    )
}
