"""Budgets: how much the batches of a project, or of one key, may cost in a day, a month, or in total.

A batch reserves what it can cost when it is made, spends as its results come, and gives back the rest at its end.
Money is whole picodollars. Periods begin at midnight UTC, by the database's clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection
from structlog.typing import FilteringBoundLogger

from app.data.money import budgets as rows
from app.data.store.database import AnyRow
from app.errors import BudgetError, ConflictError, InvalidRequestError, NotFoundError
from app.lib import money
from app.services.events import record
from app.services.events.record import OPERATOR
from app.services.gateway import Actor, Caller, Gateway

PERIODS = ("day", "month", "total")
EXCEEDED = "budget_exceeded"
MOST_PICODOLLARS = 4_000_000 * money.PICODOLLARS  # sums of two such amounts fit into 64 bits
LIST_SLICE = 1000
SWEEP_SLICE = 100
FOLLOW_SLICE = 100
DROP_SLICE = 1000
# A batch whose input is read for long while a budget is set is committed by then.
YOUNG_MS = 3600 * 1000

WORKER = Actor(name="gateway", source="worker", request_id="worker")

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
        return _name(self.project, self.key, self.period)


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


def set_(
    gateway: Gateway,
    *,
    project: str,
    key: str | None = None,
    period: str,
    limit_picodollars: int,
    actor: Actor = OPERATOR,
) -> Budget:
    """Give a project, or one key of it by its public id, a budget for each `period`, or the one it has another limit.

    Batches that run already count for a new budget from now on. Raises InvalidRequestError, NotFoundError.
    """
    if not 0 <= limit_picodollars <= MOST_PICODOLLARS:
        raise InvalidRequestError(f"limit: must be $0 to ${money.dollars(MOST_PICODOLLARS)}.", param="limit")

    def unit(connection: Connection) -> Budget:
        owner = _owner(connection, project, key, period)
        budget_id = _set(connection, owner, period, limit_picodollars)
        budget = _locked(connection, [budget_id])[0]
        detail = {"key": key, "period": period, "limit": money.dollars(limit_picodollars)}
        about = {"project_id": owner.project_id, "key_id": owner.key_id}
        record.record_act(connection, operation="budget_set", object_id=project, detail=detail, actor=actor, **about)
        return budget

    budget = gateway.database.run(unit)
    _follow_running(gateway, budget.id)
    return budget


def list_(
    gateway: Gateway, *, project: str | None = None, key: str | None = None, after: int = 0, limit: int = LIST_SLICE
) -> Sequence[Budget]:
    """At most `limit` budgets behind id `after`: all, those of a project and its keys, or those of one key."""
    with gateway.database.read() as connection:
        found = rows.list_page(connection, project=project, key=key, after=after, limit=limit)
    return [_budget(row) for row in found]


def remove(gateway: Gateway, *, project: str, key: str | None = None, period: str, actor: Actor = OPERATOR) -> None:
    """Nothing holds to this budget any more, and what counted for it is forgotten. Raises NotFoundError."""

    def unit(connection: Connection) -> bool:
        owner = _owner(connection, project, key, period)
        budget_id = rows.find(connection, project_id=owner.project_id, key_id=owner.key_id, period=period)
        if budget_id is None or not rows.lock(connection, [budget_id]):
            raise NotFoundError(f"There is no such budget: {_name(project, key, period)}.", param="period")
        if rows.drop_reservations(connection, budget_id, limit=DROP_SLICE) == DROP_SLICE:
            return False
        rows.delete_budget(connection, budget_id)
        about = {"project_id": owner.project_id, "key_id": owner.key_id}
        detail = {"key": key, "period": period}
        record.record_act(connection, operation="budget_remove", object_id=project, detail=detail, actor=actor, **about)
        return True

    while not gateway.database.run(unit):
        pass


def sweep(gateway: Gateway) -> int:
    """Give back what batches that are over have still reserved; returns how many.

    None should be left. Batches that were being made while a budget was set begin to count for it here.
    """
    swept = 0
    with gateway.database.read() as connection:
        over = rows.over(connection, limit=SWEEP_SLICE)
        young = rows.young(connection, age_ms=YOUNG_MS, limit=SWEEP_SLICE)
    for batch_id in over:
        gateway.database.run(partial(rows.refund, batch_id=batch_id))
        swept += 1
    for budget_id in young:
        _follow_running(gateway, budget_id)
    return swept


def reserve(
    connection: Connection,
    caller: Caller,
    batch_id: int,
    estimate_picodollars: int | None,
    *,
    log: FilteringBoundLogger,
) -> None:
    """Reserve what a new batch can cost, in the transaction that makes it: of every budget that applies, or of none.

    None: nobody asked, since no budget applied then; one set at this very moment counts what the batch costs.
    Raises BudgetError.
    """
    wanted = estimate_picodollars or 0
    applying = rows.applying(connection, project_id=caller.project_id, key_id=caller.key_id)
    for budget in _locked(connection, applying):
        # What no budget can hold may be more than SQL can, too.
        fits = wanted <= MOST_PICODOLLARS
        if not fits or not rows.take(connection, budget.id, batch_id=batch_id, amount=wanted):
            log.info("budget.refused", budget=budget.id, project=caller.project, estimate=money.dollars(wanted))
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
        _stop(connection, batch_id, over[0])


def refund(connection: Connection, batch_id: int) -> None:
    """Give back what is left of the reservations of a batch that is over; again, it does nothing."""
    rows.refund(connection, batch_id)


def _set(connection: Connection, owner: AnyRow, period: str, limit_picodollars: int) -> int:
    mine = {"project_id": owner.project_id, "key_id": owner.key_id, "period": period}
    rows.ensure(connection, **mine, limit_picodollars=limit_picodollars)
    budget_id = rows.find(connection, **mine)
    if budget_id is None or not rows.set_limit(connection, budget_id, limit_picodollars=limit_picodollars):
        raise ConflictError("This budget is just being removed; send the request again.")
    return budget_id


def _owner(connection: Connection, project: str, key: str | None, period: str) -> AnyRow:
    if period not in PERIODS:
        raise InvalidRequestError(f"period: must be one of {', '.join(PERIODS)}, not {period!r:.40}.", param="period")
    owner = rows.find_owner(connection, project=project, key=key)
    if owner is None:
        what = f"project {project!r:.100}" if key is None else f"key {key!r:.100} in project {project!r:.100}"
        raise NotFoundError(f"There is no {what}.", param="project" if key is None else "key")
    return owner


def _follow_running(gateway: Gateway, budget_id: int) -> None:
    def unit(connection: Connection) -> bool:
        return rows.follow_running(connection, budget_id=budget_id, limit=FOLLOW_SLICE) == FOLLOW_SLICE

    while gateway.database.run(unit):
        pass


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


def _name(project: str, key: str | None, period: str) -> str:
    whose = f"project {project}" if key is None else f"key {key}"
    return f"the budget of {whose} {_OF_PERIOD[period]}"


def _stop(connection: Connection, batch_id: int, budget: Budget) -> None:
    text = (
        f"{budget.name[0].upper()}{budget.name[1:]}, ${money.dollars(budget.limit)}, has nothing left for this batch."
    )
    stopped = rows.stop_batch(
        connection, batch_id, errors=[{"code": EXCEEDED, "message": text, "param": None, "line": None}]
    )
    if stopped is not None:
        record.record_act(
            connection,
            operation="batch_cancel",
            object_id=stopped.public_id,
            detail={"reason": EXCEEDED, "budget": budget.id},
            actor=WORKER,
            project_id=stopped.project_id,
            key_id=stopped.key_id,
        )
