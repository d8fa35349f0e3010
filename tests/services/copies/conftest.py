"""A gateway whose accounts at provider `openai` are in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.connectors.catalogue import registry
from app.connectors.contract.abilities import Abilities
from app.data.access import accounts as rows
from app.services.accounts.directory import Account
from app.services.gateway import Gateway
from tests.services.copies.memory import MemoryProvider


class MemoryAccounts:
    """As services.accounts has them: the first one gets new work, unless another is preferred."""

    def __init__(self, found: Sequence[Account]) -> None:
        self.found = list(found)

    def providers(self) -> list[str]:
        return list(dict.fromkeys(account.provider for account in self.found))

    def is_known(self, provider: str) -> bool:
        return registry.is_known(provider)

    def abilities(self, provider: str) -> Abilities:
        account = self.of(provider)
        return account.abilities if account else registry.abilities(provider)

    def configured(self) -> list[str]:
        return self.providers()

    def names(self, provider: str | None = None) -> list[str]:
        return [account.name for account in self.found if provider in (None, account.provider)]

    def ids(self) -> list[int]:
        return [account.id for account in self.found]

    def of(self, provider: str) -> Account | None:
        return self.choose(provider)

    def choose(
        self,
        provider: str,
        *,
        name: str | None = None,
        allowed: Collection[str] | None = None,
        prefer: Collection[int] = (),
    ) -> Account | None:
        fits = [
            account for account in self.found if account.provider == provider and (name is None or account.name == name)
        ]
        return next(iter(sorted(fits, key=lambda account: account.id not in prefer)), None)

    def by_id(self, account_id: int) -> Account | None:
        return next((account for account in self.found if account.id == account_id), None)


def account_of(gateway: Gateway, connector: MemoryProvider, *, name: str = "env", provider: str = "openai") -> Account:
    """An account with a row of its own."""
    with gateway.database.write() as connection:
        row_id = rows.ensure(connection, provider=provider, name=name, base_url="http://127.0.0.1:9")
    fields: Mapping[str, Any] = {
        "id": row_id,
        "provider": provider,
        "name": name,
        "base_url": "http://127.0.0.1:9",
        "weight": 1,
        "max_concurrency": 4,
        "connector": connector,
        "models": {},
    }
    known = Account.__dataclass_fields__
    return Account(**{key: value for key, value in fields.items() if key in known})


@pytest.fixture
def provider() -> MemoryProvider:
    """The files of the first account."""
    return MemoryProvider()


@pytest.fixture
def other_provider() -> MemoryProvider:
    """The files of the second account."""
    return MemoryProvider()


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_RECONCILE_SECONDS": "0", "BATCHGATE_REFRESH_SECONDS": "0"}


@pytest.fixture
def gateway(gateway: Gateway, provider: MemoryProvider, other_provider: MemoryProvider) -> Gateway:
    """The gateway with two accounts at `openai`."""
    found = [account_of(gateway, provider), account_of(gateway, other_provider, name="second")]
    return replace(gateway, accounts=MemoryAccounts(found))


@pytest.fixture
def account(gateway: Gateway) -> Account:
    return gateway.accounts.found[0]  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def second(gateway: Gateway) -> Account:
    return gateway.accounts.found[1]  # type: ignore[attr-defined,no-any-return]
