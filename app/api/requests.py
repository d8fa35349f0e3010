"""What surrounds every request: its id, its clock, its log line, its row in `events`."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import SQLAlchemyError

from app.api.context import gateway, of_request
from app.api.idempotency import REPLAYED_HEADER
from app.api.operation import WRITES
from app.errors import RateLimitedError
from app.lib import ids
from app.lib.metrics import declared
from app.lib.traces.spans import ROOT, SERVER, Span
from app.services import store_errors
from app.services.events import record
from app.services.events.refusals import Refusals
from app.services.gateway import Actor, Caller, Gateway

# What clients and supervisors ask again and again; in the log only if it fails, or at level debug.
POLLS = frozenset({"healthz", "readyz", "metrics", "key_check", "batch_retrieve", "batch_list", "ui_live", "ui_static"})
MAX_REASON = 500
REFUSALS = "batchgate_refusals"
DEPLOYMENTS = "/openai/deployments/"
BELOW_DEPLOYMENT = re.compile(r"/openai/deployments/[^/]+(/(?:batches|containers|files|models|uploads)(?:/.*)?)")
MAKES_BATCH = "batch_create"


class Application(Flask):
    """Flask, for the paths of all clients, and without asking of each function whether it is a coroutine: none is."""

    def wsgi_app(self, environ: Any, start_response: Any) -> Any:
        """Answer a request. Azure's SDK puts a deployment into the paths of all its calls; objects belong to none."""
        path = environ["PATH_INFO"]
        if path.startswith(DEPLOYMENTS) and (below := BELOW_DEPLOYMENT.fullmatch(path)):
            environ["PATH_INFO"] = f"/openai{below[1]}"
        return super().wsgi_app(environ, start_response)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return func


def register(app: Flask) -> None:
    """Register the hooks of `app`."""
    app.extensions[REFUSALS] = Refusals()
    app.before_request(_begin)
    app.after_request(_end)


def has_body() -> bool:
    """True if the request announces a body, which may be on its way yet."""
    return request.content_length not in (None, 0) or "Transfer-Encoding" in request.headers


def _begin() -> None:
    known = of_request()
    known.started = gateway().clock.monotonic()
    known.request_id = ids.new(ids.REQUEST)


def _end(response: Response) -> Response:
    known = of_request()
    response.headers["x-request-id"] = known.request_id
    operation = known.get("request_type") or request.endpoint or "unknown"
    caller, actor = known.get("caller"), known.get("actor")
    if not (caller or actor) and has_body():
        # Nobody waits for the body of a stranger, so the connection cannot carry another request.
        response.headers["Connection"] = "close"
    error = known.get("error")
    served = gateway()
    elapsed_s = served.clock.monotonic() - known.started
    elapsed_ms = int(elapsed_s * 1000)
    _measure(served, operation, response, elapsed_s)
    log = served.log
    (log.debug if error is None and operation in POLLS else log.info)(
        operation,
        request_id=known.request_id,
        method=request.method,
        path=request.path,
        status=response.status_code,
        ms=elapsed_ms,
        project=caller.project if caller else None,
        actor=actor.name if actor else caller.name if caller else None,
        object=known.get("object_id"),
        code=error.code if error else None,
        reason=error.message[:MAX_REASON] if error else None,
    )
    # What an admin does is recorded in the transaction that does it; of many refusals in a row only the first is news.
    if isinstance(error, RateLimitedError) and not error.is_news:
        return response
    # An answer that is given again wrote nothing.
    is_write = operation.endswith(WRITES) and REPLAYED_HEADER not in response.headers
    if caller and (error is not None or is_write):
        _record(caller, operation, response.status_code, elapsed_ms)
    elif actor and error is not None:
        _record(actor, operation, response.status_code, elapsed_ms)
    return response


def _measure(served: Gateway, operation: str, response: Response, elapsed_s: float) -> None:
    served.metrics.count(declared.REQUESTS, operation, str(response.status_code))
    served.metrics.observe(declared.REQUEST_SECONDS, elapsed_s, operation)
    if not served.traces.is_on or operation != MAKES_BATCH:
        return
    if response.status_code == HTTPStatus.OK and REPLAYED_HEADER not in response.headers:
        _trace(served, elapsed_s)


def _trace(served: Gateway, elapsed_s: float) -> None:
    """The first span of a batch's trace, with a link to the one that the caller may have."""
    made = ids.canonical(str(g.get("object_id") or ""))
    attributes = {"http.request.method": request.method, "http.route": str(request.url_rule)}
    linked = request.headers.get("traceparent", "")
    span = Span(made, MAKES_BATCH, elapsed_s, own=ROOT, kind=SERVER, attributes=attributes, linked=linked)
    served.traces.add(span)


def _record(caller: Caller | Actor, operation: str, status: int, elapsed_ms: int) -> None:
    error = g.get("error")
    detail: dict[str, Any] | None = None
    if error is not None:
        refusals: Refusals = current_app.extensions[REFUSALS]
        unrecorded = refusals.take(f"{caller.key_id} {caller.name}", now=gateway().clock.monotonic())
        if unrecorded is None:
            return
        detail = {"code": error.code, "param": error.param, "message": error.message}
        if unrecorded:
            detail["unrecorded"] = unrecorded
    try:
        record.record(
            gateway(),
            caller=caller,
            operation=operation,
            object_id=_recordable(g.get("object_id")),
            outcome="done" if error is None else "refused" if status < 500 else "failed",
            status_code=status,
            latency_ms=elapsed_ms,
            detail=detail,
        )
    except SQLAlchemyError as failure:
        # The operation is committed, so its response must not turn into a failure.
        gateway().log.error(
            "event.not_recorded", operation=operation, request_id=g.request_id, reason=store_errors.reason(failure)
        )


def _recordable(object_id: str | None) -> str | None:
    """The id if the gateway can have issued it: a path may contain anything."""
    if object_id is None or len(object_id) > ids.MAX_LENGTH:
        return None
    return object_id if object_id.isascii() and object_id.isprintable() else None
