"""Worker processes, and the leases of periodic work."""

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from app.data.store.database import insert_absent, now_ms
from app.data.tables import periodic_leases, workers


def register(connection: Connection, *, name: str, host: str, pid: int, lease_ms: int = 60_000) -> None:
    """Record that a worker process has started; it counts as alive for `lease_ms`."""
    values = {"name": name, "host": host, "pid": pid, "lease_until": now_ms() + lease_ms}
    connection.execute(insert(workers).values(started_at=now_ms(), seen_at=now_ms(), **values))


def seen(connection: Connection, *, name: str, lease_ms: int) -> None:
    """Record that a worker process is alive, for another `lease_ms`."""
    values = {"seen_at": now_ms(), "lease_until": now_ms() + lease_ms}
    connection.execute(update(workers).where(workers.c.name == name).values(**values))


def set_fault(connection: Connection, *, name: str, fault: str | None) -> None:
    """Record what keeps a worker process from working, in words for operators, or that nothing does any more."""
    connection.execute(update(workers).where(workers.c.name == name).values(fault=fault))


def unregister(connection: Connection, *, name: str) -> None:
    """Delete a worker process that stopped in good order."""
    connection.execute(delete(workers).where(workers.c.name == name))


def forget_silent(connection: Connection, *, after_ms: int) -> None:
    """Delete worker processes that have not been seen for `after_ms`."""
    connection.execute(delete(workers).where(workers.c.seen_at < now_ms() - after_ms))


def alive(connection: Connection, *, within_ms: int) -> list[tuple[str, int]]:
    """Returns host and process id of the workers that were seen within the last `within_ms`."""
    statement = select(workers.c.host, workers.c.pid).where(workers.c.seen_at > now_ms() - within_ms)
    return [(row.host, row.pid) for row in connection.execute(statement.order_by(workers.c.id))]


def faults(connection: Connection, *, within_ms: int) -> list[tuple[str, int, str]]:
    """Returns host and process id of the workers that are alive and cannot work, and what keeps them from it."""
    mine = (workers.c.seen_at > now_ms() - within_ms, workers.c.fault.is_not(None))
    statement = select(workers.c.host, workers.c.pid, workers.c.fault).where(*mine).order_by(workers.c.id)
    return [(row.host, row.pid, row.fault) for row in connection.execute(statement)]


def clock_ms(connection: Connection) -> int:
    """Returns the present instant by the clock that leases run by: the database's."""
    return int(connection.execute(select(now_ms())).scalar_one())


def newest_age_ms(connection: Connection) -> int | None:
    """Milliseconds since any worker was last seen, or None when there is none."""
    return connection.execute(select(now_ms() - func.max(workers.c.seen_at))).scalar()


def take_periodic(connection: Connection, *, name: str, worker: str, lease_ms: int) -> bool:
    """Lease a kind of periodic work to `worker`. False while another lease of it holds."""
    free = or_(periodic_leases.c.lease_until.is_(None), periodic_leases.c.lease_until < now_ms())
    values = {"worker": worker, "lease_until": now_ms() + lease_ms, "ran_at": now_ms()}
    statement = update(periodic_leases).where(periodic_leases.c.name == name, free).values(**values)
    return connection.execute(statement).rowcount == 1


def try_write(connection: Connection, *, name: str) -> None:
    """Write something that nobody will see: a row that is gone again when the transaction commits."""
    connection.execute(insert(periodic_leases).values(name=name))
    connection.execute(delete(periodic_leases).where(periodic_leases.c.name == name))


def ensure_periodic(connection: Connection, *, name: str) -> None:
    """Insert the row of a kind of periodic work unless it is there."""
    if connection.execute(select(periodic_leases.c.id).where(periodic_leases.c.name == name)).scalar() is None:
        insert_absent(connection, periodic_leases, name=name)
