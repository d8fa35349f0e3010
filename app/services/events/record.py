"""Records events: what was written or rejected, and who did it."""

from collections.abc import Mapping
from typing import Any

from app.data.audit import events
from app.data.store.database import Connection
from app.services.gateway import Actor, Caller, Gateway

API = "api"
DONE = "done"
OPERATOR = Actor()
NAME_LENGTH = 64
OUTCOME_LENGTH = 16
ACTOR_LENGTH = 128


def record(
    gateway: Gateway,
    *,
    caller: Caller | Actor,
    operation: str,
    object_id: str | None,
    outcome: str,
    status_code: int | None,
    latency_ms: int | None,
    detail: Mapping[str, Any] | None,
) -> None:
    """Records one event of the API: a write, or a rejected request of a known caller or admin.

    Raises SQLAlchemyError when the database is unavailable.
    """
    with gateway.database.write() as connection:
        events.insert_event(
            connection,
            request_id=caller.request_id[:NAME_LENGTH],
            project_id=caller.project_id,
            key_id=caller.key_id,
            source=caller.source if isinstance(caller, Actor) else API,
            operation=operation[:NAME_LENGTH],
            object_id=object_id[:NAME_LENGTH] if object_id else None,
            outcome=outcome[:OUTCOME_LENGTH],
            status_code=status_code,
            latency_ms=latency_ms,
            actor=caller.name[:ACTOR_LENGTH] if caller.name else None,
            address=caller.address,
            detail=dict(detail) if detail is not None else None,
        )


def record_act(
    connection: Connection,
    *,
    operation: str,
    object_id: str,
    detail: Mapping[str, Any] | None = None,
    actor: Actor = OPERATOR,
    project_id: int | None = None,
    key_id: int | None = None,
) -> None:
    """Records what an admin does, within the same transaction; `actor` is by default the command line's operator.

    `project_id` and `key_id` are those affected. If no project is affected, the event gets the actor's.
    """
    if project_id is None:
        project_id, key_id = actor.project_id, actor.key_id
    events.insert_event(
        connection,
        request_id=actor.request_id[:NAME_LENGTH],
        project_id=project_id,
        key_id=key_id,
        source=actor.source,
        actor=actor.name[:ACTOR_LENGTH],
        address=actor.address,
        operation=operation[:NAME_LENGTH],
        object_id=object_id[:NAME_LENGTH],
        outcome=DONE,
        latency_ms=actor.latency_ms() if actor.latency_ms else None,
        detail=dict(detail) if detail is not None else None,
    )
