"""Containers that a provider was asked for: rows that nobody sees until the provider is known to have made them.

An intent is a row at an account that was never confirmed (`refreshed_at`). It is given up (`expires_at` 0) before
anything is deleted at the provider, so that a slow request cannot confirm what is being deleted.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, exists, func, literal_column, or_, select, update

from app.data.store.database import AnyRow, now_ms
from app.data.tables import containers

MINUTE_MS = 60_000
GIVEN_UP = 0

# Spelled out, not a parameter, so that every plan may use the index of running ones.
_is_running = containers.c.status == literal_column("'running'")
_is_intent = and_(
    _is_running,
    containers.c.account_id.is_not(None),
    containers.c.refreshed_at.is_(None),
    containers.c.deleted_at.is_(None),
)
_is_wanted = and_(_is_intent, containers.c.expires_at != GIVEN_UP)


def keep_on(connection: Connection, container_id: int, **values: Any) -> bool:
    """Somebody still works on it, and knows its `native_id` now. False when it was given up."""
    statement = update(containers).where(containers.c.id == container_id, _is_wanted)
    return connection.execute(statement.values(last_active_at=now_ms(), **values)).rowcount == 1


def confirm(connection: Connection, container_id: int, *, last_active_at: int | None, **values: Any) -> bool:
    """The provider has made it, and all is in it: from now on it is seen. False when it was given up."""
    active = now_ms() if last_active_at is None else last_active_at
    full = {
        "refreshed_at": now_ms(),
        "last_active_at": active,
        "expires_at": active + containers.c.expires_after_minutes * MINUTE_MS,
        **values,
    }
    statement = update(containers).where(containers.c.id == container_id, _is_wanted)
    return connection.execute(statement.values(**full)).rowcount == 1


def give_up(connection: Connection, container_id: int) -> bool:
    """It will not be confirmed. False when it was."""
    statement = update(containers).where(containers.c.id == container_id, _is_intent)
    return connection.execute(statement.values(expires_at=GIVEN_UP)).rowcount == 1


def lost(connection: Connection, *, grace_ms: int, held_grace_ms: int, limit: int) -> Sequence[AnyRow]:
    """Intents that nobody works on any more: not for `grace_ms`, or `held_grace_ms` where the native id is known."""
    silent_ms = now_ms() - containers.c.last_active_at
    statement = (
        select(
            containers.c.id,
            containers.c.public_id,
            containers.c.account_id,
            containers.c.native_id,
            containers.c.name,
            containers.c.created_at,
            (now_ms() - containers.c.created_at).label("age_ms"),
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
    return connection.execute(statement).all()


def being_asked(connection: Connection, *, account_id: int, name: str, grace_ms: int) -> bool:
    """True while a request may wait for the provider's answer to a container of this name."""
    recent = containers.c.last_active_at > now_ms() - grace_ms
    return bool(connection.execute(select(exists().where(_is_wanted, recent, *_unanswered(account_id, name)))).scalar())


def unanswered(connection: Connection, *, account_id: int, name: str) -> int:
    """How many containers of this name the provider was asked for without an answer that anybody heard."""
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
