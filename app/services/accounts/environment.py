"""Keeps a row for each account of the environment, and handles changes of its key.

Only processes that serve (web, worker) and `batchgate accounts apply` do so: any other command only reads what they
stored. Each change is an event.

A new key may belong to the same account at the provider, or to another one that has none of the native objects in SQL.
So before the row is used with the new key, the key must be able to read one of these objects.
"""

from typing import Any

from sqlalchemy.exc import IntegrityError

from app.connectors.catalogue.registry import Configured
from app.connectors.contract.base import Target
from app.data.access import accounts
from app.data.access.accounts import AccountRow, AccountValues
from app.data.batches import capacity
from app.data.store.database import Connection, Database
from app.services.accounts import identity
from app.services.accounts.identity import Verdict
from app.services.accounts.load import Loader, concurrency
from app.services.accounts.vault import Vault
from app.services.events import record
from app.services.gateway import Actor

MAX_ATTEMPTS = 10  # every other process that updates the same account may cost one attempt
# How often a process records that it has an account, and when an account that no process has is retired.
SEEN_EVERY_MS = 3600 * 1000
UNSEEN_MS = 24 * SEEN_EVERY_MS
STORE_IT = "start web or worker with these variables, or run `batchgate accounts apply`"
# Who changes an account when a process applies its environment.
PROCESS = Actor(name="environment", source="environment", request_id="environment")


class Settler:
    """Updates the rows of the environment's accounts."""

    def __init__(self, database: Database, vault: Vault, loader: Loader, *, actor: Actor) -> None:
        self._database = database
        self._vault = vault
        self._loader = loader
        self._actor = actor

    def settle(self, entry: Configured) -> bool:
        """Inserts or updates the row of `entry`. Returns False when its provider is unavailable: try again later."""
        for _ in range(MAX_ATTEMPTS):
            with self._database.read() as connection:
                row = accounts.find(connection, provider=entry.provider, name=entry.name)
                held = [] if row is None else accounts.held(connection, row.id, limit=identity.CANDIDATES)
            if row is None or row.sealed_credential is None:
                settled = self._make(entry)
            elif self._is_same(row, entry):
                settled = concurrency(row) == entry.max_concurrency or self._update(row, entry)
            else:
                verdict = identity.find_out(self._loader, _target(entry), held).verdict
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
                    self._note(connection, "account_add", entry, {"base_url": entry.base_url, "was_retired": True})
                    return False  # its options may differ: `settle` compares them in its next attempt
                inserted = self._insert(connection, entry)
                if inserted:
                    self._note(connection, "account_add", entry, {"base_url": entry.base_url})
                return inserted
        except IntegrityError:  # another process revived it first
            return False

    def _insert(self, connection: Connection, entry: Configured, kept: AccountValues | None = None) -> bool:
        account_id = accounts.ensure(connection, provider=entry.provider, name=entry.name, base_url=entry.base_url)
        values = self._values(account_id, entry)
        values.update(kept or {})
        return accounts.fill(connection, account_id, **values)

    def _update(self, row: AccountRow, entry: Configured) -> bool:
        values = self._values(row.id, entry)
        with self._database.write() as connection:
            if not self._is_same(row, entry):
                capacity.start_over(connection, row.id)
            changed = accounts.change(connection, row.id, seen=row.changed_at or 0, **values)
            if changed:
                self._note(connection, "account_change", entry, self._difference(row, entry))
            return changed

    def _replace(self, row: AccountRow, entry: Configured) -> bool:
        with self._database.write() as connection:
            if not accounts.retire(connection, row.id, name=retired_name(row.id, row.name), seen=row.changed_at or 0):
                return False
            kept: AccountValues = {"weight": row.weight, "models": row.models, "disabled_at": row.disabled_at}
            inserted = self._insert(connection, entry, kept)
            if inserted:
                self._note(connection, "account_replace", entry, self._difference(row, entry))
            return inserted

    def _values(self, account_id: int, entry: Configured) -> AccountValues:
        return {
            "sealed_credential": self._vault.seal(entry.api_key, account_id=account_id),
            "fingerprint": self._vault.fingerprint(entry.api_key),
            "base_url": entry.base_url,
            "options": dict(entry.options) or None,
            "max_concurrency": entry.max_concurrency,
            "verified_at": True,
        }

    def _difference(self, row: AccountRow, entry: Configured) -> dict[str, Any]:
        """What the environment changes, as far as it may be shown: the values of options may be confidential."""
        changes: dict[str, Any] = {}
        if row.base_url != entry.base_url:
            changes["base_url"] = {"from": row.base_url, "to": entry.base_url}
        if row.fingerprint != self._vault.fingerprint(entry.api_key):
            changes["key"] = "changed"
        before, after = row.options or {}, dict(entry.options)
        if before != after:
            both = before.keys() | after.keys()
            changes["options"] = sorted(name for name in both if before.get(name) != after.get(name))
        if concurrency(row) != entry.max_concurrency:
            changes["max_concurrency"] = {"from": concurrency(row), "to": entry.max_concurrency}
        return changes

    def _note(self, connection: Connection, operation: str, entry: Configured, detail: dict[str, Any]) -> None:
        object_id = f"{entry.provider}/{entry.name}"
        record.record_act(connection, operation=operation, object_id=object_id, detail=detail, actor=self._actor)


def _target(entry: Configured) -> Target:
    return Target(provider=entry.provider, base_url=entry.base_url, credential=entry.api_key, options=entry.options)


def retired_name(account_id: int, name: str) -> str:
    """Returns the name of an account once it is retired, which frees `name` for another account."""
    suffix = f"~{account_id}"
    return f"{name[: 64 - len(suffix)]}{suffix}"
