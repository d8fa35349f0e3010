"""Request bodies: complete or rejected. JSON is bounded and strict, lenient only where real clients need it."""

from typing import Any

from flask import Request, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected

from app.api.context import gateway
from app.errors import InvalidRequestError, PayloadTooLargeError, RequestTimeoutError
from app.lib import json


class Body:
    """The bytes of the request's body: all that it announced, or an error.

    Servers report a truncated body in ways of their own, and gunicorn does not report it at all.
    """

    def __init__(self, request: Request) -> None:
        self._connection = request.environ.get("gunicorn.socket")
        self._stream = request.stream
        self._left = request.content_length  # None when it is chunked, which marks its own end

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, none at the end.

        Raises InvalidRequestError when the body is truncated, RequestTimeoutError when it comes too slowly.
        """
        try:
            data = self._stream.read(size)
        except (ClientDisconnected, OSError, ParseException) as error:
            self._check_pace()
            raise InvalidRequestError("The body was truncated; send the whole body again.") from error
        if self._left is not None:
            self._left -= len(data)
            if not data and size and self._left > 0:
                self._check_pace()
                text = f"The body is {self._left} bytes shorter than its Content-Length; send the whole body again."
                raise InvalidRequestError(text)
        return data

    def _check_pace(self) -> None:
        if getattr(self._connection, "timed_out", False):
            raise RequestTimeoutError("The body stopped, or came too slowly; send the whole body again.")


def read_json(*, required: bool = True) -> dict[str, Any]:
    """The request body as a JSON object.

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
    """`data` as a JSON object. Raises InvalidRequestError that says where it is invalid."""
    if not data.strip():
        raise InvalidRequestError("The body is empty; it must be a JSON object.")
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
