"""Schemas of requests and answers as JSON Schema, the dialect of OpenAPI 3.1."""

from typing import Any

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields, missing, validate

from app.schemas.base import Instant as ExactInstant
from app.schemas.base import Text
from app.schemas.management import MAX_DOLLARS, MAX_INSTANT_S, Dollars, Instant, Percent, Rate
from app.schemas.webhooks import ID_LENGTH, Webhook
from app.services.money.price_import import MAX_DOLLARS as MAX_RATE
from app.services.money.price_import import MAX_PERCENT

VENDORS = ("Anthropic",)
UNIX_SECONDS = {"type": "integer", "minimum": 0, "maximum": MAX_INSTANT_S, "description": "Unix seconds."}
TIME = {"type": "string", "format": "date-time", "description": "A time with its zone."}
# What fields of ours accept that JSON has no type for.
ALTERNATIVES: dict[type[fields.Field[Any]], list[dict[str, Any]]] = {
    ExactInstant: [UNIX_SECONDS, TIME],
    Webhook: [
        {"type": "string", "minLength": 1, "maxLength": ID_LENGTH},
        {"$ref": "#/components/schemas/BatchWebhook"},
    ],
    Instant: [UNIX_SECONDS, {"type": "string", "format": "date", "description": "A date: midnight UTC."}, TIME],
    Dollars: [
        {"type": "number", "minimum": 0, "maximum": MAX_DOLLARS},
        {"type": "string", "pattern": r"^[0-9]{1,7}(\.[0-9]{1,12})?$"},
    ],
    Rate: [
        {"type": "number", "minimum": 0, "maximum": MAX_RATE},
        {"type": "string", "pattern": r"^[0-9]{1,7}(\.[0-9]{1,6})?$"},
    ],
    Percent: [{"type": "integer", "minimum": 0, "maximum": MAX_PERCENT}],
}


def prepare(converter: OpenAPIConverter) -> None:
    """Teach `converter` our fields."""
    for function in (_text, _object, _alternatives, _default):
        converter.add_attribute_function(function)  # type: ignore[no-untyped-call]


def name_of(schema: Any) -> str:
    """The name of a schema among the document's components, which no other may have: that of its class.

    Those of another vendor's face, which has objects of the same names, begin with the vendor's.
    """
    found = schema if isinstance(schema, type) else type(schema)
    vendor = found.__module__.rpartition(".")[2].capitalize()
    return f"{vendor}{found.__name__}" if vendor in VENDORS else str(found.__name__)


def properties(converter: OpenAPIConverter, schema: type[Schema]) -> dict[str, dict[str, Any]]:
    """The JSON Schema of each field, by its name on the wire."""
    return {field.data_key or name: converter.field2property(field) for name, field in schema().fields.items()}


def required(schema: type[Schema]) -> list[str]:
    """The names of fields that must be there."""
    return sorted(field.data_key or name for name, field in schema().fields.items() if field.required)


def _text(_: Any, field: fields.Field[Any], *, ret: dict[str, Any]) -> dict[str, Any]:
    return {"pattern": field.pattern} if isinstance(field, Text) and "enum" not in ret else {}


def _object(_: Any, field: fields.Field[Any], *, ret: dict[str, Any]) -> dict[str, Any]:
    """The size of an object is a number of properties; apispec takes it for the length of a text."""
    if not isinstance(field, fields.Dict):
        return {}
    names = (("minProperties", "minLength"), ("maxProperties", "maxLength"))
    found: dict[str, Any] = {right: ret.pop(wrong) for right, wrong in names if wrong in ret}
    if isinstance(field.key_field, Text):
        [length] = [check for check in field.key_field.validators if isinstance(check, validate.Length)]
        found["propertyNames"] = {
            "minLength": length.min,
            "maxLength": length.max,
            "pattern": field.key_field.pattern,
        }
    return found


def _alternatives(_: Any, field: fields.Field[Any], *, ret: dict[str, Any]) -> dict[str, Any]:
    found = ALTERNATIVES.get(type(field))
    if found is None:
        return {}
    ret.pop("type", None)
    return {"anyOf": [*found, {"type": "null"}] if field.allow_none else found}


def _default(_: Any, field: fields.Field[Any], *, ret: dict[str, Any]) -> dict[str, Any]:
    """Leave out null as a default: it stands for a field that is missing."""
    if field.load_default is None or field.load_default is missing:
        ret.pop("default", None)
    return {}
