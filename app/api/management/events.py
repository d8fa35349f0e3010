"""Events: what was written or refused, by whom."""

from typing import Any

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.management.asking import query, seconds
from app.api.operation import list_answer, operation
from app.schemas.management import ListEvents
from app.services.events import browse
from app.services.events.browse import Event

blueprint = Blueprint("events", __name__)


@blueprint.get("/events")
@operation("event_list")
def list_() -> Response:
    """Events, the newest first unless asked otherwise."""
    asked = query(ListEvents)
    page = browse.list_(
        gateway(),
        browse.Filters(asked["project"], asked["operation"], asked["outcome"], asked["since"]),
        limit=asked["limit"],
        after=asked["after"],
        descending=asked["order"] == "desc",
    )
    return list_answer([_wire(event) for event in page.items], has_more=page.has_more)


def _wire(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "object": "event",
        "created_at": seconds(event.created_at),
        "actor": event.actor,
        "address": event.address,
        "project": event.project,
        "virtual_key": event.virtual_key,
        "source": event.source,
        "operation": event.operation,
        "object_id": event.object_id,
        "outcome": event.outcome,
        "status_code": event.status_code,
        "latency_ms": event.latency_ms,
        "request_id": event.request_id,
        "detail": event.detail,
    }
