"""Request bodies: whole or refused; JSON bounded, strict, and forgiving only where real clients need it."""

from typing import Any

from flask import Request, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected

from app.api.context import gateway
from app.errors import InvalidRequestError, PayloadTooLargeError
from app.lib import json


class Body:
    """The bytes of the request's body: all that it announced, or a refusal of what came.

    Servers tell of a body that breaks off in ways of their own, and gunicorn's is not to tell.
    """

    def __init__(self, request: Request) -> None:
        self._stream = request.stream
        self._left = request.content_length  # None when it comes in chunks, which have an end of their own

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, none at the end. Raises InvalidRequestError when the body is not whole."""
        try:
            data = self._stream.read(size)
        except (ClientDisconnected, OSError, ParseException) as error:
            raise InvalidRequestError("The body broke off on its way here; send it again, whole.") from error
        if self._left is not None:
            self._left -= len(data)
            if not data and size and self._left > 0:
                text = f"The body ends {self._left} bytes before its Content-Length does; send it again, whole."
                raise InvalidRequestError(text)
        return data


def read_json(*, required: bool = True) -> dict[str, Any]:
    """The request body as an object.

    An empty body is `{}` unless `required`: SDKs send `content-type: application/json` with nothing in it.
    Raises InvalidRequestError or PayloadTooLargeError.
    """
    limit = gateway().settings.max_json_bytes
    if (request.content_length or 0) > limit:
        raise PayloadTooLargeError(f"The JSON body must be at most {limit} bytes.")
    data = _read(limit + 1)
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


def _read(limit: int) -> bytes:
    body, data = Body(request), bytearray()
    while len(data) < limit and (piece := body.read(limit - len(data))):
        data += piece
    return bytes(data)
