"""Rows of budgets and of what batches have reserved of them.

Writers lock budgets by id before the reservations, so that what is left of a reservation is read under that lock.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, exists, insert, literal, or_, select, text, update

from app.data.store.database import AnyRow, insert_absent, now_ms
from app.data.tables import batches, budget_reservations, budgets, projects, virtual_keys
from app.data.tables.batches import RUNNING
from app.lib.states import TERMINAL

_INFO = (
    select(
        budgets,
        projects.c.name.label("project"),
        virtual_keys.c.public_id.label("key"),
        now_ms().label("now"),
    )
    .join_from(budgets, projects, projects.c.id == budgets.c.project_id)
    .outerjoin(virtual_keys, virtual_keys.c.id == budgets.c.key_id)
)
_OPEN = budget_reservations.c.settled_at.is_(None)


def applying(connection: Connection, *, project_id: int, key_id: int | None) -> Sequence[int]:
    """Ids of the budgets that a batch of the key counts for: the project's and the key's own, in order."""
    whole = and_(budgets.c.project_id == project_id, budgets.c.key_id.is_(None))
    which = whole if key_id is None else or_(whole, budgets.c.key_id == key_id)
    return connection.execute(select(budgets.c.id).where(which).order_by(budgets.c.id)).scalars().all()


def lock(connection: Connection, budget_ids: Collection[int]) -> Sequence[AnyRow]:
    """The budgets in the order of locks, nobody else's until the transaction is over; `now` by the database's clock.

    One that was removed meanwhile is left out.
    """
    return [named(connection, budget_id) for budget_id in _locked(connection, budget_ids)]


def named(connection: Connection, budget_id: int) -> AnyRow:
    """A budget with `project`, `key` (public id, None for the whole project) and `now`."""
    return connection.execute(_INFO.where(budgets.c.id == budget_id)).one()


def roll(connection: Connection, budget_id: int, *, period_start: int) -> None:
    """A new period begins: nothing of it is spent. What is reserved stays."""
    statement = update(budgets).where(budgets.c.id == budget_id, budgets.c.period_start < period_start)
    connection.execute(statement.values(spent_picodollars=0, period_start=period_start))


def take(connection: Connection, budget_id: int, *, batch_id: int, amount: int) -> bool:
    """Reserve `amount` picodollars for a batch. False when there is no room; nothing always has room."""
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


def reservations(connection: Connection, batch_id: int) -> Sequence[AnyRow]:
    """(id, budget_id, left_picodollars) of what a batch counts for, by budget; settled ones, too."""
    columns = (budget_reservations.c.id, budget_reservations.c.budget_id, budget_reservations.c.left_picodollars)
    statement = select(*columns).where(budget_reservations.c.batch_id == batch_id)
    return connection.execute(statement.order_by(budget_reservations.c.budget_id)).all()


def spend(connection: Connection, reservation: AnyRow, *, cost: int, taken: int) -> None:
    """`cost` was spent, `taken` of it from the reservation. The caller has locked the budget."""
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
    """Give back what is left of the reservations of a batch that is over. Does nothing the second time."""
    mine = select(budget_reservations.c.budget_id).where(budget_reservations.c.batch_id == batch_id, _OPEN)
    budget_ids = connection.execute(mine).scalars().all()
    if not budget_ids:
        return
    _locked(connection, budget_ids)
    for row in connection.execute(_open_of(batch_id)).all():
        connection.execute(
            update(budgets)
            .where(budgets.c.id == row.budget_id)
            .values(reserved_picodollars=budgets.c.reserved_picodollars - row.left_picodollars)
        )
        _leave(connection, row, left_picodollars=0, settled_at=now_ms())


def over(connection: Connection, *, limit: int) -> Sequence[int]:
    """Batches that are over and still have something reserved."""
    statement = select(budget_reservations.c.batch_id).join_from(budget_reservations, batches)
    return connection.execute(statement.where(_OPEN, batches.c.status.in_(TERMINAL)).limit(limit)).scalars().all()


def stop_batch(connection: Connection, batch_id: int, *, errors: list[dict[str, Any]]) -> AnyRow | None:
    """No further line of a batch that the gateway runs is sent; `errors` tell why.

    Returns (public_id, project_id, key_id) of the batch, None when it does not run.
    """
    running = (batches.c.id == batch_id, batches.c.execution == "gateway", batches.c.status == "in_progress")
    values = {"status": "cancelling", "cancelling_at": now_ms(), "ending": "cancelled", "errors": errors}
    told = (batches.c.public_id, batches.c.project_id, batches.c.key_id)
    return connection.execute(update(batches).where(*running).values(**values).returning(*told)).first()


def find_owner(connection: Connection, *, project: str, key: str | None) -> AnyRow | None:
    """(project_id, key_id) of a project, and of a key of it by its public id; None when there is none such."""
    if key is None:
        return connection.execute(
            select(projects.c.id.label("project_id"), literal(None).label("key_id")).where(projects.c.name == project)
        ).first()
    statement = select(virtual_keys.c.project_id, virtual_keys.c.id.label("key_id")).join_from(virtual_keys, projects)
    return connection.execute(statement.where(projects.c.name == project, virtual_keys.c.public_id == key)).first()


def find(connection: Connection, *, project_id: int, key_id: int | None, period: str) -> int | None:
    """The id of the budget of a project, or of one key of it, for a kind of period."""
    where = (budgets.c.project_id == project_id, budgets.c.key_id == key_id, budgets.c.period == period)
    return connection.execute(select(budgets.c.id).where(*where)).scalar()


def ensure(connection: Connection, **values: Any) -> None:
    """A budget of which nothing is spent, unless there is one for the same. Its period is still to be rolled to now."""
    insert_absent(connection, budgets, period_start=0, created_at=now_ms(), **values)


def set_limit(connection: Connection, budget_id: int, *, limit_picodollars: int) -> bool:
    """Another limit; what is spent and reserved stays. False when the budget is gone."""
    statement = update(budgets).where(budgets.c.id == budget_id)
    changed = connection.execute(statement.values(limit_picodollars=limit_picodollars, changed_at=now_ms()))
    return changed.rowcount == 1


def list_page(
    connection: Connection, *, project: str | None, key: str | None, after: int, limit: int
) -> Sequence[AnyRow]:
    """At most `limit` budgets behind id `after`, as `named`."""
    statement = _INFO.where(budgets.c.id > after)
    if project is not None:
        statement = statement.where(projects.c.name == project)
    if key is not None:
        statement = statement.where(virtual_keys.c.public_id == key)
    return connection.execute(statement.order_by(budgets.c.id).limit(limit)).all()


def follow_running(connection: Connection, *, limit: int, budget_id: int) -> int:
    """Batches that run already count for the budget from now on, with nothing reserved; returns how many began to."""
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
            text(RUNNING),  # word for word, for the partial index
            or_(mine.c.key_id.is_(None), batches.c.key_id == mine.c.key_id),
            ~known,
        )
    )
    found = connection.execute(statement.limit(limit)).scalars().all()
    for batch_id in found:
        insert_absent(connection, budget_reservations, budget_id=budget_id, batch_id=batch_id, created_at=now_ms())
    return len(found)


def young(connection: Connection, *, age_ms: int, limit: int) -> Sequence[int]:
    """Ids of those of the `limit` newest budgets that were made in the last `age_ms`."""
    newest = select(budgets.c.id, (now_ms() - budgets.c.created_at).label("age_ms"))
    found = connection.execute(newest.order_by(budgets.c.id.desc()).limit(limit)).all()
    return [row.id for row in found if row.age_ms <= age_ms]


def drop_reservations(connection: Connection, budget_id: int, *, limit: int) -> int:
    """Forget some of what counts for a budget that is to be removed; returns how many."""
    some = select(budget_reservations.c.id).where(budget_reservations.c.budget_id == budget_id).limit(limit)
    return connection.execute(delete(budget_reservations).where(budget_reservations.c.id.in_(some))).rowcount


def delete_budget(connection: Connection, budget_id: int) -> None:
    """Remove a budget that nothing counts for any more."""
    connection.execute(delete(budgets).where(budgets.c.id == budget_id))


def _locked(connection: Connection, budget_ids: Collection[int]) -> Sequence[int]:
    statement = select(budgets.c.id).where(budgets.c.id.in_(list(budget_ids))).order_by(budgets.c.id)
    # FOR NO KEY UPDATE: whoever only adds a reservation that refers to the budget need not wait.
    return connection.execute(statement.with_for_update(key_share=True)).scalars().all()


def _open_of(batch_id: int) -> Select[tuple[int, int, int]]:
    columns = (budget_reservations.c.id, budget_reservations.c.budget_id, budget_reservations.c.left_picodollars)
    where = (budget_reservations.c.batch_id == batch_id, _OPEN)
    return select(*columns).where(*where).order_by(budget_reservations.c.budget_id)


def _leave(connection: Connection, reservation: AnyRow, **values: Any) -> None:
    statement = update(budget_reservations).where(budget_reservations.c.id == reservation.id)
    connection.execute(statement.values(**values))
