"""Bodies and pages as OpenAI's management calls have them."""

from typing import Any

import orjson
from werkzeug import Request

from tests.fakes.openai_app import Refusal
from tests.fakes.provider_app import Body


def json_of(request: Request) -> Body:
    """The object that a request carries."""
    try:
        found = orjson.loads(request.get_data())
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(found, dict):
        raise Refusal(400, "The body must be an object.")
    return found


def page(request: Request, objects: list[Body], *, paged: bool, default: int = 20, most: int = 100) -> Body:
    """A page of `objects` (oldest first) as the query asks; `paged=False` gives all of them and no cursor."""
    newest_first = objects[::-1]
    if not paged:
        return {"object": "list", "data": newest_first}
    ordered = objects if _order(request) == "asc" else newest_first
    after, limit = request.args.get("after"), _limit(request, default, most)
    ids = [found["id"] for found in ordered]
    if after is not None and after not in ids:
        raise Refusal(400, f"Invalid cursor: {after}", param="after")
    start = 0 if after is None else ids.index(after) + 1
    data = ordered[start : start + limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": start + limit < len(ordered),
    }


def _order(request: Request) -> str:
    order = request.args.get("order", "desc")
    if order not in ("asc", "desc"):
        raise Refusal(400, f"'{order}' is not one of ['asc', 'desc'] - 'order'", param="order")
    return order


def _limit(request: Request, default: int, most: int) -> int:
    text: Any = request.args.get("limit", str(default))
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Refusal(400, f"limit must be from 1 to {most}.", param="limit")
    return int(text)
