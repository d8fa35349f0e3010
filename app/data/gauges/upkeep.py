"""Workers, periodic work, what is reserved of budgets, and what providers were asked to make."""

from sqlalchemy import Connection, func, literal_column, select

from app.data.store.database import now_ms
from app.data.store.waiting import SILENT_MS
from app.data.tables import (
    budget_reservations,
    containers,
    native_objects,
    periodic_leases,
    webhook_deliveries,
    workers,
)

MAX_ROWS = 5000
END_OF_TIME_MS = 10**15


def live_workers(connection: Connection) -> int:
    """How many worker processes are alive."""
    alive_until = func.coalesce(workers.c.lease_until, workers.c.seen_at + SILENT_MS)
    statement = select(func.count()).select_from(workers).where(alive_until >= now_ms())
    return int(connection.execute(statement).scalar_one())


def ran_ms_ago(connection: Connection, *, name: str) -> int | None:
    """How long ago a kind of periodic work began last."""
    statement = select(now_ms() - periodic_leases.c.ran_at).where(periodic_leases.c.name == name)
    return connection.execute(statement).scalar()


def reserved_picodollars(connection: Connection) -> int:
    """What running batches may still cost their budgets."""
    left = (
        select(budget_reservations.c.left_picodollars)
        .where(budget_reservations.c.settled_at.is_(None))
        .limit(MAX_ROWS)
        .subquery()
    )
    return int(connection.execute(select(func.coalesce(func.sum(left.c.left_picodollars), 0))).scalar_one())


def oldest_file_ms(connection: Connection) -> int | None:
    """Age of the oldest file that an account was asked to make, and has not confirmed."""
    unsettled = (
        select(native_objects.c.state, native_objects.c.created_at)
        .where(native_objects.c.state.in_([literal_column("'pending'"), literal_column("'deleting'")]))
        .order_by(native_objects.c.next_at)
        .limit(MAX_ROWS)
        .subquery()
    )
    oldest = func.min(unsettled.c.created_at)
    return connection.execute(select(now_ms() - oldest).where(unsettled.c.state == "pending")).scalar()


def oldest_container_ms(connection: Connection) -> int | None:
    """Age of the oldest container that was given up, and may still be at its provider."""
    given_up = (
        select(containers.c.created_at)
        .where(
            containers.c.status == literal_column("'running'"),
            containers.c.expires_at == literal_column("0"),
            containers.c.account_id.is_not(None),
            containers.c.deleted_at.is_(None),
        )
        .limit(MAX_ROWS)
        .subquery()
    )
    return connection.execute(select(now_ms() - func.min(given_up.c.created_at))).scalar()


def pending_webhooks(connection: Connection) -> tuple[int, int | None]:
    """(how many webhooks are not delivered yet, age of the oldest in milliseconds): of those that expire first."""
    pending = (
        select(webhook_deliveries.c.created_at)
        .where(webhook_deliveries.c.state == literal_column("'pending'"))
        .where(webhook_deliveries.c.expires_at.between(0, END_OF_TIME_MS))
        .order_by(webhook_deliveries.c.expires_at)
        .limit(MAX_ROWS)
        .subquery()
    )
    count, age_ms = connection.execute(select(func.count(), now_ms() - func.min(pending.c.created_at))).one()
    return int(count), age_ms
