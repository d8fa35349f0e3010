"""Accounts made of rows: each with its connector, which is kept while what it is made of stays the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.auth.secrets import SealError
from app.connectors.catalogue import probe, registry
from app.connectors.contract.abilities import Abilities
from app.connectors.contract.base import Connector, Target, Timeouts
from app.connectors.contract.errors import ConfigurationError
from app.data.store.database import AnyRow
from app.services.accounts.vault import Vault


@dataclass(frozen=True, slots=True)
class Account:
    """One configured credential and base URL, ready to be called. `models` maps names asked for to its own."""

    id: int
    provider: str
    name: str
    base_url: str
    weight: int
    max_concurrency: int
    models: Mapping[str, str]
    connector: Connector = field(repr=False)
    limits: Mapping[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Provider and name, which together are unique."""
        return f"{self.provider}/{self.name}"

    @property
    def abilities(self) -> Abilities:
        """What the account's connector declares."""
        return self.connector.abilities

    def native_model(self, model: str) -> str:
        """The account's own name of `model` (a deployment, say), or `model` itself."""
        return self.models.get(model, model)


class Loader:
    """Makes accounts; remembers their connectors, since these hold pools and breakers."""

    def __init__(self, vault: Vault, *, timeouts: Timeouts, log: Any) -> None:
        self._vault = vault
        self._timeouts = timeouts
        self._log = log
        self._connectors: dict[int, tuple[Target, Connector]] = {}

    def load(self, rows: list[AnyRow]) -> list[Account]:
        """The accounts of `rows`. One that cannot be used is logged and left out: the others go on."""
        found = [account for row in rows if (account := self._account(row)) is not None]
        for account_id in set(self._connectors) - {account.id for account in found}:
            self._connectors.pop(account_id)[1].close()
        return found

    def connector(
        self, target: Target, stored: Mapping[str, Any] | None = None, *, most_s: float | None = None
    ) -> Connector:
        """A new connector; `stored` are the abilities of a compatible provider. Raises ConfigurationError.

        Its management calls take at most `most_s`, if that is less than all calls may take.
        """
        entry = registry.find(target.provider)
        patient = replace(
            target,
            connect_timeout_s=self._timeouts.connect_s,
            call_timeout_s=self._timeouts.call_s if most_s is None else min(most_s, self._timeouts.call_s),
            silence_timeout_s=self._timeouts.silence_s,
            retry_pause_s=self._timeouts.retry_pause_s,
        )
        if entry is None:
            shape = probe.shape(stored or {})
            return registry.load(replace(patient, abilities=shape.abilities), path=shape.path)
        options = {**entry.options, **target.options}
        return registry.load(replace(patient, abilities=registry.abilities(target.provider), options=options))

    def _account(self, row: AnyRow) -> Account | None:
        try:
            connector = self._kept_connector(row)
        except ValueError as error:
            # Of other errors only the kind: a credential that does not parse may stand in the message.
            known = isinstance(error, SealError | ConfigurationError)
            why = str(error) if known else type(error).__name__
            self._log.error("account.unusable", provider=row.provider, account=row.name, error=why)
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
        )

    def _kept_connector(self, row: AnyRow) -> Connector:
        target = Target(
            provider=row.provider,
            base_url=row.base_url,
            credential=self._vault.open(row.sealed_credential, account_id=row.id),
            options=row.options or {},
            max_concurrency=concurrency(row),
        )
        before = self._connectors.get(row.id)
        if before is not None and before[0] == target:
            return before[1]
        connector = self.connector(target, row.abilities)
        self._connectors[row.id] = (target, connector)
        if before is not None:
            before[1].close()
        return connector


def concurrency(row: AnyRow) -> int:
    """The most requests that all workers together have in flight at the account."""
    return int(row.max_concurrency or registry.DEFAULT_CONCURRENCY)
