"""Permits for a model at an account, and for a batch with a limit: one ceiling for any number of worker processes."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from app.data.store.database import insert_absent, now_ms
from app.data.tables import (
    account_capacity,
    batch_jobs,
    batch_permits,
    batches,
    capacity_permits,
    pauses,
    projects,
)

LOWER_EVERY_MS = 1000
LOWER_TO = 0.7


@dataclass(frozen=True, slots=True)
class State:
    """A capacity, and the permits that other workers hold."""

    limit: float
    ceiling: int
    lowered_ms_ago: int | None
    others_held: int
    others_wanting: int
    others_short: bool


@dataclass(frozen=True, slots=True)
class BatchPermits:
    """The limit of a batch, and what other workers hold of it."""

    limit: int
    others_held: int
    others_wanting: int
    others_short: bool


def ensure(connection: Connection, *, account_id: int, model: str, ceiling: int) -> int:
    """The id of a capacity, which is created if it is missing; a changed ceiling takes effect at once."""
    where = (account_capacity.c.account_id == account_id, account_capacity.c.model == model)
    find = select(account_capacity.c.id, account_capacity.c.ceiling).where(*where)
    row = connection.execute(find).first()
    if row is None:
        values = {"account_id": account_id, "model": model, "ceiling": ceiling, "adapted_limit": float(ceiling)}
        insert_absent(connection, account_capacity, **values)
        row = connection.execute(find).one()
    if row.ceiling != ceiling:
        changed = {"ceiling": ceiling, "adapted_limit": float(ceiling)}
        connection.execute(update(account_capacity).where(account_capacity.c.id == row.id).values(**changed))
    return int(row.id)


def lock(connection: Connection, capacity_id: int, *, worker: str) -> State:
    """Lock a capacity until the transaction ends; returns its state."""
    statement = select(
        account_capacity.c.adapted_limit,
        account_capacity.c.ceiling,
        (now_ms() - account_capacity.c.lowered_at).label("lowered_ms_ago"),
    ).where(account_capacity.c.id == capacity_id)
    row = connection.execute(statement.with_for_update()).one()
    others = connection.execute(
        select(capacity_permits.c.held, capacity_permits.c.wanted).where(
            capacity_permits.c.capacity_id == capacity_id,
            capacity_permits.c.worker != worker,
            capacity_permits.c.lease_until >= now_ms(),
        )
    ).all()
    return State(
        limit=row.adapted_limit,
        ceiling=row.ceiling,
        lowered_ms_ago=row.lowered_ms_ago,
        others_held=sum(other.held for other in others),
        others_wanting=sum(1 for other in others if other.wanted),
        others_short=any(other.held < other.wanted for other in others),
    )


def is_shared(connection: Connection) -> bool:
    """True when there is more than one project."""
    active = select(projects.c.id).where(projects.c.archived_at.is_(None)).limit(2)
    return len(connection.execute(active).all()) > 1


def set_limit(connection: Connection, capacity_id: int, limit: float, *, lowered: bool) -> None:
    """Set the adapted limit."""
    values: dict[str, object] = {"adapted_limit": limit}
    if lowered:
        values["lowered_at"] = now_ms()
    connection.execute(update(account_capacity).where(account_capacity.c.id == capacity_id).values(**values))


def start_over(connection: Connection, account_id: int) -> None:
    """Forget what an account's limits and pauses were: they belong to the key or URL that it had.

    Its jobs are due again, too. Comes before the change of the account itself: workers that pause lock in this order.
    """
    where = account_capacity.c.account_id == account_id
    values = {"pause_until": None, "adapted_limit": account_capacity.c.ceiling}
    connection.execute(update(account_capacity).where(where).values(**values))
    connection.execute(delete(pauses).where(pauses.c.account_id == account_id))
    postponed = (batch_jobs.c.account_id == account_id, batch_jobs.c.state != "done", batch_jobs.c.faults > 0)
    connection.execute(update(batch_jobs).where(*postponed).values(next_at=now_ms()))


def hold(
    connection: Connection, capacity_id: int, *, worker: str, held: int, wanted: int, in_flight: int, lease_ms: int
) -> None:
    """Lease the worker its share, and note how many of its lines are out."""
    where = (capacity_permits.c.capacity_id == capacity_id, capacity_permits.c.worker == worker)
    values = {"held": held, "wanted": wanted, "in_flight": in_flight, "lease_until": now_ms() + lease_ms}
    if not connection.execute(update(capacity_permits).where(*where).values(**values)).rowcount:
        connection.execute(insert(capacity_permits).values(capacity_id=capacity_id, worker=worker, **values))


def leave(connection: Connection, *, account_id: int, model: str, worker: str) -> None:
    """Return a worker's permits."""
    capacity = select(account_capacity.c.id).where(
        account_capacity.c.account_id == account_id, account_capacity.c.model == model
    )
    statement = delete(capacity_permits).where(
        capacity_permits.c.worker == worker, capacity_permits.c.capacity_id.in_(capacity)
    )
    connection.execute(statement)


def lock_batch(connection: Connection, batch_id: int, *, worker: str) -> BatchPermits | None:
    """Lock a batch until the transaction ends; returns its permits. None when it has no limit of its own."""
    limit = connection.execute(
        select(batches.c.concurrency).where(batches.c.id == batch_id).with_for_update()
    ).scalar_one()
    if limit is None:
        return None
    others = connection.execute(
        select(batch_permits.c.held, batch_permits.c.wanted).where(
            batch_permits.c.batch_id == batch_id,
            batch_permits.c.worker != worker,
            batch_permits.c.lease_until >= now_ms(),
        )
    ).all()
    return BatchPermits(
        limit=limit,
        others_held=sum(other.held for other in others),
        others_wanting=sum(1 for other in others if other.wanted),
        others_short=any(other.held < other.wanted for other in others),
    )


def hold_of_batch(connection: Connection, batch_id: int, *, worker: str, held: int, wanted: int, lease_ms: int) -> None:
    """Lease the worker its share."""
    mine = (batch_permits.c.batch_id == batch_id, batch_permits.c.worker == worker)
    values = {"held": held, "wanted": wanted, "lease_until": now_ms() + lease_ms}
    if not connection.execute(update(batch_permits).where(*mine).values(**values)).rowcount:
        connection.execute(insert(batch_permits).values(batch_id=batch_id, worker=worker, **values))


def leave_batch(connection: Connection, batch_id: int, *, worker: str) -> None:
    """Return a worker's permits."""
    mine = (batch_permits.c.batch_id == batch_id, batch_permits.c.worker == worker)
    connection.execute(delete(batch_permits).where(*mine))


def forget_silent(connection: Connection) -> None:
    """Delete the shares whose lease has expired."""
    connection.execute(delete(batch_permits).where(batch_permits.c.lease_until < now_ms()))
    connection.execute(delete(capacity_permits).where(capacity_permits.c.lease_until < now_ms()))
