"""Budgets: how much the batches of a project, or of one key, may cost in a day, a month, or in total.

A batch reserves its estimated cost when it is created, spends as its results arrive, and releases the rest when it
ends. Money is whole picodollars. Periods begin at midnight UTC by the database's clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from app.data.money import budgets as rows
from app.data.money.budgets import BudgetRow, Owner
from app.errors import BudgetError, ConflictError, InvalidRequestError, NotFoundError
from app.lib import money
from app.services.events import record
from app.services.events.record import OPERATOR
from app.services.gateway import Actor, Caller, Gateway

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

PERIODS = ("day", "month", "total")
EXCEEDED = "budget_exceeded"
MAX_PICODOLLARS = 4_000_000 * money.PICODOLLARS  # the sum of two such amounts fits into 64 bits
LIST_SLICE = 1000
SWEEP_SLICE = 100
FOLLOW_SLICE = 100
DROP_SLICE = 1000
# A batch that was being created when a budget was set has been committed after this time.
YOUNG_MS = 3600 * 1000

WORKER = Actor(name="gateway", source="worker", request_id="worker")

_OF_PERIOD = {"day": "of the day", "month": "of the month", "total": "in total"}


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget in its current period. `key` is the public id of the key that it is for, None for the whole project.

    Amounts are picodollars, instants Unix milliseconds.
    """

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
        """What new batches may still reserve."""
        return max(0, self.limit - self.spent - self.reserved)

    @property
    def is_spent(self) -> bool:
        """True when all of it is spent. A budget of $0 of which nothing is spent leaves room for work that is free."""
        return 0 < self.spent >= self.limit

    @property
    def name(self) -> str:
        """What messages call the budget."""
        return _name(self.project, self.key, self.period)


def period_start(period: str, at_ms: int) -> int:
    """Returns when the day or month (UTC) that contains `at_ms` began, or 0 for `total`. Both are Unix milliseconds."""
    if period == "total":
        return 0
    begins = datetime.fromtimestamp(at_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "month":
        begins = begins.replace(day=1)
    return int(begins.timestamp()) * 1000


def applies(gateway: Gateway, caller: Caller) -> bool:
    """Returns True when a budget applies to the caller's batches."""
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
    """Creates the budget of a project, or of one key by its public id, for a kind of period; or changes its limit.

    Running batches count towards a new budget from now on. Raises InvalidRequestError, NotFoundError.
    """
    if not 0 <= limit_picodollars <= MAX_PICODOLLARS:
        raise InvalidRequestError(f"limit: must be $0 to ${money.dollars(MAX_PICODOLLARS)}.", param="limit")

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
    """Returns at most `limit` budgets after the id `after`, of all projects, of one project, or of one key."""
    with gateway.database.read() as connection:
        page = rows.list_page(connection, project=project, key=key, after=after, limit=limit)
    return [_budget(row) for row in page]


def remove(gateway: Gateway, *, project: str, key: str | None = None, period: str, actor: Actor = OPERATOR) -> None:
    """Deletes a budget and its reservations. Raises NotFoundError."""

    def unit(connection: Connection) -> bool:
        owner = _owner(connection, project, key, period)
        budget_id = rows.find(connection, project_id=owner.project_id, key_id=owner.key_id, period=period)
        if budget_id is None or not rows.lock(connection, [budget_id]):
            raise NotFoundError(f"There is no budget to remove: {_name(project, key, period)}.", param="period")
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
    """Releases reservations of batches that have ended; returns how many batches there were (normally none).

    Also counts batches towards a budget that was set while they were being created.
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
    log: "FilteringBoundLogger",
) -> None:
    """Reserves the estimated cost of a new batch from every budget that applies, in the transaction that creates it.

    The estimate is None when no budget applied before the transaction; a budget that was set since then only counts
    what the batch costs. Raises BudgetError, and reserves nothing, when a budget has too little left, or is spent:
    then it refuses free work too.
    """
    estimate = estimate_picodollars or 0
    applying = rows.applying(connection, project_id=caller.project_id, key_id=caller.key_id)
    for budget in _locked(connection, applying):
        # A larger amount than any budget may also overflow SQL's integers.
        fits = estimate <= MAX_PICODOLLARS and not budget.is_spent
        if not fits or not rows.take(connection, budget.id, batch_id=batch_id, amount=estimate):
            said = {"estimate": money.dollars(estimate), "left": money.dollars(budget.left)}
            log.info(
                "budget.refused",
                project=caller.project,
                key=caller.name,
                reason=f"{budget.name} has too little left.",
                **said,
            )
            raise BudgetError(
                f"This batch can cost ${money.dollars(estimate)}, but {budget.name} has ${money.dollars(budget.left)} "
                f"left (limit ${money.dollars(budget.limit)}, spent ${money.dollars(budget.spent)}, reserved by "
                f"running batches ${money.dollars(budget.reserved)}). Lower the output limits of the lines, send "
                "fewer lines, or ask the operator to raise the budget."
            )


def settle(connection: Connection, batch_id: int, cost_picodollars: int, *, parts: int = 0) -> None:
    """Adds what lines of a batch cost to what its budgets have spent, and takes it from the batch's reservations.

    `parts` is how many lines, or attempts, cost nobody knows what: each counts as an even part of the reservation.

    Runs after the ledger is written, in the same transaction. Cancels a batch that the gateway runs when its budget
    is overspent, or when it has used up its reservation and would use what others reserved. Costs one SELECT for a
    batch without reservations.
    """
    if not cost_picodollars and not parts:
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
        cost = cost_picodollars + -(-row.reserved_picodollars * parts // max(1, row.lines))
        taken = min(row.left_picodollars, cost)
        rows.spend(connection, row, cost=cost, taken=taken)
        spent, others = budget.spent + cost, budget.reserved - taken
        if spent > budget.limit or (taken < cost and spent + others > budget.limit):
            over.append(budget)
    if over:
        _stop(connection, batch_id, over[0])


def refund(connection: Connection, batch_id: int) -> None:
    """Releases what is left of the reservations of a batch that has ended. A second call does nothing."""
    rows.refund(connection, batch_id)


def _set(connection: Connection, owner: Owner, period: str, limit_picodollars: int) -> int:
    project_id, key_id = owner.project_id, owner.key_id
    rows.ensure(connection, project_id=project_id, key_id=key_id, period=period, limit_picodollars=limit_picodollars)
    budget_id = rows.find(connection, project_id=project_id, key_id=key_id, period=period)
    if budget_id is None or not rows.set_limit(connection, budget_id, limit_picodollars=limit_picodollars):
        raise ConflictError("This budget is being removed. Send the request again.")
    return budget_id


def _owner(connection: Connection, project: str, key: str | None, period: str) -> Owner:
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
    """Locks budgets in order of their ids and begins a new period where one is due."""
    locked = []
    for row in rows.lock(connection, budget_ids) if budget_ids else ():
        budget = _budget(row)
        if budget.period_start != row.period_start:
            rows.roll(connection, budget.id, period_start=budget.period_start)
        locked.append(budget)
    return locked


def _budget(row: BudgetRow) -> Budget:
    """Returns the budget in its current period: in a new period nothing is spent yet."""
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
