"""The declaration of a provider, and shorthands for it. Code is named, not imported."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.connectors.contract.abilities import Abilities, FileLimits, JobLimits, operations

MIB = 2**20
GIB = 2**30

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
MODERATIONS = "/v1/moderations"
IMAGES = "/v1/images/generations"
IMAGE_EDITS = "/v1/images/edits"
VIDEOS = "/v1/videos"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
# What the path of a line endpoint looks like, also one that only an outside connector declares.
ENDPOINT = re.compile(r"/v1/[a-z0-9_./-]{1,60}")
LINES = frozenset({CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES})

# Newer models of OpenAI accept only this name, and providers that follow OpenAI deprecate the other.
NEWER_LIMIT = "max_completion_tokens"

# Purposes for which OpenAI's own services use a file, so it must be stored there.
DIRECT = frozenset({"assistants", "vision", "user_data", "fine-tune", "evals"})
DAYS = frozenset({"24h", "48h", "7d"})

LINES_ONLY = "app.connectors.providers.openai.lines:OpenAICompatible"
OPENAI_SHAPED = "app.connectors.providers.openai.connector:OpenAIShaped"
STORE_ONLY = "app.connectors.contract.base:Connector"


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider, declared without importing its code.

    `target` is `module:Class` of its connector. `base_url` is the default, may be empty. An account exists when
    `key_envs` (the first one set counts) has a value or, for a provider that runs without keys, when `url_env` has.
    `prefix` starts the names of its other variables; `option_envs` are those of the account's options, `options` the
    defaults of these. `callers_keys` means that a key is one word that opens only its account at `base_url`, so callers
    may bring their own where the operator allows that. `traced_as` is OpenTelemetry's name for it, if that is another.
    """

    name: str
    prefix: str
    key_envs: tuple[str, ...]
    url_env: str
    base_url: str = ""
    keyless: bool = False
    target: str = ""
    abilities: Abilities = Abilities()
    install_hint: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    option_envs: Mapping[str, str] = field(default_factory=dict)
    callers_keys: bool = False
    traced_as: str = ""


def hosted(name: str, base_url: str, *, keys: str = "", url: str = "", prefix: str = "", **more: object) -> Provider:
    """A provider that requires a key; `keys` are the names of its variables, if not `<NAME>_API_KEY`."""
    prefix = prefix or name.upper()
    key_envs = tuple(keys.split()) or (f"{prefix}_API_KEY",)
    return Provider(name, prefix, key_envs, url or f"{prefix}_BASE_URL", base_url, **more)  # type: ignore[arg-type]


def own_server(name: str, abilities: Abilities) -> Provider:
    """An OpenAI-compatible server that the operator runs, with or without a key."""
    prefix = name.upper()
    return Provider(
        name, prefix, (f"{prefix}_API_KEY",), f"{prefix}_BASE_URL", keyless=True, target=LINES_ONLY, abilities=abilities
    )


def native(
    jobs: JobLimits,
    *,
    lines: frozenset[str],
    files: FileLimits = FileLimits(),  # noqa: B008 - immutable
    also: str = "",
    emulated: str = "batch_delete",
    without: str = "",
    output_limit: str = "max_tokens",
) -> Abilities:
    """Native files and batches; `also` and `emulated` add operations, `without` removes some."""
    supports = operations(native=f"files batches {also}", emulated=emulated)
    for name in without.split():
        del supports[name]
    return Abilities(supports, lines=lines, files=files, jobs=jobs, output_limit=output_limit)


EMULATED = Abilities(operations(emulated="files batches"), lines=LINES)
HOSTED = Abilities(operations(emulated="files batches containers"), lines=LINES)
FILES_ONLY = Abilities(operations(emulated="files"))
