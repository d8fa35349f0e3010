"""What clients of Azure's dated API (`api-version=2024-10-21`) expect besides OpenAI's answers."""

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec
from urllib.parse import urlencode

from flask import Response, g, request

from app.api.context import gateway

P = ParamSpec("P")
VERSION = "api-version"
DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


def is_dated() -> bool:
    """True for a client of the dated API, where an upload is answered with 201; in the v1 API it is 200."""
    return DATED.match(request.args.get(VERSION, "")) is not None


def located(view: Callable[P, Response]) -> Callable[P, Response]:
    """Make the answer of a view that creates something say where that is, as the dated API does."""

    @wraps(view)
    def answered(*args: P.args, **kwargs: P.kwargs) -> Response:
        response = view(*args, **kwargs)
        if is_dated() and response.status_code < 300:
            query = urlencode({VERSION: request.args[VERSION]})
            made = f"{request.path.rstrip('/')}/{g.object_id}?{query}"
            response.headers["Location"] = f"{gateway().settings.public_url.rstrip('/')}{made}"
        return response

    answered.is_located = True  # type: ignore[attr-defined]
    return answered
