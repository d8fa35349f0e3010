"""Reads requests to the management API: the admin, the query and the body."""

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
    """Returns the admin who sent the request, as set by the auth hook. Events record the time that the request took."""
    admin: Actor = g.actor
    return replace(admin, latency_ms=latency_ms)


def query(schema: type[Schema]) -> dict[str, Any]:
    """Returns the query of the request. Raises InvalidRequestError, also for unknown parameters."""
    return load(schema, request.args)


def body(schema: type[Schema], *, required: bool = True) -> dict[str, Any]:
    """Returns the JSON body of the request. Raises InvalidRequestError, also for unknown fields."""
    return load(schema, read_json(required=required))


def changes(schema: type[Schema]) -> dict[str, Any]:
    """Returns the JSON body of the request, which must have at least one field. Raises InvalidRequestError."""
    fields = body(schema)
    if not fields:
        raise InvalidRequestError("Name at least one field to change.")
    return fields


def seconds(instant: int | None) -> int | None:
    """Converts Unix milliseconds to the whole seconds that responses contain."""
    return None if instant is None else instant // 1000
