"""Rows of idempotency_keys: reserved on a lease, then answered or freed."""

from typing import Any

from sqlalchemy import Connection, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.data.store.database import AnyRow, now_ms
from app.data.tables import idempotency_keys as keys

KEPT_MS = 24 * 3600 * 1000

# The two share the syntax, and no common name for it.
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def reserve(connection: Connection, *, project_id: int, route: str, key: str, lease_s: float) -> AnyRow | None:
    """(id, lease_until) when the key is free, ran out, or was left by a request that died; else None.

    `lease_until` tells this reservation from a later one: it only grows.
    """
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
    row: AnyRow | None = connection.execute(statement).first()
    return row


def find(connection: Connection, *, project_id: int, route: str, key: str) -> AnyRow | None:
    """The row of a key: (state, body_sha256, status_code, answer)."""
    statement = select(keys.c.state, keys.c.body_sha256, keys.c.status_code, keys.c.answer).where(
        keys.c.project_id == project_id, keys.c.route == route, keys.c.key == key
    )
    return connection.execute(statement).first()


def complete(
    connection: Connection, key_id: int, *, lease_until: int, body_sha256: str, status_code: int, answer: dict[str, Any]
) -> bool:
    """Keep the answer for a day. False when the lease ran out and another request took the key."""
    statement = (
        update(keys)
        .where(keys.c.id == key_id, keys.c.state == "in_flight", keys.c.lease_until == lease_until)
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


def free(connection: Connection, key_id: int, *, lease_until: int) -> None:
    """Give up a reservation, so that the key can be used again at once."""
    connection.execute(
        delete(keys).where(keys.c.id == key_id, keys.c.state == "in_flight", keys.c.lease_until == lease_until)
    )


def purge(connection: Connection, *, limit: int) -> int:
    """Delete at most `limit` keys that ran out; returns how many."""
    over = select(keys.c.id).where(keys.c.expires_at <= now_ms()).limit(limit)
    # Asked twice: between the two somebody may have taken a key over.
    statement = delete(keys).where(keys.c.id.in_(over), keys.c.expires_at <= now_ms())
    return connection.execute(statement).rowcount
