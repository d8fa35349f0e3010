"""Which of two copies of a store may act: a copy is fenced until an operator takes it over, a moved one is closed."""

from datetime import UTC, datetime

from app.data.backups import state as stored
from app.data.backups.state import FENCED, MOVED, OPEN, StoreState
from app.data.store.database import Connection, Database
from app.errors import UnavailableError
from app.services.events import record
from app.services.gateway import Gateway

CURE = "`batchgate takeover`"


class StoreClosedError(UnavailableError):
    """The store is fenced or was moved."""


def state(gateway: Gateway) -> StoreState:
    """The state of the store, at most a second old. Raises SQLAlchemyError."""
    return gateway.store_state.get(lambda: now(gateway.database))


def now(database: Database) -> StoreState:
    """The state of the store at this moment. Raises SQLAlchemyError."""
    with database.read() as connection:
        return stored.read(connection)


def check(gateway: Gateway, *, is_write: bool) -> None:
    """Raises StoreClosedError for a write to a fenced store, and for anything on one that was moved."""
    found = state(gateway)
    if found.state == OPEN or (found.state == FENCED and not is_write):
        return
    raise StoreClosedError(describe(found), code=f"store_{found.state}")


def describe(found: StoreState) -> str:
    """What the state means and what to do, in words."""
    since = (
        "" if found.changed_at is None else f" since {datetime.fromtimestamp(found.changed_at / 1000, UTC):%F %T} UTC"
    )
    if found.state == MOVED:
        return f"This store is closed{since}: {found.reason}. Use the other one, or run {CURE} to use this one again."
    return (
        f"This store is fenced{since}: {found.reason}. It can be read, but nothing is created, deleted or sent "
        f"until an operator has stopped the original and runs {CURE}."
    )


def fence(connection: Connection, *, reason: str) -> None:
    """Fence the store, as part of a transaction."""
    stored.change(connection, FENCED, reason=reason)


def close(connection: Connection, *, reason: str) -> None:
    """Close a store whose rows were copied elsewhere, as part of the transaction that held them still."""
    stored.change(connection, MOVED, reason=reason)


def take_over(gateway: Gateway) -> StoreState:
    """Open the store; returns the state that it had."""

    def unit(connection: Connection) -> StoreState:
        before = stored.read(connection)
        if before.state != OPEN:
            stored.change(connection, OPEN, reason=f"taken over; before: {before.state}, {before.reason}")
            detail = {"state": before.state, "reason": before.reason}
            record.record_act(connection, operation="store_takeover", object_id="store", detail=detail)
        return before

    return gateway.database.run(unit)


__all__ = [
    "FENCED",
    "MOVED",
    "OPEN",
    "StoreClosedError",
    "check",
    "close",
    "describe",
    "fence",
    "now",
    "state",
    "take_over",
]
