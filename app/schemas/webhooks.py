"""Requests about webhook endpoints and deliveries."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from app.schemas.base import BodySchema, QuerySchema, Text, WholeNumber, about, one_of
from app.schemas.management import Flag

EVENT_TYPES = ("batch.completed", "batch.failed", "batch.expired", "batch.cancelled")
PAYLOADS = ("thin", "full")
STATES = ("pending", "delivered", "failed", "dropped")
ID_LENGTH = 256
URL_LENGTH = 2048
SECRET_LENGTH = 256


def _event_types(*, required: bool, metadata: dict[str, Any]) -> "fields.List[str]":
    count = validate.Length(min=1, max=len(EVENT_TYPES) * 2, error="must name at least one event type.")
    each = Text(max_length=64, validate=one_of(*EVENT_TYPES))
    return fields.List(each, validate=count, required=required, metadata=metadata)


class CreateEndpoint(BodySchema):
    name = Text(required=True, max_length=256, metadata=about("The name.", "Results"))
    url = Text(
        required=True,
        max_length=URL_LENGTH,
        metadata=about("Where to send events: a public HTTPS address.", "https://hooks.example.com/batchgate"),
    )
    event_types = _event_types(required=True, metadata=about("What to send.", ["batch.completed"]))
    payload = Text(
        load_default=PAYLOADS[0],
        validate=one_of(*PAYLOADS),
        metadata=about("`thin`: OpenAI's events; `full`: with counts.", "thin"),
    )


class UpdateEndpoint(BodySchema):
    """What is not there stays as it is."""

    name = Text(max_length=256, metadata=about("The name.", "Results"))
    url = Text(
        max_length=URL_LENGTH,
        metadata=about("Where to send events: a public HTTPS address.", "https://hooks.example.com/batchgate"),
    )
    event_types = _event_types(required=False, metadata=about("What to send.", ["batch.completed"]))
    payload = Text(validate=one_of(*PAYLOADS), metadata=about("`thin`: OpenAI's events; `full`: with counts.", "thin"))


class RotateSecret(BodySchema):
    keep_old_secret_active_for_24_hours = Flag(
        allow_none=True,
        load_default=False,
        metadata=about("Whether the old secret signs, too, for a day.", True),
    )


class TestEndpoint(BodySchema):
    event_type = Text(
        required=True, validate=one_of(*EVENT_TYPES), metadata=about("The type of the sample.", "batch.completed")
    )


class ReplayDelivery(BodySchema):
    """Nothing: what is delivered is what was."""


class ListEndpoints(QuerySchema):
    limit = WholeNumber(min=1, max=100, load_default=20, metadata=about("How many to return at most."))
    after = Text(
        load_default=None,
        max_length=ID_LENGTH,
        metadata=about("The id of the last object of the page before: the list goes on after it."),
    )
    order = Text(
        load_default="desc",
        validate=one_of("asc", "desc"),
        metadata=about("By time of creation: `asc` from the oldest, `desc` from the newest."),
    )


class ListDeliveries(QuerySchema):
    limit = WholeNumber(min=1, max=100, load_default=20, metadata=about("How many to return at most."))
    after = Text(
        load_default=None, max_length=ID_LENGTH, metadata=about("The id of the last delivery of the page before.")
    )
    endpoint_id = Text(load_default=None, max_length=ID_LENGTH, metadata=about("Only deliveries to this endpoint."))
    batch_id = Text(load_default=None, max_length=ID_LENGTH, metadata=about("Only deliveries of this batch."))
    state = Text(
        load_default=None, validate=one_of(*STATES), metadata=about("Only deliveries in this state.", "failed")
    )


class BatchWebhook(BodySchema):
    """Where one batch tells of its end: an endpoint of its own."""

    url = Text(
        required=True,
        max_length=URL_LENGTH,
        metadata=about("Where to send events: a public HTTPS address.", "https://hooks.example.com/batchgate"),
    )
    secret = Text(
        required=True,
        max_length=SECRET_LENGTH,
        metadata=about("The secret that signs; it is never shown.", "whsec_..."),
    )
    payload = Text(
        load_default=PAYLOADS[0],
        validate=one_of(*PAYLOADS),
        metadata=about("`thin`: OpenAI's events; `full`: with counts.", "thin"),
    )


class Webhook(fields.Field[Any]):
    """The id of an endpoint of the project, or a BatchWebhook."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            return Text(max_length=ID_LENGTH).deserialize(value, attr, data, **kwargs)
        if isinstance(value, dict):
            return fields.Nested(BatchWebhook).deserialize(value, attr, data, **kwargs)
        raise ValidationError("must be the id of a webhook endpoint, or an object with url and secret.")
