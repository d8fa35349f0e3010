"""Webhooks: a project's endpoints, tried out, and what was delivered to them."""

from flask import Blueprint, Response, g, request

from app.api.context import caller, gateway
from app.api.dashboard import pages
from app.api.operation import operation
from app.schemas.base import load
from app.schemas.webhooks import EVENT_TYPES, CreateEndpoint
from app.services.webhooks import deliveries, endpoints

MAX_ENDPOINTS = 50
PER_PAGE = 50
LIVE_MS = 5000
SAMPLE = "batch.completed"

blueprint = Blueprint("webhooks", __name__)

ENDPOINT = "/webhooks/<endpoint_id>"


@blueprint.get("/webhooks")
@operation("ui_webhooks")
def list_() -> Response:
    """The endpoints and the newest deliveries."""
    after = request.args.get("after", "").strip()
    page = deliveries.list_(gateway(), caller(), limit=PER_PAGE, after=after or None)
    return pages.page(
        "webhooks.html",
        endpoints=endpoints.list_(gateway(), caller(), limit=MAX_ENDPOINTS).items,
        deliveries=page.items,
        after=after,
        further=page.items[-1].public_id if page.has_more else None,
        live_ms=LIVE_MS,
    )


@blueprint.post("/webhooks")
@operation("webhook_endpoint_create")
def create() -> Response:
    """Makes an endpoint for all events; this page alone shows its secret."""
    given = {name: request.form.get(name, "").strip() for name in ("name", "url")}
    fields = load(CreateEndpoint, {**given, "event_types": list(EVENT_TYPES)})
    made = endpoints.create(gateway(), caller(), **fields)
    g.object_id = made.public_id
    return pages.page("secret.html", endpoint=made, secret=endpoints.reveal(gateway(), caller(), made.public_id))


@blueprint.post(f"{ENDPOINT}/test")
@operation("webhook_endpoint_test")
def test(endpoint_id: str) -> Response:
    """Sends a sample, now."""
    g.object_id = endpoint_id
    tried = endpoints.try_out(gateway(), caller(), endpoint_id, event_type=SAMPLE)
    return pages.page("tried.html", tried=tried)


@blueprint.post(f"{ENDPOINT}/delete")
@operation("webhook_endpoint_delete")
def delete(endpoint_id: str) -> Response:
    """Deletes an endpoint; what was to be delivered to it is dropped."""
    g.object_id = endpoints.delete(gateway(), caller(), endpoint_id).public_id
    return pages.see("/ui/webhooks")


@blueprint.post("/webhooks/deliveries/<delivery_id>/replay")
@operation("webhook_delivery_replay")
def replay(delivery_id: str) -> Response:
    """Delivers the same event once more."""
    g.object_id = deliveries.replay(gateway(), caller(), delivery_id).public_id
    return pages.see("/ui/webhooks")
