"""What all operations of the API share: their names, the clock, and the fields of every response."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Response, g
from marshmallow import Schema

from app.api.context import gateway
from app.lib import json

P = ParamSpec("P")
R = TypeVar("R")

# How the names of operations that change something end: each of these is recorded in `events`.
WRITES = (
    *("_upload", "_create", "_update", "_delete", "_cancel", "_complete", "_part_add", "_retry"),
    *("_pause", "_resume", "_clone", "_secret_rotate", "_test", "_replay"),
)


def operation(request_type: str, *query: type[Schema]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Name the operation of a view (`file_list`, ... in the contract's table of routes).

    `query` are the schemas of its query, besides the parameters that all have.
    """
    parameters = frozenset(field.data_key or name for schema in query for name, field in schema().fields.items())

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def named(*args: P.args, **kwargs: P.kwargs) -> R:
            g.request_type = request_type
            return view(*args, **kwargs)

        named.request_type = request_type  # type: ignore[attr-defined]
        named.parameters = parameters  # type: ignore[attr-defined]
        named.query = query  # type: ignore[attr-defined]
        return named

    return decorate


def latency_ms() -> int:
    """Whole milliseconds since the request arrived."""
    return int((gateway().clock.monotonic() - g.started) * 1000)


def extra_fields(
    *,
    provider: str | None = None,
    model_requested: str | None = None,
    model_deployment: str | None = None,
    native_id: str | None = None,
    cache: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The contract's `extra_fields`; a field without a value is null."""
    return {
        "request_type": g.request_type,
        "provider": provider,
        "model_requested": model_requested,
        "model_deployment": model_deployment,
        "latency": latency_ms(),
        "chunk_index": 0,
        "native_id": native_id,
        "raw_request": None,
        "raw_response": None,
        "cache_debug": cache,
    }


def answer(
    body: dict[str, Any],
    *,
    provider: str | None = None,
    model_requested: str | None = None,
    model_deployment: str | None = None,
    native_id: str | None = None,
    cache: Mapping[str, Any] | None = None,
    status: int = 200,
) -> Response:
    """A JSON response of `body` and its `extra_fields`."""
    body["extra_fields"] = extra_fields(
        provider=provider,
        model_requested=model_requested,
        model_deployment=model_deployment,
        native_id=native_id,
        cache=cache,
    )
    if "id" in body:
        g.object_id = body["id"]
    return Response(json.dumps(body), status=status, mimetype="application/json")


def list_answer(data: list[dict[str, Any]], *, has_more: bool, provider: str | None = None, **more: Any) -> Response:
    """A page of a list; `more` are fields besides those of every list."""
    body = {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
        **more,
    }
    return answer(body, provider=provider)
