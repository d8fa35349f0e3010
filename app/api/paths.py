"""Ids in paths: a provider's may contain slashes (`s3://bucket/key`, `files/abc`), percent-encoded or not."""

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, MapAdapter, PathConverter, RequestRedirect, UnicodeConverter, ValidationError

OBJECT = "object"
NAME = "name"
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class ObjectId(PathConverter):
    """An id that does not end with `/` and one of `words`: those are routes below it, whatever their methods."""

    def __init__(self, map: Map, *words: str) -> None:  # noqa: A002 - werkzeug's name
        super().__init__(map)
        self._endings = tuple(f"/{word}" for word in words)

    def to_python(self, value: str) -> str:
        """The id as it was sent. Raises ValidationError for a route below it."""
        if value.endswith(self._endings):
            raise ValidationError
        return value


class Name(UnicodeConverter):
    """An id or name that is none of `words`: those are routes of their own, whatever their methods."""

    def __init__(self, map: Map, *words: str) -> None:  # noqa: A002 - werkzeug's name
        super().__init__(map)
        self._words = words

    def to_python(self, value: str) -> str:
        """The name as it was sent. Raises ValidationError for one of the words."""
        if value in self._words:
            raise ValidationError
        return value


def register(app: Flask) -> None:
    """Register `<object:...>` and `<name:...>`, and leave two slashes in a row in an id as they are."""
    app.url_map.merge_slashes = False
    app.url_map.converters[OBJECT] = ObjectId
    app.url_map.converters[NAME] = Name
    app.after_request(_correct_allow)


def methods() -> list[str]:
    """The methods that work for the path of the request.

    Werkzeug's own answer counts routes whose converter refuses the path.
    """
    adapter = current_app.create_url_adapter(request)
    found = [method for method in METHODS if adapter is not None and _matches(adapter, method)]
    return sorted([*found, "OPTIONS"]) if found else []


def _matches(adapter: MapAdapter, method: str) -> bool:
    try:
        adapter.match(method=method)
    except (HTTPException, RequestRedirect):
        return False
    return True


def _correct_allow(response: Response) -> Response:
    if request.method == "OPTIONS" and "Allow" in response.headers:
        response.headers["Allow"] = ", ".join(methods())
    return response
