"""Webhook endpoints and deliveries on the wire; endpoints in OpenAI's shape."""

from typing import Any

from app.schemas.webhooks import EVENT_TYPES
from app.services.webhooks.deliveries import Delivery
from app.services.webhooks.endpoints import Endpoint


def render(endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint without its secret and its `extra_fields`."""
    return {
        "id": endpoint.public_id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": list(EVENT_TYPES if endpoint.event_types is None else endpoint.event_types),
        "payload": endpoint.payload,
        "signing_secret_hint": endpoint.secret_hint,
        "failures_in_a_row": endpoint.failures,
        "paused_until": _seconds(endpoint.paused_until),
        "created_at": endpoint.created_at // 1000,
        "updated_at": endpoint.updated_at // 1000,
    }


def render_delivery(delivery: Delivery) -> dict[str, Any]:
    """The delivery without its `extra_fields`."""
    return {
        "id": delivery.public_id,
        "object": "webhook_delivery",
        "webhook_endpoint_id": delivery.endpoint,
        "batch_id": delivery.batch,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "origin": delivery.origin,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "status_code": delivery.status_code,
        "error": delivery.error,
        "latency_ms": delivery.latency_ms,
        "created_at": delivery.created_at // 1000,
        "attempted_at": _seconds(delivery.attempted_at),
        "next_attempt_at": _seconds(delivery.next_at),
        "expires_at": delivery.expires_at // 1000,
        "ended_at": _seconds(delivery.ended_at),
    }


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000
