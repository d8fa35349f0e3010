"""Webhooks of all projects, as operators look at them and act on them."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.data.access import projects
from app.data.store.database import Connection
from app.data.webhooks import endpoints
from app.data.webhooks.deliveries import Delivery, Filters
from app.data.webhooks.endpoints import ShownEndpoint as ShownEndpoint
from app.errors import NotFoundError
from app.services.events import record
from app.services.gateway import Actor, Gateway
from app.services.webhooks import deliveries
from app.services.webhooks import endpoints as of_project
from app.services.webhooks.messages import EVENT_TYPES

MAX_ENDPOINTS = 1000


@dataclass(frozen=True, slots=True)
class ShownDelivery:
    """A delivery without row ids. Instants are Unix milliseconds."""

    delivery: str
    project: str
    endpoint: str
    url: str
    batch: str | None
    event_id: str
    event_type: str
    origin: str
    state: str
    attempts: int
    status_code: int | None
    error: str | None
    latency_ms: int | None
    created_at: int
    attempted_at: int | None
    next_at: int | None
    expires_at: int
    ended_at: int | None


def endpoints_of(gateway: Gateway, *, project: str | None = None) -> Sequence[ShownEndpoint]:
    """Endpoints of a project, or of all of them, oldest first. Raises NotFoundError."""
    with gateway.database.read() as connection:
        return endpoints.list_all(connection, project_id=_project(connection, project), limit=MAX_ENDPOINTS)


def deliveries_of(
    gateway: Gateway, *, project: str | None = None, state: str | None = None, limit: int
) -> Sequence[ShownDelivery]:
    """Deliveries of a project, or of all of them, newest first. Raises NotFoundError."""
    with gateway.database.read() as connection:
        filters = Filters(_project(connection, project), state=state)
    return [_shown(row) for row in deliveries.page(gateway, filters, limit=limit).items]


def replay(gateway: Gateway, public_id: str, *, actor: Actor = record.OPERATOR) -> str:
    """As `deliveries.replay`, of any project; returns the id of the new delivery."""

    def settle(connection: Connection, made: Delivery) -> None:
        record.record_act(
            connection,
            operation="webhook_delivery_replay",
            object_id=made.public_id,
            detail={"of": public_id},
            actor=actor,
            project_id=made.project_id,
        )

    return deliveries.replay(gateway, None, public_id, settle=settle).public_id


def try_out(gateway: Gateway, public_id: str) -> int:
    """Send a sample to an endpoint of any project; the status that it answers.

    Raises NotFoundError, and InvalidRequestError when there is no answer.
    """
    with gateway.database.read() as connection:
        found = endpoints.owner(connection, public_id) if public_id.isprintable() else None
    if found is None:
        raise NotFoundError(f"There is no webhook endpoint {public_id:.100}. `batchgate webhooks list` shows all.")
    return of_project.send_sample(gateway, found, event_type=EVENT_TYPES[0]).status_code


def _project(connection: Connection, name: str | None) -> int | None:
    if name is None:
        return None
    found = projects.find(connection, name)
    if found is None:
        raise NotFoundError(f"There is no project {name!r:.80}.")
    return found.id


def _shown(row: Delivery) -> ShownDelivery:
    same = {name: getattr(row, name) for name in ShownDelivery.__dataclass_fields__ if name != "delivery"}
    return ShownDelivery(delivery=row.public_id, **same)
