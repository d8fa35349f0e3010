"""Adds accounts on the command line: validates them and stores them with a sealed credential."""

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
MAX_CREDENTIAL_LENGTH = 64 * 1024
MAX_MODEL_LENGTH = 256
BASE_URL = "--base-url"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to add. `compatible` are the declared abilities of a provider outside the catalogue, else None."""

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
    """Stores a new account; returns the abilities that are stored for a compatible provider.

    Raises InvalidRequestError, ConflictError, UpstreamError (while probing), ConfigurationError (not installed).
    """
    base_url = _checked(gateway, new)
    stored = _abilities(gateway, new, base_url)
    vault = gateway.accounts.vault
    fingerprint = vault.fingerprint(new.credential)  # before the transaction, since it may insert the pepper
    # Creating a connector reports missing packages and options now instead of at the first request.
    gateway.accounts.loader.connector(_target(new, base_url), stored).close()

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
        raise ConflictError(
            f"Provider {new.provider} already has an account {new.name!r}: remove it, or choose another --name."
        )
    gateway.accounts.reread()
    gateway.log.info("account.added", provider=new.provider, account=new.name)
    return stored


def checked_credential(text: str) -> str:
    """Returns a credential as stored: one word, or a JSON object. Raises InvalidRequestError, which never shows it."""
    text = text.strip()
    if not text:
        raise InvalidRequestError("The key is empty.")
    if len(text) > MAX_CREDENTIAL_LENGTH:
        raise InvalidRequestError(f"The key is longer than {MAX_CREDENTIAL_LENGTH} characters.")
    if text.startswith("{"):
        try:
            return json.dumps(json.loads(text)).decode()
        except json.JSONDecodeError:
            raise InvalidRequestError("The key starts like a JSON object but is not valid JSON.") from None
    if any(ord(character) < 0x21 or ord(character) > 0x7E for character in text):
        raise InvalidRequestError("The key must be one word of printable ASCII, or a JSON object.")
    return text


def check_length(provider: str, credential: str, *, base_url: str) -> None:
    """Raises InvalidRequestError for a key that is too short for one of a vendor's, at the vendor's own URL."""
    entry = registry.find(provider)
    if entry is None:
        return
    try:
        registry.check_length(entry, "The key", credential, base_url=base_url)
    except ConfigurationError as error:
        raise InvalidRequestError(str(error)) from error


def checked_models(models: Mapping[str, str]) -> dict[str, str]:
    """Returns a valid map of model names. Raises InvalidRequestError."""
    if any(not name or len(name) > MAX_MODEL_LENGTH for pair in models.items() for name in pair):
        raise InvalidRequestError(
            f"--model: both names must have 1 to {MAX_MODEL_LENGTH} characters, as in NAME=NATIVE."
        )
    return dict(models)


def _checked(gateway: Gateway, new: NewAccount) -> str:
    """Validates `new` and returns its base URL."""
    entry = registry.find(new.provider)
    if new.compatible is None and entry is None and not gateway.accounts.is_known(new.provider):
        known = ", ".join(gateway.accounts.known())
        hint = "Any other compatible provider needs --compatible and --base-url."
        raise InvalidRequestError(f"Provider {new.provider!r:.80} is unknown. Known providers: {known}. {hint}")
    if new.compatible is not None and (entry is not None or not registry.PROVIDER_NAME.fullmatch(new.provider)):
        why = "is in the catalogue: omit --compatible" if entry else "must be lower case and match [a-z][a-z0-9-]{1,63}"
        raise InvalidRequestError(f"Provider {new.provider!r:.80} {why}.")
    if new.name == RESERVED or not NAME.fullmatch(new.name):
        raise InvalidRequestError(
            f"--name {new.name!r:.80}: use at most 48 characters of a-z 0-9 . _ - and not {RESERVED!r}."
        )
    for option in new.options:
        if not OPTION.fullmatch(option) or SECRET_OPTION.search(option):
            raise InvalidRequestError(
                f"--option {option!r:.80} is not allowed: put secrets into the key, as a JSON object if necessary."
            )
    checked_models(new.models)
    if entry is not None and not entry.keyless and not new.credential:
        raise InvalidRequestError(f"An account at {new.provider} needs a key.")
    base_url = _base_url(new, entry.base_url if entry else "")
    check_length(new.provider, new.credential, base_url=base_url)
    return base_url


def _base_url(new: NewAccount, default: str) -> str:
    url = new.base_url or default
    if not url:
        raise InvalidRequestError(f"An account at {new.provider} needs {BASE_URL}.")
    try:
        return registry.checked_url(BASE_URL, url)
    except ConfigurationError as error:
        raise InvalidRequestError(str(error)) from error


def _abilities(gateway: Gateway, new: NewAccount, base_url: str) -> dict[str, str] | None:
    """Returns the abilities to store for a compatible provider; all of its accounts must have the same."""
    if registry.find(new.provider) is not None:
        return None
    try:
        if new.probe:
            abilities = catalogue_probe.probed(_target(new, base_url))
        elif new.compatible:
            abilities = catalogue_probe.declared(new.compatible)
        else:
            abilities = {}
    except catalogue_probe.AbilityError as error:
        raise InvalidRequestError(str(error)) from error
    with gateway.database.read() as connection:
        others = [
            dict(row.abilities)
            for row in accounts.list_all(connection)
            if row.provider == new.provider and row.abilities and row.retired_at is None
        ]
    if not others:
        return abilities or catalogue_probe.declared({})
    if abilities and abilities != others[0]:
        have = ", ".join(f"{group}={support}" for group, support in others[0].items())
        raise ConflictError(f"The other accounts of {new.provider} have {have}: a new account must have the same.")
    return others[0]


def _target(new: NewAccount, base_url: str) -> Target:
    return Target(provider=new.provider, base_url=base_url, credential=new.credential, options=new.options)
