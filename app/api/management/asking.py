"""What the views of the management API share: who asks, and what was sent."""

from dataclasses import replace
from typing import Any

from flask import g, request
from marshmallow import Schema

from app.api.body import read_json
from app.api.operation import latency_ms
from app.errors import InvalidRequestError
from app.schemas.base import load
from app.services.gateway import Actor


def actor() -> Actor:
    """The admin who asks; set by the auth hook. Acts of theirs tell how long the request took."""
    found: Actor = g.actor
    return replace(found, latency_ms=latency_ms)


def query(schema: type[Schema]) -> dict[str, Any]:
    """The query of the request. Raises InvalidRequestError, also on what is unknown."""
    return load(schema, request.args)


def body(schema: type[Schema], *, required: bool = True) -> dict[str, Any]:
    """The JSON body of the request. Raises InvalidRequestError, also on what is unknown."""
    return load(schema, read_json(required=required))


def changes(schema: type[Schema]) -> dict[str, Any]:
    """As `body`; it must have a field at least."""
    found = body(schema)
    if not found:
        raise InvalidRequestError("Name at least one field to change.")
    return found


def seconds(instant: int | None) -> int | None:
    """Unix milliseconds as the whole seconds that answers have."""
    return None if instant is None else instant // 1000
