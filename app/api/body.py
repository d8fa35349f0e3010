"""JSON bodies: bounded, strict, and forgiving only where real clients need it."""

from typing import Any

from flask import request

from app.api.context import gateway
from app.errors import InvalidRequestError, PayloadTooLargeError
from app.lib import json


def read_json(*, required: bool = True) -> dict[str, Any]:
    """The request body as an object.

    An empty body is `{}` unless `required`: SDKs send `content-type: application/json` with nothing in it.
    Raises InvalidRequestError or PayloadTooLargeError.
    """
    limit = gateway().settings.max_json_bytes
    if (request.content_length or 0) > limit:
        raise PayloadTooLargeError(f"The JSON body must be at most {limit} bytes.")
    data = request.stream.read(limit + 1)
    if len(data) > limit:
        raise PayloadTooLargeError(f"The JSON body must be at most {limit} bytes.")
    if not data.strip() and not required:
        return {}
    return parse_object(data)


def parse_object(data: bytes) -> dict[str, Any]:
    """`data` as a JSON object. Raises InvalidRequestError that tells where it breaks."""
    if not data.strip():
        raise InvalidRequestError("The request needs a JSON object as its body; it is empty.")
    try:
        value = json.loads(data)
    except ValueError as error:
        raise InvalidRequestError(f"The body is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidRequestError(f"The body must be a JSON object, not {type(value).__name__}.")
    return value
