"""Ids in paths: those of providers may have slashes (`s3://bucket/key`, `files/abc`), percent-encoded or not."""

from flask import Flask
from werkzeug.routing import Map, PathConverter, ValidationError

OBJECT = "object"


class ObjectId(PathConverter):
    """An id that does not end with one of `words`: those are routes below it, under other methods, too."""

    def __init__(self, map: Map, *words: str) -> None:  # noqa: A002 - werkzeug's own name
        super().__init__(map)
        self._endings = tuple(f"/{word}" for word in words)

    def to_python(self, value: str) -> str:
        """The id as it was sent. Raises ValidationError."""
        if value.endswith(self._endings):
            raise ValidationError
        return value


def register(app: Flask) -> None:
    """Make `<object:...>` known, and take ids with two slashes in a row as they are."""
    app.url_map.merge_slashes = False
    app.url_map.converters[OBJECT] = ObjectId
