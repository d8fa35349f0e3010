"""Whether processes may use this store, and the hold that keeps deleted bytes while a backup copies them."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, insert, select, update

from app.data.store.database import insert_absent, now_ms
from app.data.tables import periodic_leases, store_state

OPEN, FENCED, MOVED = "open", "fenced", "moved"
HOLD = "backup"
MAX_REASON = 512

# True while a backup copies bytes: blobs that are marked for deletion must keep theirs.
HELD = exists().where(periodic_leases.c.name == HOLD, periodic_leases.c.lease_until > now_ms())


@dataclass(frozen=True, slots=True)
class StoreState:
    """`state` is open, fenced or moved; `reason` says why, in words; `changed_at` is in Unix milliseconds."""

    state: str
    reason: str
    changed_at: int | None


def read(connection: Connection) -> StoreState:
    """The state of this store; open if nobody ever changed it."""
    row = connection.execute(select(store_state.c.state, store_state.c.reason, store_state.c.changed_at)).first()
    return StoreState(OPEN, "", None) if row is None else StoreState(*row)


def change(connection: Connection, state: str, *, reason: str) -> None:
    """Set the state of this store."""
    connection.execute(delete(store_state))
    values = {"state": state, "reason": reason[:MAX_REASON], "changed_at": now_ms()}
    connection.execute(insert(store_state).values(**values))


def hold(connection: Connection, *, owner: str, lease_ms: int) -> bool:
    """Keep the bytes of deleted blobs for `lease_ms`, or longer if called again. False while another owner does."""
    insert_absent(connection, periodic_leases, name=HOLD)
    statement = (
        update(periodic_leases)
        .where(periodic_leases.c.name == HOLD)
        .where((periodic_leases.c.worker == owner) | ~HELD)
        .values(worker=owner, lease_until=now_ms() + lease_ms, ran_at=now_ms())
    )
    return connection.execute(statement).rowcount == 1


def extend_hold(connection: Connection, *, owner: str, lease_ms: int) -> bool:
    """Hold for `lease_ms` more. False when the hold has ended: then bytes may have been deleted."""
    statement = (
        update(periodic_leases)
        .where(periodic_leases.c.name == HOLD, periodic_leases.c.worker == owner)
        .where(periodic_leases.c.lease_until > now_ms())
        .values(lease_until=now_ms() + lease_ms)
    )
    return connection.execute(statement).rowcount == 1


def release_hold(connection: Connection, *, owner: str) -> None:
    """Let the bytes of deleted blobs be deleted again."""
    statement = update(periodic_leases).where(periodic_leases.c.name == HOLD, periodic_leases.c.worker == owner)
    connection.execute(statement.values(worker=None, lease_until=None))
