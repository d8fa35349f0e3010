"""The query of a request: no parameter is ignored, since it may mean something else than what would be done."""

from typing import Any

from flask import current_app, request
from marshmallow import Schema

from app.api.openai import vendors
from app.errors import InvalidRequestError
from app.schemas.base import load

EVERYWHERE = frozenset({"provider", "x-model-provider", "api-version"})


def check() -> None:
    """Raises InvalidRequestError for a parameter that the route does not know, or that has two values."""
    if not request.query_string:
        return
    view = current_app.view_functions.get(request.endpoint or "")
    known: frozenset[str] = getattr(view, "parameters", frozenset())
    for name, values in request.args.lists():
        if name not in known and name not in EVERYWHERE:
            raise InvalidRequestError(_unknown(name, known), param=name[:60])
        if len({value for value in values if value.strip()}) > 1:
            raise InvalidRequestError(f"{name:.60}: it is given twice; send it once.", param=name[:60])


def given() -> dict[str, str]:
    """The parameters of the route. An empty value counts as absent."""
    values = {name: next((value for value in values if value.strip()), "") for name, values in request.args.lists()}
    return {name: value for name, value in values.items() if value and name not in EVERYWHERE}


def read(schema: type[Schema]) -> dict[str, Any]:
    """The parameters as loaded by `schema`. Raises InvalidRequestError."""
    return load(schema, given())


def _unknown(name: str, known: frozenset[str]) -> str:
    vendor = vendors.of_parameter(name)
    listed = f"the known parameters are {', '.join(sorted(known | {'provider'}))}."
    if vendor is None:
        return f"{name:.60}: it is not known here; {listed}"
    return f"{name}: this is how {vendor} API is called, but {request.path:.100} is OpenAI's; {listed}"
