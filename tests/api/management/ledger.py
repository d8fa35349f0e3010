"""Rows of the ledger, as work would leave them."""

from typing import Any

from sqlalchemy import insert, select

from app.data.tables import accounts, usage_ledger
from app.services.access import keys
from app.services.gateway import Caller, Gateway
from tests.services.money.book import insert_batch


class Ledger:
    """Writes entries; each key is of a project."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._batch: int | None = None
        self._entries = 0
        self.callers: dict[str, Caller] = {}

    def key(self, project: str) -> Caller:
        """The key of a project, made at its first use."""
        if project not in self.callers:
            issued = keys.create(self._gateway, project=project, name=f"of {project}")
            self.callers[project] = keys.authenticate(self._gateway, issued.key, request_id="req")
        return self.callers[project]

    def add(self, project: str, *, at: int, cost: int | None, model: str = "m", **values: Any) -> None:
        """An entry of a line of `project` at the instant `at`."""
        caller = self.key(project)
        self._batch = self._batch or insert_batch(self._gateway, caller)
        self._entries += 1
        with self._gateway.database.write() as connection:
            account_id = connection.execute(select(accounts.c.id)).scalars().first()
            full = {
                "charge_key": f"line:{self._entries}",
                "kind": "line",
                "project_id": caller.project_id,
                "key_id": caller.key_id,
                "account_id": account_id,
                "batch_id": self._batch,
                "line": self._entries,
                "provider": "local",
                "model": model,
                "execution": "gateway",
                "input_tokens": 10,
                "cached_tokens": 4,
                "output_tokens": 5,
                "reasoning_tokens": None,
                "cost_picodollars": cost,
                "created_at": at,
            }
            connection.execute(insert(usage_ledger).values(full | values))
