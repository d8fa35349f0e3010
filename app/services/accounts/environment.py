"""Accounts of the environment: a row for each in SQL, and what to do when its key is no longer the same.

Another key may open the same account or another one, which has none of the native objects that SQL says it has. So
the new key must show that it reaches one of them before the row is used with it.
"""

from contextlib import closing
from enum import Enum

from sqlalchemy.exc import IntegrityError

from app.connectors.catalogue.registry import Configured
from app.connectors.contract.base import Connector, Target
from app.connectors.contract.errors import ConfigurationError, RefusedError, UpstreamError
from app.data.access import accounts
from app.data.store.database import AnyRow, Connection, Database
from app.services.accounts.load import Loader, concurrency
from app.services.accounts.vault import Vault

ATTEMPTS = 10  # each other process that settles the same account may cost one
CANDIDATES = 2  # things of each kind to ask for: one may have expired at the provider
CALL_TIMEOUT_S = 10.0
# A process says so often that it has an account; one that nobody has had for so long is retired.
SEEN_EVERY_MS = 3600 * 1000
UNSEEN_MS = 24 * SEEN_EVERY_MS


class Verdict(Enum):
    """What the provider tells of a new key."""

    SAME = "same"
    OTHER = "other"
    UNREACHABLE = "unreachable"


class Settler:
    """Brings the rows of accounts of the environment up to date."""

    def __init__(self, database: Database, vault: Vault, loader: Loader) -> None:
        self._database = database
        self._vault = vault
        self._loader = loader

    def settle(self, entry: Configured) -> bool:
        """Make the row of `entry` or bring it up to date. False when its provider could not be asked: try later."""
        for _ in range(ATTEMPTS):
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

    def _is_same(self, row: AnyRow, entry: Configured) -> bool:
        return bool(
            row.fingerprint == self._vault.fingerprint(entry.api_key)
            and row.base_url == entry.base_url
            and (row.options or {}) == dict(entry.options)
        )

    def _make(self, entry: Configured) -> bool:
        fingerprint = self._vault.fingerprint(entry.api_key)
        named = {"provider": entry.provider, "name": entry.name, "base_url": entry.base_url}
        try:
            with self._database.write() as connection:
                if accounts.find(connection, provider=entry.provider, name=entry.name) is None and accounts.revive(
                    connection, fingerprint=fingerprint, **named
                ):
                    return False  # it may differ in its options: look again
                return self._insert(connection, entry)
        except IntegrityError:  # another process revived it
            return False

    def _insert(self, connection: Connection, entry: Configured, **values: object) -> bool:
        named = {"provider": entry.provider, "name": entry.name, "base_url": entry.base_url}
        account_id = accounts.ensure(connection, **named)
        return accounts.fill(connection, account_id, **self._values(account_id, entry), **values)

    def _update(self, row: AnyRow, entry: Configured) -> bool:
        with self._database.write() as connection:
            return accounts.change(connection, row.id, seen=row.changed_at or 0, **self._values(row.id, entry))

    def _replace(self, row: AnyRow, entry: Configured) -> bool:
        with self._database.write() as connection:
            if not accounts.retire(connection, row.id, name=retired_name(row), seen=row.changed_at or 0):
                return False
            kept = {"weight": row.weight, "models": row.models, "disabled_at": row.disabled_at}
            return self._insert(connection, entry, **kept)

    def _values(self, account_id: int, entry: Configured) -> dict[str, object]:
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
            with closing(self._loader.connector(target, most_s=CALL_TIMEOUT_S)) as connector:
                found = any(_has(connector, kind, native_id) for kind, native_id in held)
        except (UpstreamError, ConfigurationError):
            return Verdict.UNREACHABLE
        return Verdict.SAME if found else Verdict.OTHER


def retired_name(row: AnyRow) -> str:
    """The name of a retired account: its own is free for another one."""
    suffix = f"~{row.id}"
    return f"{row.name[: 64 - len(suffix)]}{suffix}"


def _has(connector: Connector, kind: str, native_id: str) -> bool:
    """Whether the account of `connector` has this object. Raises UpstreamError when that cannot be known now."""
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
