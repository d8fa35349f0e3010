"""Routes of events: what was written or rejected, and by whom."""

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.management.request import query
from app.api.management.wire import event_wire
from app.api.operation import list_answer, operation
from app.schemas.management import ListEvents
from app.services.events import browse

blueprint = Blueprint("events", __name__)


@blueprint.get("/events")
@operation("event_list", ListEvents)
def list_() -> Response:
    """Events, newest first by default."""
    filters = query(ListEvents)
    page = browse.list_(
        gateway(),
        browse.Filters(filters["project"], filters["operation"], filters["outcome"], filters["since"]),
        limit=filters["limit"],
        after=filters["after"],
        descending=filters["order"] == "desc",
    )
    return list_answer([event_wire(event) for event in page.items], has_more=page.has_more)
