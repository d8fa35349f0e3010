"""Intents: containers that a provider has been asked to make. Nobody sees them until they are confirmed.

An intent is a row at an account whose `refreshed_at` is NULL. It is given up (`expires_at` 0) before anything is
deleted at the provider, so that a slow request cannot confirm a container that is being deleted.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, exists, func, literal_column, or_, select, update

from app.data.store import absence
from app.data.store.database import now_ms
from app.data.tables import containers

MINUTE_MS = 60_000
GIVEN_UP = 0


@dataclass(frozen=True, slots=True)
class LostIntent:
    """An intent that nobody works on any more. `created_at` is Unix milliseconds; `age_ms` counts from its last use."""

    id: int
    public_id: str
    account_id: int
    native_id: str | None
    name: str
    created_at: int
    age_ms: int


# Spelled out, not a parameter, so that every plan may use the index of running ones.
_is_running = containers.c.status == literal_column("'running'")
_is_intent = and_(
    _is_running,
    containers.c.account_id.is_not(None),
    containers.c.refreshed_at.is_(None),
    containers.c.deleted_at.is_(None),
)
_is_wanted = and_(_is_intent, containers.c.expires_at != GIVEN_UP)


def keep_on(connection: Connection, container_id: int, *, native_id: str | None = None) -> bool:
    """Record that the request still works on an intent, and its native id if given. False when it was given up."""
    known = {} if native_id is None else {"native_id": native_id}
    statement = update(containers).where(containers.c.id == container_id, _is_wanted)
    return connection.execute(statement.values(last_active_at=now_ms(), **known)).rowcount == 1


def confirm(
    connection: Connection,
    container_id: int,
    *,
    last_active_at: int | None,
    native_id: str,
    status: str = "running",
) -> bool:
    """Record that the provider has made the container, so that it is seen from now on. False when it was given up."""
    active = now_ms() if last_active_at is None else last_active_at
    values = {
        "refreshed_at": now_ms(),
        "last_active_at": active,
        "expires_at": active + containers.c.expires_after_minutes * MINUTE_MS,
        "native_id": native_id,
        "status": status,
    }
    statement = update(containers).where(containers.c.id == container_id, _is_wanted)
    return connection.execute(statement.values(**values)).rowcount == 1


def give_up(connection: Connection, container_id: int) -> bool:
    """Make sure that an intent is never confirmed. False when it has been."""
    statement = update(containers).where(containers.c.id == container_id, _is_intent)
    return connection.execute(statement.values(expires_at=GIVEN_UP)).rowcount == 1


def disown(connection: Connection, container_id: int) -> bool:
    """Hide a running container, and leave it to be deleted at its provider. False when another request was first."""
    where = (containers.c.id == container_id, _is_running, containers.c.deleted_at.is_(None))
    values = {"refreshed_at": None, "expires_at": GIVEN_UP, "last_active_at": now_ms(), **absence.forgotten()}
    return connection.execute(update(containers).where(*where).values(**values)).rowcount == 1


def lost(connection: Connection, *, grace_ms: int, held_grace_ms: int, limit: int) -> list[LostIntent]:
    """Intents that nobody has worked on for `grace_ms`, or for `held_grace_ms` where the native id is known."""
    silent_ms = now_ms() - containers.c.last_active_at
    is_used = containers.c.last_active_at > containers.c.created_at
    last_used = case((is_used, containers.c.last_active_at), else_=containers.c.created_at)
    statement = (
        select(
            containers.c.id,
            containers.c.public_id,
            containers.c.account_id,
            containers.c.native_id,
            containers.c.name,
            containers.c.created_at,
            now_ms() - last_used,
        )
        .where(
            _is_intent,
            or_(
                and_(containers.c.native_id.is_(None), silent_ms >= grace_ms),
                and_(containers.c.native_id.is_not(None), silent_ms >= held_grace_ms),
                and_(containers.c.native_id.is_not(None), containers.c.expires_at == GIVEN_UP),
            ),
        )
        .order_by(containers.c.id)
        .limit(limit)
    )
    return [LostIntent(*row) for row in connection.execute(statement)]


def is_in_flight(connection: Connection, *, account_id: int, name: str, grace_ms: int) -> bool:
    """True while a request may be waiting for the provider to make a container of this name."""
    recent = containers.c.last_active_at > now_ms() - grace_ms
    return bool(connection.execute(select(exists().where(_is_wanted, recent, *_unanswered(account_id, name)))).scalar())


def unanswered(connection: Connection, *, account_id: int, name: str) -> int:
    """How many containers of this name the provider was asked to make without an answer reaching the gateway."""
    statement = select(func.count()).select_from(containers).where(_is_intent, *_unanswered(account_id, name))
    return int(connection.execute(statement).scalar_one())


def known_native_ids(connection: Connection, *, account_id: int) -> set[str]:
    """Native ids of all containers of an account that are not deleted, intents included."""
    statement = select(containers.c.native_id).where(
        containers.c.account_id == account_id, containers.c.native_id.is_not(None), containers.c.deleted_at.is_(None)
    )
    return set(connection.execute(statement).scalars())


def _unanswered(account_id: int, name: str) -> tuple[Any, ...]:
    return containers.c.account_id == account_id, containers.c.name == name, containers.c.native_id.is_(None)
