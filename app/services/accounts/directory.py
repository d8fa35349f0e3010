"""The accounts of the gateway as this process sees them.

Every request looks up accounts, so lookups read a view in memory. Every two seconds one lookup checks in SQL whether a
row has changed.
"""

import random
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from app.auth.secrets import KeyRing
from app.connectors.catalogue import registry
from app.connectors.contract.abilities import Abilities
from app.connectors.contract.base import Target, Timeouts
from app.data.access import accounts
from app.data.access.accounts import AccountRow
from app.data.store.database import Database, is_outage
from app.lib.clock import Clock, SystemClock
from app.services.accounts.environment import PROCESS, SEEN_EVERY_MS, Settler
from app.services.accounts.load import Account, Loader
from app.services.accounts.vault import Vault
from app.services.gateway import Actor

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

REFRESH_S = 2.0
SETTLE_AGAIN_S = 15.0
SEEN_EVERY_S = SEEN_EVERY_MS / 1000


@dataclass(frozen=True, slots=True)
class _View:
    """The accounts when they were last read. `usable` accept new work; `declared` are the abilities of providers."""

    versions: Mapping[int, int]
    by_id: Mapping[int, Account]
    usable: Mapping[str, list[Account]]
    declared: Mapping[str, Abilities]


@dataclass(slots=True)
class _Due:
    """When each periodic task is due, by the monotonic clock; `unsettled` accounts still need their rows updated."""

    refresh: float = 0.0
    settle: float = 0.0
    seen: float = 0.0
    unsettled: dict[str, registry.Configured] = field(default_factory=dict)


class Accounts:
    """Reads the accounts at the first lookup, so a gateway can be built before the database is migrated.

    `applied_by` applies the accounts of `environment` to the store. With None nothing is written, and the accounts are
    those that other processes stored.
    """

    def __init__(
        self,
        database: Database,
        environment: Mapping[str, str],
        *,
        ring: KeyRing,
        pepper: Callable[[], bytes],
        log: "FilteringBoundLogger",
        timeouts: Timeouts,
        clock: Clock | None = None,
        refresh_s: float = REFRESH_S,
        applied_by: Actor | None = PROCESS,
    ) -> None:
        self.vault = Vault(ring, pepper)
        self.loader = Loader(self.vault, timeouts=timeouts, log=log)
        self._settler = None if applied_by is None else Settler(database, self.vault, self.loader, actor=applied_by)
        self._database = database
        self._log = log
        self._clock = clock or SystemClock()
        self._refresh_s = refresh_s
        self._configured = {entry.provider: entry for entry in registry.configured(environment)}
        self._due = _Due(unsettled={} if applied_by is None else dict(self._configured))
        self._lock = threading.Lock()
        self._seen: _View | None = None

    def providers(self) -> list[str]:
        """Returns the providers that have an account for new work, in the order of the catalogue."""
        return list(self._view().usable)

    @property
    def applies(self) -> bool:
        """True when this process stores the accounts of its environment."""
        return self._settler is not None

    def configured(self) -> list[str]:
        """Returns the providers that this process's environment configures an account for, usable or not."""
        return list(self._configured)

    def is_known(self, provider: str) -> bool:
        """Returns True for a provider of the catalogue, or a compatible one that has an account."""
        return registry.is_known(provider) or provider in self._view().declared

    def known(self) -> list[str]:
        """Returns all providers that a request can name: those of the catalogue, then compatible ones."""
        return [*registry.names(), *(name for name in self._view().declared if not registry.is_known(name))]

    def names(self, provider: str | None = None) -> list[str]:
        """Returns the sorted names of the accounts for new work, at `provider` or at all providers."""
        usable = self._view().usable
        lists = usable.values() if provider is None else [usable.get(provider, [])]
        return sorted({account.name for each in lists for account in each})

    def abilities(self, provider: str) -> Abilities:
        """Returns what `provider` can do, as declared by its first account or else by the catalogue."""
        return self._view().declared.get(provider) or registry.abilities(provider)

    def ids(self) -> list[int]:
        """Returns the row ids of all accounts that can be called, including retired ones, whose work continues."""
        return list(self._view().by_id)

    def sending_ids(self) -> list[int]:
        """Returns the row ids of the accounts that lines may be sent to: all but the disabled ones."""
        return [account.id for account in self._view().by_id.values() if not account.disabled]

    def of(self, provider: str) -> Account | None:
        """Returns an account for new work at `provider`, or None."""
        return self.choose(provider)

    def choose(
        self,
        provider: str,
        *,
        name: str | None = None,
        allowed: Collection[str] | None = None,
        prefer: Collection[int] = (),
    ) -> Account | None:
        """Chooses an account for new work by weight among the healthy ones, preferably with an id in `prefer`.

        `name` and `allowed` restrict the choice to accounts of these names (`name`, or `provider/name`). If none is
        healthy, one is chosen anyway, so the caller gets the provider's error. Returns None when there is no account.
        """
        usable = self._view().usable.get(provider, [])
        fitting = [account for account in usable if fits(account, name, allowed)]
        healthy = [account for account in fitting if account.connector.healthy] or fitting
        among = [account for account in healthy if account.id in prefer] or healthy
        if len(among) < 2:
            return among[0] if among else None
        return random.choices(among, [account.weight for account in among])[0]  # noqa: S311 - not a secret

    def by_id(self, account_id: int) -> Account | None:
        """Returns the account with this row id, or None. Disabled and retired ones count while a credential is kept."""
        return self._view().by_id.get(account_id)

    def is_usable(self, account_id: int) -> bool:
        """Returns True when the account accepts new work in this process."""
        return any(account.id == account_id for each in self._view().usable.values() for account in each)

    def settle_now(self) -> bool:
        """Verifies changed keys again whose provider was unavailable before. Returns True when none is left."""
        self._due.settle = 0.0
        self.reread()
        return not self._due.unsettled

    def unapplied(self) -> list[str]:
        """Returns the accounts of this process's environment that are not stored, or stored with other values."""
        stored = {account.label: account.connector.target for account in self._view().by_id.values()}
        return [
            f"{entry.provider}/{entry.name}"
            for entry in self._configured.values()
            if (target := stored.get(f"{entry.provider}/{entry.name}")) is None or not _describes(entry, target)
        ]

    def reread(self) -> None:
        """Reads the accounts now, since this process has just changed one."""
        self._due.refresh = 0.0
        self._view()

    def _view(self) -> _View:
        seen = self._seen
        if seen is not None and self._clock.monotonic() < self._due.refresh:
            return seen
        # One thread reads; the others use the previous view, if there is one.
        if not self._lock.acquire(blocking=seen is None):
            return seen  # type: ignore[return-value]
        try:
            if self._seen is None or self._clock.monotonic() >= self._due.refresh:
                self._seen = self._refreshed(self._seen)
                self._due.refresh = self._clock.monotonic() + self._refresh_s
            return self._seen
        finally:
            self._lock.release()

    def _refreshed(self, before: _View | None) -> _View:
        try:
            settled = self._settle()
            with self._database.read() as connection:
                versions = accounts.versions(connection)
                is_seen = self._clock.monotonic() < self._due.seen
                if before is not None and is_seen and not settled and versions == before.versions:
                    return before
                rows = accounts.kept(connection)
            self._note_seen(rows)
        except DBAPIError as error:
            if before is None or not is_outage(error):
                raise
            self._log.warning("accounts.not_reread", reason=type(error).__name__)
            return before
        return self._made(rows)

    def _settle(self) -> bool:
        """Updates rows of the environment's accounts where that is due. Returns True when one became usable."""
        now = self._clock.monotonic()
        settled: list[str] = []
        if self._settler and self._due.unsettled and now >= self._due.settle:
            settled = [name for name, entry in self._due.unsettled.items() if self._settler.settle(entry)]
            for name in settled:
                del self._due.unsettled[name]
            for name in self._due.unsettled:
                self._log.warning("account.not_verified", provider=name, reason="Its key changed; it is away.")
            self._due.settle = self._clock.monotonic() + SETTLE_AGAIN_S
        return bool(settled)

    def _made(self, rows: Collection[AccountRow]) -> _View:
        loaded = {account.id: account for account in self.loader.load(list(rows))}
        usable: dict[str, list[Account]] = {}
        declared: dict[str, Abilities] = {}
        ready = {row.id for row in rows if self._is_usable(row)}
        for account in sorted(loaded.values(), key=lambda account: account.id not in ready):
            declared.setdefault(account.provider, account.abilities)
            if account.id in ready:
                usable.setdefault(account.provider, []).append(account)
        return _View(
            versions={row.id: row.changed_at or 0 for row in rows},
            by_id=loaded,
            usable={name: usable[name] for name in sorted(usable, key=_position)},
            declared={name: declared[name] for name in sorted(declared, key=_position)},
        )

    def _note_seen(self, rows: Collection[AccountRow]) -> None:
        """Records periodically which of the environment's accounts this process has; the sweeper retires the others."""
        now = self._clock.monotonic()
        if self._settler is None or now < self._due.seen:
            return
        own = [row.id for row in rows if row.source == accounts.ENVIRONMENT and self._is_own(row)]
        if own:
            with self._database.write() as connection:
                accounts.verified(connection, own, older_ms=SEEN_EVERY_MS)
        self._due.seen = now + SEEN_EVERY_S

    def _is_own(self, row: AccountRow) -> bool:
        return row.retired_at is None and row.provider in self._configured

    def _is_usable(self, row: AccountRow) -> bool:
        """Returns True for an account that accepts new work of any caller.

        Of the environment's accounts, only those in this process's own environment count, if it applies that.
        """
        if row.retired_at is not None or row.disabled_at is not None or row.source == accounts.CALLER:
            return False
        if row.source != accounts.ENVIRONMENT or self._settler is None:
            return True
        return self._is_own(row) and row.provider not in self._due.unsettled


def fits(account: Account, name: str | None, allowed: Collection[str] | None) -> bool:
    """Returns True when `account` has the name `name` (None for any) and is one of `allowed` (None for all)."""
    names = (account.name, account.label)
    return (name is None or name in names) and (allowed is None or any(each in allowed for each in names))


def _describes(entry: registry.Configured, target: Target) -> bool:
    found = registry.find(entry.provider)
    options = {**(found.options if found else {}), **entry.options}
    ours = (entry.base_url, entry.api_key, entry.max_concurrency, options)
    return ours == (target.base_url, target.credential, target.max_concurrency, dict(target.options))


def _position(provider: str) -> tuple[int, str]:
    known = registry.names()
    return (known.index(provider) if provider in known else len(known), provider)


__all__ = ["Account", "Accounts", "fits"]
