"""Events: what was written or refused, to whom, for the operator to read with SQL."""

from collections.abc import Mapping
from typing import Any

from app.data import events
from app.data.database import Connection
from app.services.gateway import Caller, Gateway

API = "api"
COMMAND_LINE = "cli"
NAME_LENGTH = 64
OUTCOME_LENGTH = 16


def record(
    gateway: Gateway,
    *,
    caller: Caller,
    operation: str,
    object_id: str | None,
    outcome: str,
    status_code: int | None,
    latency_ms: int | None,
    detail: Mapping[str, Any] | None,
) -> None:
    """Write one event of the API. Raises SQLAlchemyError when the store is away."""
    with gateway.database.write() as connection:
        events.insert_event(
            connection,
            request_id=caller.request_id[:NAME_LENGTH],
            project_id=caller.project_id,
            key_id=caller.key_id,
            source=API,
            operation=operation[:NAME_LENGTH],
            object_id=object_id[:NAME_LENGTH] if object_id else None,
            outcome=outcome[:OUTCOME_LENGTH],
            status_code=status_code,
            latency_ms=latency_ms,
            detail=dict(detail) if detail is not None else None,
        )


def record_act(
    connection: Connection, *, operation: str, object_id: str, detail: Mapping[str, Any] | None = None
) -> None:
    """What an operator did on the command line, within the transaction that does it."""
    events.insert_event(
        connection,
        request_id=COMMAND_LINE,
        source=COMMAND_LINE,
        operation=operation[:NAME_LENGTH],
        object_id=object_id[:NAME_LENGTH],
        outcome="ok",
        detail=dict(detail) if detail is not None else None,
    )
