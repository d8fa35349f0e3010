"""Turns every failure into the face's error envelope, and keeps its details inside."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from app.api import paths
from app.api.context import gateway
from app.api.openai import vendors
from app.data.store.database import is_full, is_outage
from app.errors import (
    GatewayError,
    InternalError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    RangeNotSatisfiableError,
    StorageFullError,
    UnavailableError,
    envelope,
)
from app.lib import json
from app.services import store_errors

# SDKs retry these by themselves. A twin in flight is worth a retry, and carries Retry-After; a full disk stays full.
NEVER_RETRIED = (409, 507)
FAILED = "The gateway failed; the operator can find the details in its log, by the event id."


# How a face writes an error: (status, body, headers).
Written = tuple[int, dict[str, Any], dict[str, str]]
WRITERS = "batchgate_error_writers"


def speak(app: Flask, prefix: str, write: Callable[[GatewayError, str], Written]) -> None:
    """Let `write` write the errors of all paths below `prefix`, from the error and the id of the request."""
    app.extensions.setdefault(WRITERS, {})[f"{prefix}/"] = write


def register(app: Flask) -> None:
    """Attach the handlers to `app`."""
    app.register_error_handler(GatewayError, _envelope)
    app.register_error_handler(HTTPException, lambda error: _envelope(_of_http(error)))
    app.register_error_handler(Exception, lambda error: _envelope(_of_failure(error)))


def explained(error: Exception) -> GatewayError:
    """What the caller is told of any exception; the log gets what nobody expected."""
    if isinstance(error, GatewayError):
        return error
    return _of_http(error) if isinstance(error, HTTPException) else _of_failure(error)


def _envelope(error: GatewayError) -> Response:
    writers = current_app.extensions.get(WRITERS, {})
    write = next((write for prefix, write in writers.items() if request.path.startswith(prefix)), _written)
    status, body, headers = write(error, g.request_id)
    response = Response(json.dumps(body), status=status, mimetype="application/json", headers=headers)
    g.error = error
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    elif status in NEVER_RETRIED:
        response.headers["x-should-retry"] = "false"
    if isinstance(error, RangeNotSatisfiableError):
        response.headers["Content-Range"] = f"bytes */{error.size_bytes}"
    if isinstance(error, MethodNotAllowedError):
        response.headers["Allow"] = ", ".join(sorted(getattr(error, "allowed", ())))
    if request.method != "HEAD" and request.content_length is None and "Transfer-Encoding" not in request.headers:
        return response
    # The rest of a rejected body is never read, so the connection cannot carry another request.
    response.headers["Connection"] = "close"
    return response


def _written(error: GatewayError, event_id: str) -> Written:
    """As OpenAI's face writes it."""
    extra = {
        "provider": error.provider,
        "model_requested": None,
        "request_type": g.get("request_type", "unknown"),
    }
    return error.status, envelope(error, event_id=event_id, extra_fields=extra), {}


def _of_http(error: HTTPException) -> GatewayError:
    if isinstance(error, NotFound):
        return _nothing_there()
    if isinstance(error, MethodNotAllowed):
        allowed = paths.methods()
        if not allowed:
            return _nothing_there()
        text = f"{request.method} is not allowed for {request.path:.200}; {', '.join(allowed)} are."
        not_allowed = MethodNotAllowedError(text)
        not_allowed.allowed = allowed  # type: ignore[attr-defined]
        return not_allowed
    if isinstance(error, RequestEntityTooLarge):
        return PayloadTooLargeError("The request body is too large.")
    if (error.code or 500) < 500:
        return InvalidRequestError(error.description or "The request is not valid.")
    return InternalError(FAILED)


def _nothing_there() -> NotFoundError:
    text = f"There is no {request.method} {request.path:.200}. {vendors.hint(request.path)}"
    return NotFoundError(text.rstrip())


def _of_failure(error: Exception) -> GatewayError:
    # The last resort: the log gets the error in full, the caller an event id.
    if is_full(error):
        gateway().log.error("request.database_full", request_id=g.request_id, reason=str(error.__cause__ or error))
        return StorageFullError("The gateway's database has no disk space left; nothing was changed.")
    if isinstance(error, PoolTimeoutError) or (isinstance(error, DBAPIError) and is_outage(error)):
        gateway().log.error(
            "request.database_unavailable", request_id=g.request_id, reason=str(error.__cause__ or error)
        )
        return UnavailableError("The gateway's database is not available; try again.", retry_after_s=2)
    if store_errors.passes(error):  # what a service did not expect of the blob store
        gateway().log.error("request.store_unavailable", request_id=g.request_id, reason=str(error))
        return UnavailableError("The gateway's store is not available; try again.", retry_after_s=5)
    gateway().log.error("request.failed", request_id=g.request_id, exc_info=error)
    return InternalError(FAILED)
