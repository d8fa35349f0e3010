"""Ids in paths: a provider's may contain slashes (`s3://bucket/key`, `files/abc`), percent-encoded or not."""

from flask import Flask
from werkzeug.routing import Map, PathConverter, ValidationError

OBJECT = "object"


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


def register(app: Flask) -> None:
    """Register `<object:...>`, and leave two slashes in a row in an id as they are."""
    app.url_map.merge_slashes = False
    app.url_map.converters[OBJECT] = ObjectId
