"""The accounts of the environment: a row for each in SQL, a connector for each in this process."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.connectors import registry
from app.connectors.abilities import Abilities
from app.connectors.base import Connector, Target
from app.data import accounts
from app.data.database import Database


@dataclass(frozen=True, slots=True)
class Account:
    """One configured credential and base URL, ready to be called."""

    id: int
    provider: str
    base_url: str
    max_concurrency: int
    connector: Connector = field(repr=False)

    @property
    def abilities(self) -> Abilities:
        """What the account's connector declares."""
        return self.connector.abilities


class Accounts:
    """Looked up at the first use, so that building a gateway needs no migrated database."""

    def __init__(self, database: Database, environment: Mapping[str, str], *, connect_timeout_s: float) -> None:
        self._database = database
        self._connect_timeout_s = connect_timeout_s
        self._configured = {entry.provider: entry for entry in registry.configured(environment)}
        self._lock = threading.Lock()
        self._ready: dict[str, Account] | None = None

    def providers(self) -> list[str]:
        """Names of the providers that have an account, in the registry's order."""
        return list(self._configured)

    def ids(self) -> list[int]:
        """Row ids of all accounts of this environment."""
        return [account.id for account in self._loaded().values()]

    def of(self, provider: str) -> Account | None:
        """The account that new work at `provider` goes to, or None."""
        return self._loaded().get(provider)

    def by_id(self, account_id: int) -> Account | None:
        """The account with this row id, or None when the environment no longer has it."""
        return next((account for account in self._loaded().values() if account.id == account_id), None)

    def _loaded(self) -> dict[str, Account]:
        if self._ready is None:
            with self._lock:
                if self._ready is None:
                    self._ready = self._load()
        return self._ready

    def _load(self) -> dict[str, Account]:
        with self._database.write() as connection:
            ids = {
                entry.provider: accounts.ensure(
                    connection, provider=entry.provider, name=entry.name, base_url=entry.base_url
                )
                for entry in self._configured.values()
            }
        return {
            entry.provider: Account(
                id=ids[entry.provider],
                provider=entry.provider,
                base_url=entry.base_url,
                max_concurrency=entry.max_concurrency,
                connector=registry.load(self._target(entry)),
            )
            for entry in self._configured.values()
        }

    def _target(self, entry: registry.Configured) -> Target:
        return Target(
            provider=entry.provider,
            base_url=entry.base_url,
            credential=entry.api_key,
            options=entry.options,
            abilities=registry.abilities(entry.provider),
            max_concurrency=entry.max_concurrency,
            connect_timeout_s=self._connect_timeout_s,
        )
