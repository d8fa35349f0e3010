"""Rows of idempotency_keys: reserved under a lease, then answered or freed."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.data.store.database import now_ms
from app.data.tables import idempotency_keys as keys

KEPT_MS = 24 * 3600 * 1000

# The two dialects share the syntax of ON CONFLICT, but SQLAlchemy has no common name for it.
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True, slots=True)
class Reservation:
    """A key that belongs to one request until `lease_until` (Unix milliseconds), unless another takes it over.

    `lease_until` tells this reservation from a later one of the same key: it only grows.
    """

    row_id: int
    lease_until: int


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer to the first request with a key; `body` is its JSON object."""

    body_sha256: str
    status_code: int
    body: dict[str, Any]


def reserve(connection: Connection, *, project_id: int, route: str, key: str, lease_s: float) -> Reservation | None:
    """Reserve a key that is free, has expired, or was left by a request that died; None for any other."""
    lease_until = now_ms() + int(lease_s * 1000)
    fresh = {
        "state": "in_flight",
        "lease_until": lease_until,
        "expires_at": now_ms() + KEPT_MS,
        "body_sha256": None,
        "status_code": None,
    }
    statement = (
        _INSERT[connection.dialect.name](keys)
        .values(project_id=project_id, route=route, key=key, **fresh)
        .on_conflict_do_update(
            index_elements=[keys.c.project_id, keys.c.route, keys.c.key],
            set_=fresh,
            where=or_(keys.c.expires_at <= now_ms(), (keys.c.state == "in_flight") & (keys.c.lease_until < now_ms())),
        )
        .returning(keys.c.id, keys.c.lease_until)
    )
    row = connection.execute(statement).first()
    return None if row is None else Reservation(*row)


def find(connection: Connection, *, project_id: int, route: str, key: str) -> StoredAnswer | None:
    """The answer that a key has; None while there is none."""
    statement = select(keys.c.body_sha256, keys.c.status_code, keys.c.answer).where(
        keys.c.project_id == project_id, keys.c.route == route, keys.c.key == key, keys.c.state == "done"
    )
    row = connection.execute(statement).first()
    return None if row is None else StoredAnswer(*row)


def complete(
    connection: Connection, reservation: Reservation, *, body_sha256: str, status_code: int, answer: dict[str, Any]
) -> bool:
    """Store the answer for a day. False when the lease expired and another request took the key."""
    statement = (
        update(keys)
        .where(_is(reservation))
        .values(
            state="done",
            body_sha256=body_sha256,
            status_code=status_code,
            answer=answer,
            lease_until=None,
            expires_at=now_ms() + KEPT_MS,
        )
    )
    return connection.execute(statement).rowcount == 1


def free(connection: Connection, reservation: Reservation) -> None:
    """Give up a reservation, so that the key can be used again at once."""
    connection.execute(delete(keys).where(_is(reservation)))


def purge(connection: Connection, *, limit: int) -> int:
    """Delete at most `limit` expired keys; returns how many."""
    expired = select(keys.c.id).where(keys.c.expires_at <= now_ms()).limit(limit)
    # Checked twice: between the two another request may have taken a key over.
    statement = delete(keys).where(keys.c.id.in_(expired), keys.c.expires_at <= now_ms())
    return connection.execute(statement).rowcount


def _is(reservation: Reservation) -> ColumnElement[bool]:
    return and_(
        keys.c.id == reservation.row_id,
        keys.c.state == "in_flight",
        keys.c.lease_until == reservation.lease_until,
    )
