"""Budgets: how much the batches of a project, or of one key, may cost in a day, a month, or in total.

A batch reserves what it can cost when it is made, spends as its results come, and gives back the rest at its end.
Money is whole picodollars. Periods begin at midnight UTC, by the database's clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from app.data import budgets as rows
from app.data.database import AnyRow
from app.errors import BudgetError
from app.lib import money
from app.services.gateway import Caller, Gateway

PERIODS = ("day", "month", "total")
EXCEEDED = "budget_exceeded"
SWEEP_SLICE = 100

_OF_PERIOD = {"day": "of the day", "month": "of the month", "total": "in total"}


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget as it is now; `key` is the public id of the one key that it is for, None for the whole project."""

    id: int
    project: str
    key: str | None
    period: str
    period_start: int
    limit: int
    spent: int
    reserved: int
    created_at: int

    @property
    def left(self) -> int:
        """What batches to come may still reserve."""
        return max(0, self.limit - self.spent - self.reserved)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        whose = f"project {self.project}" if self.key is None else f"key {self.key}"
        return f"the budget of {whose} {_OF_PERIOD[self.period]}"


def period_start(period: str, at_ms: int) -> int:
    """When the day or month began that the instant is in, UTC; 0 for `total`. Both are Unix milliseconds."""
    if period == "total":
        return 0
    begins = datetime.fromtimestamp(at_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "month":
        begins = begins.replace(day=1)
    return int(begins.timestamp()) * 1000


def applies(gateway: Gateway, caller: Caller) -> bool:
    """True when what the caller makes has to fit a budget."""
    with gateway.database.read() as connection:
        return bool(rows.applying(connection, project_id=caller.project_id, key_id=caller.key_id))


def reserve(
    connection: Connection, gateway: Gateway, caller: Caller, batch: AnyRow, estimate_picodollars: int | None
) -> None:
    """Reserve what a new batch can cost, in the transaction that makes it: of every budget that applies, or of none.

    None: nobody asked, since no budget applied then; one set at this very moment counts what the batch costs.
    Raises BudgetError.
    """
    wanted = estimate_picodollars or 0
    applying = rows.applying(connection, project_id=caller.project_id, key_id=caller.key_id)
    for budget in _locked(connection, applying):
        if not rows.take(connection, budget.id, batch_id=batch.id, amount=wanted):
            gateway.log.info("budget.refused", budget=budget.id, project=caller.project, estimate=money.dollars(wanted))
            raise BudgetError(
                f"This batch can cost ${money.dollars(wanted)}, but {budget.name} has ${money.dollars(budget.left)} "
                f"left (limit ${money.dollars(budget.limit)}, spent ${money.dollars(budget.spent)}, reserved by "
                f"running batches ${money.dollars(budget.reserved)}). Lower the output limits of the lines, send "
                "fewer lines, or ask for a higher budget."
            )


def settle(connection: Connection, batch_id: int, cost_picodollars: int) -> None:
    """What lines of a batch cost is spent, as much of it as there is from what the batch has reserved.

    In the transaction of the ledger, behind it. A batch that the gateway runs is cancelled when its budget is
    overspent, or when it takes what is reserved for others. A batch without reservations costs one select.
    """
    if not cost_picodollars:
        return
    held = rows.reservations(connection, batch_id)
    if not held:
        return
    budgets = {budget.id: budget for budget in _locked(connection, [row.budget_id for row in held])}
    over = []
    for row in rows.reservations(connection, batch_id):
        if row.budget_id not in budgets:
            continue
        budget = budgets[row.budget_id]
        taken = min(row.left_picodollars, cost_picodollars)
        rows.spend(connection, row, cost=cost_picodollars, taken=taken)
        spent, others = budget.spent + cost_picodollars, budget.reserved - taken
        if spent > budget.limit or (taken < cost_picodollars and spent + others > budget.limit):
            over.append(budget)
    if over:
        rows.stop_batch(connection, batch_id, errors=[_exceeded(over[0])])


def refund(connection: Connection, batch_id: int) -> None:
    """Give back what is left of the reservations of a batch that is over; again, it does nothing."""
    rows.refund(connection, batch_id)


def _locked(connection: Connection, budget_ids: Collection[int]) -> Sequence[Budget]:
    """The budgets, locked in order, in the period of now."""
    found = []
    for row in rows.lock(connection, budget_ids) if budget_ids else ():
        budget = _budget(row)
        if budget.period_start != row.period_start:
            rows.roll(connection, budget.id, period_start=budget.period_start)
        found.append(budget)
    return found


def _budget(row: AnyRow) -> Budget:
    """A row of data.budgets as it is now: in a new period nothing is spent yet."""
    begins = max(row.period_start, period_start(row.period, row.now))
    return Budget(
        id=row.id,
        project=row.project,
        key=row.key,
        period=row.period,
        period_start=begins,
        limit=row.limit_picodollars,
        spent=0 if begins > row.period_start else row.spent_picodollars,
        reserved=row.reserved_picodollars,
        created_at=row.created_at,
    )


def _exceeded(budget: Budget) -> dict[str, object]:
    text = (
        f"{budget.name[0].upper()}{budget.name[1:]}, ${money.dollars(budget.limit)}, has nothing left for this batch."
    )
    return {"code": EXCEEDED, "message": text, "param": None, "line": None}
