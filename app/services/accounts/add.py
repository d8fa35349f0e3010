"""Accounts that operators add: what is checked, and what is kept of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from app.connectors.catalogue import probe as catalogue_probe
from app.connectors.catalogue import registry
from app.connectors.contract.base import Target
from app.connectors.contract.errors import ConfigurationError
from app.data.access import accounts
from app.errors import ConflictError, InvalidRequestError
from app.lib import json
from app.services.events import record
from app.services.gateway import Gateway

DEFAULT_NAME = "default"
RESERVED = "env"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
OPTION = re.compile(r"[a-z][a-z0-9_]{0,63}")
SECRET_OPTION = re.compile(r"(key|token|secret|password|credentials?)$")
MAX_CREDENTIAL = 64 * 1024
MAX_MODEL = 256
BASE_URL = "--base-url"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an operator asks for. `compatible` are the declared abilities of a provider outside the catalogue."""

    provider: str
    name: str = DEFAULT_NAME
    base_url: str = ""
    credential: str = field(default="", repr=False)
    weight: int = 1
    max_concurrency: int | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    compatible: Mapping[str, str] | None = None
    probe: bool = False


def add(gateway: Gateway, new: NewAccount) -> Mapping[str, str] | None:
    """Keep a new account, its credential sealed; returns the abilities that are kept of a compatible provider.

    Raises InvalidRequestError, ConflictError, UpstreamError (while probing), ConfigurationError (not installed).
    """
    base_url = _checked(gateway, new)
    stored = _abilities(gateway, new, base_url)
    vault = gateway.accounts.vault
    fingerprint = vault.fingerprint(new.credential)  # before the transaction: it may make the pepper
    gateway.accounts.loader.connector(_target(new, base_url), stored).close()  # what it lacks is told now, not later

    def unit(connection: Connection) -> bool:
        if accounts.find(connection, provider=new.provider, name=new.name) is not None:
            return False
        account_id = accounts.ensure(
            connection, provider=new.provider, name=new.name, base_url=base_url, source=accounts.COMMAND_LINE
        )
        record.record_act(connection, operation="account_add", object_id=f"{new.provider}/{new.name}")
        return accounts.fill(
            connection,
            account_id,
            sealed_credential=vault.seal(new.credential, account_id=account_id),
            fingerprint=fingerprint,
            weight=new.weight,
            max_concurrency=new.max_concurrency,
            models=dict(new.models) or None,
            options=dict(new.options) or None,
            abilities=stored,
        )

    if not gateway.database.run(unit):
        raise ConflictError(f"Provider {new.provider} has an account {new.name!r} already: remove it or use --name.")
    gateway.accounts.reread()
    gateway.log.info("account.added", provider=new.provider, account=new.name)
    return stored


def checked_credential(text: str) -> str:
    """A credential as it is kept: one word, or a JSON object. Raises InvalidRequestError, which never shows it."""
    text = text.strip()
    if not text:
        raise InvalidRequestError("The key is empty.")
    if len(text) > MAX_CREDENTIAL:
        raise InvalidRequestError(f"The key is longer than {MAX_CREDENTIAL} characters.")
    if text.startswith("{"):
        try:
            return json.dumps(json.loads(text)).decode()
        except json.JSONDecodeError:
            raise InvalidRequestError("The key begins as a JSON object does, but is none.") from None
    if any(ord(character) < 0x21 or ord(character) > 0x7E for character in text):
        raise InvalidRequestError("The key must be one word of printable ASCII, or a JSON object.")
    return text


def checked_models(models: Mapping[str, str]) -> dict[str, str]:
    """A map of model names. Raises InvalidRequestError."""
    if any(not name or len(name) > MAX_MODEL for pair in models.items() for name in pair):
        raise InvalidRequestError(f"--model: names have 1 to {MAX_MODEL} characters, as in asked=native.")
    return dict(models)


def _checked(gateway: Gateway, new: NewAccount) -> str:
    """The base URL of `new`, when all else fits, too."""
    entry = registry.find(new.provider)
    if new.compatible is None and entry is None and not gateway.accounts.is_known(new.provider):
        known = ", ".join(gateway.accounts.known())
        hint = "An OpenAI-compatible one that is not listed needs --compatible and --base-url."
        raise InvalidRequestError(f"Provider {new.provider!r:.80} is not known; known are {known}. {hint}")
    if new.compatible is not None and (entry is not None or not registry.PROVIDER_NAME.fullmatch(new.provider)):
        why = "is of the catalogue: leave out --compatible" if entry else "must be lower case, as [a-z][a-z0-9-]{1,63}"
        raise InvalidRequestError(f"Provider {new.provider!r:.80} {why}.")
    if new.name == RESERVED or not NAME.fullmatch(new.name):
        raise InvalidRequestError(f"--name {new.name!r:.80}: use a-z 0-9 . _ - (48 at most), and not {RESERVED!r}.")
    for option in new.options:
        if not OPTION.fullmatch(option) or SECRET_OPTION.search(option):
            raise InvalidRequestError(
                f"--option {option!r:.80} is none: secrets belong into the key, as JSON if need be."
            )
    checked_models(new.models)
    if entry is not None and not entry.keyless and not new.credential:
        raise InvalidRequestError(f"An account at {new.provider} needs a key.")
    return _base_url(new, entry.base_url if entry else "")


def _base_url(new: NewAccount, default: str) -> str:
    url = new.base_url or default
    if not url:
        raise InvalidRequestError(f"An account at {new.provider} needs {BASE_URL}.")
    try:
        return registry.checked_url(BASE_URL, url)
    except ConfigurationError as error:
        raise InvalidRequestError(str(error)) from error


def _abilities(gateway: Gateway, new: NewAccount, base_url: str) -> dict[str, str] | None:
    """What to keep of the abilities of a compatible provider; its accounts must agree."""
    if registry.find(new.provider) is not None:
        return None
    try:
        if new.probe:
            found = catalogue_probe.probed(_target(new, base_url))
        elif new.compatible:
            found = catalogue_probe.declared(new.compatible)
        else:
            found = {}
    except catalogue_probe.AbilityError as error:
        raise InvalidRequestError(str(error)) from error
    with gateway.database.read() as connection:
        others = [
            row
            for row in accounts.list_all(connection)
            if row.provider == new.provider and row.abilities and row.retired_at is None
        ]
    if not others:
        return found or catalogue_probe.declared({})
    if found and found != others[0].abilities:
        have = ", ".join(f"{group}={support}" for group, support in others[0].abilities.items())
        raise ConflictError(f"The accounts of {new.provider} have {have}: another one must have the same.")
    return dict(others[0].abilities)


def _target(new: NewAccount, base_url: str) -> Target:
    return Target(provider=new.provider, base_url=base_url, credential=new.credential, options=new.options)
