"""Answers on Anthropic's face: JSON objects without an envelope, and pages of lists in both directions."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from flask import Response

from app.errors import InvalidRequestError
from app.lib import json

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Page(Protocol[T_co]):
    """A page of a list of the services."""

    @property
    def items(self) -> Sequence[T_co]: ...

    @property
    def has_more(self) -> bool: ...


def answer(body: dict[str, Any], **headers: str) -> Response:
    """A JSON response."""
    return Response(json.dumps(body), mimetype="application/json", headers=headers)


def page(
    fields: dict[str, Any],
    read: Callable[[str | None, bool, int], Page[T]],
    *,
    write: Callable[[T], dict[str, Any]],
    cursor: Callable[[T], str] | None = None,
) -> Response:
    """A page after `after_id`, or before `before_id`, newest first.

    `read` gets the id that it goes on from, whether to go on to older objects, and how many. `cursor` makes the
    `next_page` of lists that have one, from the last object. Raises InvalidRequestError.
    """
    after, before = fields["after_id"], fields["before_id"]
    if after is not None and before is not None:
        raise InvalidRequestError("before_id: send either after_id or before_id.", param="before_id")
    start = after if before is None else before
    found = read(start, before is None, fields["limit"])
    items = list(found.items) if before is None else list(reversed(found.items))
    data = [write(item) for item in items]
    body: dict[str, Any] = {
        "data": data,
        "has_more": found.has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
    if cursor is not None:
        body["next_page"] = cursor(items[-1]) if items and found.has_more and before is None else None
    return answer(body)
