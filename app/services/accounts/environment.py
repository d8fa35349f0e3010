"""Keeps a row for each account of the environment, and handles changes of its key.

A new key may belong to the same account at the provider, or to another one that has none of the native objects in SQL.
So before the row is used with the new key, the key must be able to read one of these objects.
"""

from contextlib import closing
from enum import Enum

from sqlalchemy.exc import IntegrityError

from app.connectors.catalogue.registry import Configured
from app.connectors.contract.base import Connector, Target
from app.connectors.contract.errors import ConfigurationError, RefusedError, UpstreamError
from app.data.access import accounts
from app.data.access.accounts import AccountRow, AccountValues
from app.data.store.database import Connection, Database
from app.services.accounts.load import Loader, concurrency
from app.services.accounts.vault import Vault

MAX_ATTEMPTS = 10  # every other process that updates the same account may cost one attempt
CANDIDATES = 2  # objects of each kind to look for: one may have expired at the provider
CALL_TIMEOUT_S = 10.0
# How often a process records that it has an account, and when an account that no process has is retired.
SEEN_EVERY_MS = 3600 * 1000
UNSEEN_MS = 24 * SEEN_EVERY_MS


class Verdict(Enum):
    """Whether a new key belongs to the same account at the provider."""

    SAME = "same"
    OTHER = "other"
    UNREACHABLE = "unreachable"


class Settler:
    """Updates the rows of the environment's accounts."""

    def __init__(self, database: Database, vault: Vault, loader: Loader) -> None:
        self._database = database
        self._vault = vault
        self._loader = loader

    def settle(self, entry: Configured) -> bool:
        """Inserts or updates the row of `entry`. Returns False when its provider is unavailable: try again later."""
        for _ in range(MAX_ATTEMPTS):
            with self._database.read() as connection:
                row = accounts.find(connection, provider=entry.provider, name=entry.name)
                held = [] if row is None else accounts.held(connection, row.id, limit=CANDIDATES)
            if row is None or row.sealed_credential is None:
                settled = self._make(entry)
            elif self._is_same(row, entry):
                settled = concurrency(row) == entry.max_concurrency or self._update(row, entry)
            else:
                verdict = self._verdict(entry, held) if held else Verdict.SAME
                if verdict is Verdict.UNREACHABLE:
                    return False
                settled = self._update(row, entry) if verdict is Verdict.SAME else self._replace(row, entry)
            if settled:
                return True
        return False

    def _is_same(self, row: AccountRow, entry: Configured) -> bool:
        return bool(
            row.fingerprint == self._vault.fingerprint(entry.api_key)
            and row.base_url == entry.base_url
            and (row.options or {}) == dict(entry.options)
        )

    def _make(self, entry: Configured) -> bool:
        fingerprint = self._vault.fingerprint(entry.api_key)
        try:
            with self._database.write() as connection:
                if accounts.find(connection, provider=entry.provider, name=entry.name) is None and accounts.revive(
                    connection,
                    provider=entry.provider,
                    name=entry.name,
                    fingerprint=fingerprint,
                    base_url=entry.base_url,
                ):
                    return False  # its options may differ: `settle` compares them in its next attempt
                return self._insert(connection, entry)
        except IntegrityError:  # another process revived it first
            return False

    def _insert(self, connection: Connection, entry: Configured, kept: AccountValues | None = None) -> bool:
        account_id = accounts.ensure(connection, provider=entry.provider, name=entry.name, base_url=entry.base_url)
        values = self._values(account_id, entry)
        values.update(kept or {})
        return accounts.fill(connection, account_id, **values)

    def _update(self, row: AccountRow, entry: Configured) -> bool:
        with self._database.write() as connection:
            return accounts.change(connection, row.id, seen=row.changed_at or 0, **self._values(row.id, entry))

    def _replace(self, row: AccountRow, entry: Configured) -> bool:
        with self._database.write() as connection:
            if not accounts.retire(connection, row.id, name=retired_name(row.id, row.name), seen=row.changed_at or 0):
                return False
            kept: AccountValues = {"weight": row.weight, "models": row.models, "disabled_at": row.disabled_at}
            return self._insert(connection, entry, kept)

    def _values(self, account_id: int, entry: Configured) -> AccountValues:
        return {
            "sealed_credential": self._vault.seal(entry.api_key, account_id=account_id),
            "fingerprint": self._vault.fingerprint(entry.api_key),
            "base_url": entry.base_url,
            "options": dict(entry.options) or None,
            "max_concurrency": entry.max_concurrency,
            "verified_at": True,
        }

    def _verdict(self, entry: Configured, held: list[tuple[str, str]]) -> Verdict:
        target = Target(
            provider=entry.provider,
            base_url=entry.base_url,
            credential=entry.api_key,
            options=entry.options,
        )
        try:
            with closing(self._loader.connector(target, max_s=CALL_TIMEOUT_S)) as connector:
                is_same = any(_has(connector, kind, native_id) for kind, native_id in held)
        except (UpstreamError, ConfigurationError):
            return Verdict.UNREACHABLE
        return Verdict.SAME if is_same else Verdict.OTHER


def retired_name(account_id: int, name: str) -> str:
    """Returns the name of an account once it is retired, which frees `name` for another account."""
    suffix = f"~{account_id}"
    return f"{name[: 64 - len(suffix)]}{suffix}"


def _has(connector: Connector, kind: str, native_id: str) -> bool:
    """Returns whether the account of `connector` has this object. Raises UpstreamError when that is unknown now."""
    retrieve = {
        "job": connector.retrieve_job,
        "file": connector.retrieve_file,
        "container": connector.retrieve_container,
    }[kind]
    try:
        retrieve(native_id)
    except (RefusedError, NotImplementedError):
        return False
    return True
