"""Builds accounts from rows, each with its connector. A connector is reused until its settings change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from app.auth.secrets import SealError
from app.connectors.catalogue import probe, registry
from app.connectors.contract.abilities import Abilities
from app.connectors.contract.base import Connector, Target, Timeouts
from app.connectors.contract.errors import ConfigurationError
from app.data.access.accounts import CALLER, AccountRow
from app.services.accounts.vault import Vault

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

CALLERS = "callers"


@dataclass(frozen=True, slots=True)
class Account:
    """One credential and base URL at a provider, ready to be called. `models` maps callers' names to its own.

    While it is `disabled`, nothing new is sent there: neither lines nor jobs. `version` grows with each change.
    """

    id: int
    provider: str
    name: str
    base_url: str
    weight: int
    max_concurrency: int
    models: Mapping[str, str]
    connector: Connector = field(repr=False)
    limits: Mapping[str, int] = field(default_factory=dict)
    disabled: bool = False
    version: int = 0
    source: str = ""

    @property
    def shown_name(self) -> str:
        """Its name in metrics."""
        return shown_name(self.name, self.source)

    @property
    def label(self) -> str:
        """Provider and name, unique together."""
        return f"{self.provider}/{self.name}"

    @property
    def abilities(self) -> Abilities:
        """What the account's connector declares."""
        return self.connector.abilities

    def native_model(self, model: str) -> str:
        """Returns the account's own name of `model`, such as a deployment, or `model` itself."""
        return self.models.get(model, model)


class Loader:
    """Builds accounts, and reuses their connectors, which hold connection pools and circuit breakers."""

    def __init__(self, vault: Vault, *, timeouts: Timeouts, log: "FilteringBoundLogger") -> None:
        self._vault = vault
        self._timeouts = timeouts
        self._log = log
        self._connectors: dict[int, tuple[Target, Connector]] = {}

    def load(self, rows: Iterable[AccountRow]) -> list[Account]:
        """Returns the accounts of `rows`. Logs and leaves out those that cannot be used."""
        loaded = [account for row in rows if (account := self._account(row)) is not None]
        for account_id in set(self._connectors) - {account.id for account in loaded}:
            self._connectors.pop(account_id)[1].close()
        return loaded

    def connector(
        self, target: Target, stored: Mapping[str, str] | None = None, *, max_s: float | None = None
    ) -> Connector:
        """Returns a new connector; `stored` are the abilities of a compatible provider. Raises ConfigurationError.

        Its management calls time out after `max_s` seconds, if that is less than the configured time-out.
        """
        entry = registry.find(target.provider)
        patient = replace(
            target,
            connect_timeout_s=self._timeouts.connect_s,
            call_timeout_s=self._timeouts.call_s if max_s is None else min(max_s, self._timeouts.call_s),
            silence_timeout_s=self._timeouts.silence_s,
            retry_pause_s=self._timeouts.retry_pause_s,
        )
        if entry is None:
            shape = probe.shape(stored or {})
            return registry.load(replace(patient, abilities=shape.abilities), path=shape.path)
        options = {**entry.options, **target.options}
        return registry.load(replace(patient, abilities=registry.abilities(target.provider), options=options))

    def _account(self, row: AccountRow) -> Account | None:
        try:
            connector = self._kept_connector(row)
        except ValueError as error:
            # The message of any other error may contain a credential that failed to parse, so only its type is logged.
            known = isinstance(error, SealError | ConfigurationError)
            why = str(error) if known else type(error).__name__
            self._log.error("account.unusable", provider=row.provider, account=row.name, reason=why)
            return None
        return Account(
            id=row.id,
            provider=row.provider,
            name=row.name,
            base_url=row.base_url,
            weight=row.weight,
            max_concurrency=concurrency(row),
            models=row.models or {},
            connector=connector,
            limits=row.limits or {},
            disabled=row.disabled_at is not None,
            version=row.changed_at or 0,
            source=row.source,
        )

    def _kept_connector(self, row: AccountRow) -> Connector:
        if row.sealed_credential is None:
            raise ConfigurationError("Its credential has been wiped.")
        target = Target(
            provider=row.provider,
            base_url=row.base_url,
            credential=self._vault.open(row.sealed_credential, account_id=row.id),
            options=row.options or {},
            max_concurrency=concurrency(row),
        )
        previous = self._connectors.get(row.id)
        if previous is not None and previous[0] == target:
            return previous[1]
        connector = self.connector(target, row.abilities)
        self._connectors[row.id] = (target, connector)
        if previous is not None:
            previous[1].close()
        return connector


def shown_name(name: str, source: str) -> str:
    """An account's name in metrics: those that callers bring with their own keys share one, as many as they are."""
    return CALLERS if source == CALLER else name


def concurrency(row: AccountRow) -> int:
    """Returns the maximum number of requests that all workers together have in flight at the account."""
    return int(row.max_concurrency or registry.DEFAULT_CONCURRENCY)
