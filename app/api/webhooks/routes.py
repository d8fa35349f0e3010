"""Webhook endpoints, as OpenAI's SDKs manage them, and what was delivered to them."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from flask import Blueprint, Response

from app.api import query
from app.api.body import read_json
from app.api.context import caller, gateway
from app.api.idempotency import idempotent, identify, settling
from app.api.operation import answer, extra_fields, list_answer, operation
from app.api.webhooks.wire import render, render_delivery
from app.lib import json
from app.schemas import webhooks as schemas
from app.schemas.base import load
from app.services.webhooks import deliveries, endpoints
from app.services.webhooks.deliveries import Delivery
from app.services.webhooks.endpoints import Endpoint

P = ParamSpec("P")

blueprint = Blueprint("webhooks", __name__)

ENDPOINT = "/webhook_endpoints/<string:webhook_endpoint_id>"
DELIVERY = "/webhook_deliveries/<string:webhook_delivery_id>"


def _revealing(view: Callable[P, Response]) -> Callable[P, Response]:
    """Add the secret to the answer of a view. Goes above `@idempotent`, whose stored answers must not hold it."""

    @wraps(view)
    def revealed(*args: P.args, **kwargs: P.kwargs) -> Response:
        response = view(*args, **kwargs)
        body = json.loads(response.get_data())
        body["signing_secret"] = endpoints.reveal(gateway(), caller(), body["id"])
        response.set_data(json.dumps(body))
        return response

    return revealed


@blueprint.post("/webhook_endpoints")
@operation("webhook_endpoint_create")
@_revealing
@idempotent
def create() -> Response:
    """Make an endpoint; its secret is shown in this answer only."""
    body = read_json()
    identify(body)
    fields = load(schemas.CreateEndpoint, body)
    return _answer(endpoints.create(gateway(), caller(), settle=settling(_answer), **fields))


@blueprint.get("/webhook_endpoints")
@operation("webhook_endpoint_list", schemas.ListEndpoints)
def list_() -> Response:
    """The project's endpoints, newest first by default."""
    fields = query.read(schemas.ListEndpoints)
    page = endpoints.list_(
        gateway(), caller(), limit=fields["limit"], after=fields["after"], descending=fields["order"] == "desc"
    )
    return list_answer([_item(render(endpoint)) for endpoint in page.items], has_more=page.has_more)


@blueprint.get(ENDPOINT)
@operation("webhook_endpoint_retrieve")
def retrieve(webhook_endpoint_id: str) -> Response:
    """An endpoint, without its secret."""
    return _answer(endpoints.retrieve(gateway(), caller(), webhook_endpoint_id))


@blueprint.post(ENDPOINT)
@operation("webhook_endpoint_update")
def update(webhook_endpoint_id: str) -> Response:
    """Change an endpoint's name, URL, event types or payload."""
    fields = load(schemas.UpdateEndpoint, read_json(required=False))
    return _answer(endpoints.change(gateway(), caller(), webhook_endpoint_id, **fields))


@blueprint.delete(ENDPOINT)
@operation("webhook_endpoint_delete")
def delete(webhook_endpoint_id: str) -> Response:
    """Delete an endpoint; what it was still to be told is dropped."""
    deleted = endpoints.delete(gateway(), caller(), webhook_endpoint_id)
    return answer({"id": deleted.public_id, "object": "webhook_endpoint.deleted", "deleted": True})


@blueprint.post(f"{ENDPOINT}/rotate_secret")
@operation("webhook_endpoint_secret_rotate")
@_revealing
@idempotent
def rotate_secret(webhook_endpoint_id: str) -> Response:
    """Give an endpoint a new secret, shown in this answer only; the old one may sign for another 24 hours."""
    body = read_json(required=False)
    identify(body)
    keep_old = bool(load(schemas.RotateSecret, body)["keep_old_secret_active_for_24_hours"])
    return _answer(
        endpoints.rotate_secret(gateway(), caller(), webhook_endpoint_id, keep_old=keep_old, settle=settling(_answer))
    )


@blueprint.post(f"{ENDPOINT}/test")
@operation("webhook_endpoint_test")
def test(webhook_endpoint_id: str) -> Response:
    """Deliver a sample now; the answer has the endpoint's status, whatever it is."""
    fields = load(schemas.TestEndpoint, read_json())
    tried = endpoints.try_out(gateway(), caller(), webhook_endpoint_id, event_type=fields["event_type"])
    return answer(
        {
            "object": "webhook_endpoint.test",
            "webhook_endpoint_id": tried.endpoint,
            "event_type": tried.event_type,
            "status_code": tried.status_code,
            "success": True,
        }
    )


@blueprint.get("/webhook_event_types")
@operation("webhook_event_type_list")
def event_types() -> Response:
    """The types of events that can be delivered."""
    return answer({"object": "list", "data": list(schemas.EVENT_TYPES)})


@blueprint.get("/webhook_deliveries")
@operation("webhook_delivery_list", schemas.ListDeliveries)
def list_deliveries() -> Response:
    """What the project's endpoints were and will be told, newest first."""
    fields = query.read(schemas.ListDeliveries)
    fields["endpoint"], fields["batch"] = fields.pop("endpoint_id"), fields.pop("batch_id")
    page = deliveries.list_(gateway(), caller(), **fields)
    return list_answer([_item(render_delivery(row)) for row in page.items], has_more=page.has_more)


@blueprint.get(DELIVERY)
@operation("webhook_delivery_retrieve")
def retrieve_delivery(webhook_delivery_id: str) -> Response:
    """A delivery, and how its last attempt went."""
    return _answer_delivery(deliveries.retrieve(gateway(), caller(), webhook_delivery_id))


@blueprint.post(f"{DELIVERY}/replay")
@operation("webhook_delivery_replay")
@idempotent
def replay(webhook_delivery_id: str) -> Response:
    """Deliver the same event again, as a new delivery."""
    body = read_json(required=False)
    identify(body)
    load(schemas.ReplayDelivery, body)
    made = deliveries.replay(gateway(), caller(), webhook_delivery_id, settle=settling(_answer_delivery))
    return _answer_delivery(made)


def _answer(endpoint: Endpoint) -> Response:
    return answer(render(endpoint))


def _answer_delivery(delivery: Delivery) -> Response:
    return answer(render_delivery(delivery))


def _item(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "extra_fields": extra_fields()}
