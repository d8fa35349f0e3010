"""Webhook endpoints and deliveries in answers."""

from marshmallow import Schema, fields

from app.schemas.answers.base import (
    BATCH_ID,
    OPTIONAL,
    Answer,
    Page,
    deleted,
    extra,
    flag,
    instant,
    kind,
    listed,
    number,
    text,
    texts,
)
from app.schemas.base import about
from app.schemas.webhooks import EVENT_TYPES, PAYLOADS, STATES

ENDPOINT_ID = "wh_0198f0c2a7d34c5b"
SHOWN_ONCE = "The secret that signs what is sent: only when it is new."


class WebhookEndpoint(Answer):
    """Where a project is told of the end of its batches."""

    id = text("The id.", ENDPOINT_ID)
    object = kind("webhook_endpoint")
    name = text("The name.", "Results")
    url = text("Where events are sent.", "https://hooks.example.com/batchgate")
    event_types = texts("What is sent.", ["batch.completed"])
    payload = text("`thin`: OpenAI's events; `full`: with counts.", "thin", words=PAYLOADS)
    signing_secret_hint = text("The last characters of the secret.", "x9Qk")
    signing_secret = fields.String(metadata={**about(SHOWN_ONCE, "whsec_..."), OPTIONAL: True})
    failures_in_a_row = number("How often the endpoint did not take an event since it last did.", 0)
    paused_until = instant("Until when nothing is sent, after failures.", null=True)
    created_at = instant("When it was created.")
    updated_at = instant("When it was changed.")
    extra_fields = extra()


class WebhookEndpointList(Page):
    """A page of endpoints."""

    data = listed(WebhookEndpoint, "The endpoints.")


WebhookEndpointDeleted: type[Schema] = Answer.from_dict(
    deleted("webhook_endpoint.deleted"), name="WebhookEndpointDeleted"
)


class WebhookTest(Answer):
    """How an endpoint answered to a sample."""

    object = kind("webhook_endpoint.test")
    webhook_endpoint_id = text("The endpoint.", ENDPOINT_ID)
    event_type = text("What was sent.", "batch.completed", words=EVENT_TYPES)
    status_code = number("The endpoint's HTTP status.", 200)
    success = flag("Always true: the endpoint answered.", True)
    extra_fields = extra()


class WebhookEventTypeList(Answer):
    """What can be sent."""

    object = kind("list")
    data = texts("The types of events.", list(EVENT_TYPES))
    extra_fields = extra()


class WebhookDelivery(Answer):
    """One event for one endpoint."""

    id = text("The id.", "whd_0198f0c2a7d34c5b")
    object = kind("webhook_delivery")
    webhook_endpoint_id = text("The endpoint; null for one that a batch has of its own.", ENDPOINT_ID, null=True)
    batch_id = text("The batch.", BATCH_ID, null=True)
    event_id = text("The id of the event, in each delivery of it.", "evt_0198f0c2a7d34c5b")
    event_type = text("The type of the event.", "batch.completed", words=EVENT_TYPES)
    origin = text("Why it is sent.", "batch")
    state = text("Where the delivery is.", "delivered", words=STATES)
    attempts = number("How often it was sent.", 1)
    status_code = number("The endpoint's last HTTP status.", 200, null=True)
    error = text("Why the last attempt failed.", null=True)
    latency_ms = number("How long the last attempt took.", 80, null=True)
    created_at = instant("When the event came about.")
    attempted_at = instant("When it was last sent.", null=True)
    next_attempt_at = instant("When it is sent again.", null=True)
    expires_at = instant("When it is given up.")
    ended_at = instant("When it was delivered or given up.", null=True)
    extra_fields = extra()


class WebhookDeliveryList(Page):
    """A page of deliveries."""

    data = listed(WebhookDelivery, "The deliveries.")
