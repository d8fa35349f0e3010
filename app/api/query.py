"""The query of a request: no parameter is ignored, since it may mean something else than what would be done."""

from collections.abc import Callable
from typing import Any

from flask import current_app, request
from marshmallow import Schema

from app.errors import InvalidRequestError
from app.schemas.base import load

EVERYWHERE = frozenset({"provider", "x-model-provider", "api-version"})


def check(explain: Callable[[str], str | None] = lambda name: None) -> None:
    """Raises InvalidRequestError for a parameter that the route does not know, or that has two values.

    `explain` says what an unknown one means, if that is known: a part of the message.
    """
    if not request.query_string:
        return
    view = current_app.view_functions.get(request.endpoint or "")
    known: frozenset[str] = getattr(view, "parameters", frozenset())
    for name, values in request.args.lists():
        if name not in known and name not in EVERYWHERE:
            listed = f"the known parameters are {', '.join(sorted(known | {'provider'}))}."
            meaning = explain(name) or "it is not known here"
            raise InvalidRequestError(f"{name:.60}: {meaning}; {listed}", param=name[:60])
        if not name.endswith("[]") and len({value for value in values if value.strip()}) > 1:
            raise InvalidRequestError(f"{name:.60}: it is given twice; send it once.", param=name[:60])


def given() -> dict[str, str]:
    """The parameters of the route. An empty value counts as absent."""
    values = {name: next((value for value in values if value.strip()), "") for name, values in request.args.lists()}
    return {name: value for name, value in values.items() if value and name not in EVERYWHERE}


def read(schema: type[Schema]) -> dict[str, Any]:
    """The parameters as loaded by `schema`. Raises InvalidRequestError."""
    return load(schema, given())
