"""Queries on budgets and on what batches have reserved of them.

Writers lock budgets in order of their ids before they touch reservations, so the remainder of a reservation is read
under that lock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, Select, and_, delete, exists, insert, literal, or_, select, text, update

from app.data.store.database import insert_absent, now_ms
from app.data.tables import batches, budget_reservations, budgets, projects, virtual_keys
from app.data.tables.batches import RUNNING
from app.lib.states import TERMINAL


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A budget as stored. Instants are Unix milliseconds; `now` is the current time of the database's clock.

    `key` is the public id of the key that the budget is for, None for the whole project.
    """

    id: int
    period: str
    limit_picodollars: int
    spent_picodollars: int
    reserved_picodollars: int
    period_start: int
    created_at: int
    project: str
    key: str | None
    now: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a batch has reserved of one budget: at first, and still. `lines` are the batch's."""

    id: int
    budget_id: int
    left_picodollars: int
    reserved_picodollars: int
    lines: int


@dataclass(frozen=True, slots=True)
class Owner:
    """A project, or one key of it, by row ids."""

    project_id: int
    key_id: int | None


@dataclass(frozen=True, slots=True)
class StoppedBatch:
    """A batch that was just stopped."""

    public_id: str
    project_id: int
    key_id: int | None


class _ReservationValues(TypedDict, total=False):
    left_picodollars: int
    settled_at: Any


_INFO = (
    select(
        budgets.c.id,
        budgets.c.period,
        budgets.c.limit_picodollars,
        budgets.c.spent_picodollars,
        budgets.c.reserved_picodollars,
        budgets.c.period_start,
        budgets.c.created_at,
        projects.c.name.label("project"),
        virtual_keys.c.public_id.label("key"),
        now_ms().label("now"),
    )
    .join_from(budgets, projects, projects.c.id == budgets.c.project_id)
    .outerjoin(virtual_keys, virtual_keys.c.id == budgets.c.key_id)
)
_OPEN = budget_reservations.c.settled_at.is_(None)
_RESERVATIONS = select(
    budget_reservations.c.id,
    budget_reservations.c.budget_id,
    budget_reservations.c.left_picodollars,
    budget_reservations.c.reserved_picodollars,
    batches.c.lines_total.label("lines"),
).join_from(budget_reservations, batches, batches.c.id == budget_reservations.c.batch_id)


def applying(connection: Connection, *, project_id: int, key_id: int | None) -> Sequence[int]:
    """Returns the ids of the budgets that a batch of the key counts towards, in order: the project's and the key's."""
    whole = and_(budgets.c.project_id == project_id, budgets.c.key_id.is_(None))
    which = whole if key_id is None else or_(whole, budgets.c.key_id == key_id)
    return connection.execute(select(budgets.c.id).where(which).order_by(budgets.c.id)).scalars().all()


def lock(connection: Connection, budget_ids: Collection[int]) -> Sequence[BudgetRow]:
    """Locks budgets until the transaction ends and returns them in order of locking.

    Budgets that have been removed in the meantime are left out.
    """
    return [retrieve(connection, budget_id) for budget_id in _locked(connection, budget_ids)]


def retrieve(connection: Connection, budget_id: int) -> BudgetRow:
    """Returns a budget that exists."""
    return BudgetRow(**connection.execute(_INFO.where(budgets.c.id == budget_id)).one()._mapping)


def roll(connection: Connection, budget_id: int, *, period_start: int) -> None:
    """Begins a new period with nothing spent. Reservations stay."""
    statement = update(budgets).where(budgets.c.id == budget_id, budgets.c.period_start < period_start)
    connection.execute(statement.values(spent_picodollars=0, period_start=period_start))


def take(connection: Connection, budget_id: int, *, batch_id: int, amount: int) -> bool:
    """Reserves `amount` picodollars for a batch. Returns False when less is left; an amount of 0 always fits."""
    left = budgets.c.limit_picodollars - budgets.c.spent_picodollars - budgets.c.reserved_picodollars
    fits = or_(literal(amount) == 0, left >= amount)
    statement = update(budgets).where(budgets.c.id == budget_id, fits)
    statement = statement.values(reserved_picodollars=budgets.c.reserved_picodollars + amount)
    if connection.execute(statement).rowcount != 1:
        return False
    values = {"budget_id": budget_id, "batch_id": batch_id, "created_at": now_ms()}
    full = {**values, "reserved_picodollars": amount, "left_picodollars": amount}
    connection.execute(insert(budget_reservations).values(**full))
    return True


def follow(connection: Connection, *, batch_id: int, project_id: int, key_id: int | None) -> None:
    """Counts a batch that already runs towards the budgets that apply to it, with nothing reserved."""
    for budget_id in applying(connection, project_id=project_id, key_id=key_id):
        insert_absent(connection, budget_reservations, budget_id=budget_id, batch_id=batch_id, created_at=now_ms())


def reservations(connection: Connection, batch_id: int) -> Sequence[Reservation]:
    """Returns all reservations of a batch, settled ones included, in order of budget id."""
    statement = _RESERVATIONS.where(budget_reservations.c.batch_id == batch_id)
    rows = connection.execute(statement.order_by(budget_reservations.c.budget_id))
    return [Reservation(**row._mapping) for row in rows]


def spend(connection: Connection, reservation: Reservation, *, cost: int, taken: int) -> None:
    """Adds `cost` to what is spent, and takes `taken` from the reservation. The caller holds the budget's lock."""
    connection.execute(
        update(budgets)
        .where(budgets.c.id == reservation.budget_id)
        .values(
            spent_picodollars=budgets.c.spent_picodollars + cost,
            reserved_picodollars=budgets.c.reserved_picodollars - taken,
        )
    )
    if taken:
        _leave(connection, reservation, left_picodollars=reservation.left_picodollars - taken)


def refund(connection: Connection, batch_id: int) -> None:
    """Releases what is left of the reservations of a batch that has ended. A second call does nothing."""
    mine = select(budget_reservations.c.budget_id).where(budget_reservations.c.batch_id == batch_id, _OPEN)
    budget_ids = connection.execute(mine).scalars().all()
    if not budget_ids:
        return
    _locked(connection, budget_ids)
    for row in [Reservation(**row._mapping) for row in connection.execute(_open_of(batch_id))]:
        connection.execute(
            update(budgets)
            .where(budgets.c.id == row.budget_id)
            .values(reserved_picodollars=budgets.c.reserved_picodollars - row.left_picodollars)
        )
        _leave(connection, row, left_picodollars=0, settled_at=now_ms())


def over(connection: Connection, *, limit: int) -> Sequence[int]:
    """Returns ids of batches that have ended and still have something reserved."""
    statement = select(budget_reservations.c.batch_id).join_from(budget_reservations, batches)
    return connection.execute(statement.where(_OPEN, batches.c.status.in_(TERMINAL)).limit(limit)).scalars().all()


def stop_batch(connection: Connection, batch_id: int, *, errors: list[dict[str, Any]]) -> StoppedBatch | None:
    """Cancels a batch that the gateway runs: no further line is sent. `errors` become the batch's own.

    Returns None when the batch is not running at the gateway.
    """
    running = (batches.c.id == batch_id, batches.c.execution == "gateway", batches.c.status == "in_progress")
    values = {"status": "cancelling", "cancelling_at": now_ms(), "ending": "cancelled", "errors": errors}
    columns = (batches.c.public_id, batches.c.project_id, batches.c.key_id)
    row = connection.execute(update(batches).where(*running).values(**values).returning(*columns)).first()
    return None if row is None else StoppedBatch(**row._mapping)


def find_owner(connection: Connection, *, project: str, key: str | None) -> Owner | None:
    """Returns the project, or its key with the public id `key`; None when it does not exist."""
    if key is None:
        project_id = connection.execute(select(projects.c.id).where(projects.c.name == project)).scalar()
        return None if project_id is None else Owner(project_id, key_id=None)
    statement = select(virtual_keys.c.project_id, virtual_keys.c.id.label("key_id")).join_from(virtual_keys, projects)
    row = connection.execute(statement.where(projects.c.name == project, virtual_keys.c.public_id == key)).first()
    return None if row is None else Owner(**row._mapping)


def find(connection: Connection, *, project_id: int, key_id: int | None, period: str) -> int | None:
    """Returns the id of the budget of a project, or of one of its keys, for a kind of period."""
    where = (budgets.c.project_id == project_id, budgets.c.key_id == key_id, budgets.c.period == period)
    return connection.execute(select(budgets.c.id).where(*where)).scalar()


def ensure(connection: Connection, *, project_id: int, key_id: int | None, period: str, limit_picodollars: int) -> None:
    """Inserts a budget with nothing spent, if absent. The caller must then `roll` it to the current period."""
    insert_absent(
        connection,
        budgets,
        project_id=project_id,
        key_id=key_id,
        period=period,
        limit_picodollars=limit_picodollars,
        period_start=0,
        created_at=now_ms(),
    )


def set_limit(connection: Connection, budget_id: int, *, limit_picodollars: int) -> bool:
    """Changes the limit; amounts spent and reserved stay. Returns False when the budget no longer exists."""
    statement = update(budgets).where(budgets.c.id == budget_id)
    changed = connection.execute(statement.values(limit_picodollars=limit_picodollars, changed_at=now_ms()))
    return changed.rowcount == 1


def list_page(
    connection: Connection, *, project: str | None, key: str | None, after: int, limit: int
) -> Sequence[BudgetRow]:
    """Returns at most `limit` budgets after the id `after`, in order of their ids."""
    statement = _INFO.where(budgets.c.id > after)
    if project is not None:
        statement = statement.where(projects.c.name == project)
    if key is not None:
        statement = statement.where(virtual_keys.c.public_id == key)
    return [BudgetRow(**row._mapping) for row in connection.execute(statement.order_by(budgets.c.id).limit(limit))]


def follow_running(connection: Connection, *, limit: int, budget_id: int) -> int:
    """Counts up to `limit` running batches towards the budget, with nothing reserved; returns how many were added."""
    mine = select(budgets).where(budgets.c.id == budget_id).subquery()
    known = exists(
        select(literal(1)).where(
            budget_reservations.c.batch_id == batches.c.id, budget_reservations.c.budget_id == budget_id
        )
    ).correlate(batches)
    statement = (
        select(batches.c.id)
        .join_from(batches, mine, batches.c.project_id == mine.c.project_id)
        .where(
            text(RUNNING),  # spelled exactly as in the partial index
            or_(mine.c.key_id.is_(None), batches.c.key_id == mine.c.key_id),
            ~known,
        )
    )
    batch_ids = connection.execute(statement.limit(limit)).scalars().all()
    for batch_id in batch_ids:
        insert_absent(connection, budget_reservations, budget_id=budget_id, batch_id=batch_id, created_at=now_ms())
    return len(batch_ids)


def young(connection: Connection, *, age_ms: int, limit: int) -> Sequence[int]:
    """Returns those ids of the `limit` newest budgets that were created in the last `age_ms`."""
    newest = select(budgets.c.id, (now_ms() - budgets.c.created_at).label("age_ms"))
    rows = connection.execute(newest.order_by(budgets.c.id.desc()).limit(limit)).all()
    return [row.id for row in rows if row.age_ms <= age_ms]


def drop_reservations(connection: Connection, budget_id: int, *, limit: int) -> int:
    """Deletes at most `limit` reservations of a budget that is being removed; returns how many."""
    some = select(budget_reservations.c.id).where(budget_reservations.c.budget_id == budget_id).limit(limit)
    return connection.execute(delete(budget_reservations).where(budget_reservations.c.id.in_(some))).rowcount


def delete_budget(connection: Connection, budget_id: int) -> None:
    """Deletes a budget that has no reservations left."""
    connection.execute(delete(budgets).where(budgets.c.id == budget_id))


def _locked(connection: Connection, budget_ids: Collection[int]) -> Sequence[int]:
    statement = select(budgets.c.id).where(budgets.c.id.in_(list(budget_ids))).order_by(budgets.c.id)
    # FOR NO KEY UPDATE: transactions that only insert a reservation referring to the budget do not wait.
    return connection.execute(statement.with_for_update(key_share=True)).scalars().all()


def _open_of(batch_id: int) -> Select[tuple[int, int, int, int, int]]:
    where = (budget_reservations.c.batch_id == batch_id, _OPEN)
    return _RESERVATIONS.where(*where).order_by(budget_reservations.c.budget_id)


def _leave(connection: Connection, reservation: Reservation, **values: Unpack[_ReservationValues]) -> None:
    statement = update(budget_reservations).where(budget_reservations.c.id == reservation.id)
    connection.execute(statement.values(**values))
