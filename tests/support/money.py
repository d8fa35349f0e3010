"""Prices, budgets and the ledger, as tests make and read them. Money is picodollars, as in SQL."""

from typing import Any

from sqlalchemy import func, insert, select

from app.data.tables import budget_reservations, budgets, prices, usage_ledger
from app.services.gateway import Gateway
from app.services.money import budgets as service

DOLLAR = 10**12
CENT = DOLLAR // 100


def price(gateway: Gateway, *, provider: str = "local", model: str = "*", **rates: Any) -> None:
    """A price since ever. By default an answer costs a cent a token, and nothing else anything."""
    values = {"input_picodollars": 0, "output_picodollars": CENT, "batch_percent": 100, **rates}
    with gateway.database.write() as connection:
        connection.execute(
            insert(prices).values(provider=provider, model=model, valid_from=0, created_at=0, source="tests", **values)
        )


def budget(
    gateway: Gateway, limit: int, *, project: str = "alpha", key: str | None = None, period: str = "total"
) -> int:
    """A budget of a project or key; returns its row id."""
    return service.set_(gateway, project=project, key=key, period=period, limit_picodollars=limit).id


def state(gateway: Gateway, budget_id: int) -> tuple[int, int]:
    """(spent, reserved) of a budget."""
    with gateway.database.read() as connection:
        row = connection.execute(select(budgets).where(budgets.c.id == budget_id)).one()
    return row.spent_picodollars, row.reserved_picodollars


def reservations(gateway: Gateway) -> list[Any]:
    """All rows of budget_reservations, in order."""
    with gateway.database.read() as connection:
        return list(connection.execute(select(budget_reservations).order_by(budget_reservations.c.id)))


def ledger_sum(gateway: Gateway) -> int:
    """What all charges come to."""
    with gateway.database.read() as connection:
        return int(connection.execute(select(func.sum(usage_ledger.c.cost_picodollars))).scalar() or 0)


def count(gateway: Gateway, table: Any) -> int:
    """How many rows a table has."""
    with gateway.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
