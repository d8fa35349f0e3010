"""What is said of an operation that its view does not say itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema

JSON = "application/json"
MULTIPART = "multipart/form-data"
BYTES = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}


@dataclass(frozen=True, slots=True)
class Body:
    """A body of a request: the schema of its JSON or form fields, `more` properties besides, and named examples."""

    schema: type[Schema]
    media_type: str = JSON
    is_required: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()  # of `more`, what is required
    examples: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Described:
    """An operation as readers of the API's description see it.

    `refused` are the 4xx that it may answer to a request that fits the description, besides those that all have: 401,
    403, 429, and 404 where the path names an object. `failing` are statuses with a schema of their own,
    `headers` what a successful answer may have besides x-request-id.
    `media` are other types of a successful answer than the JSON of `answer`, each with its schema. `is_content`: the
    answer is the bytes of a file, with ranges and conditional requests. `may_be_unchanged`: the answer has an ETag.
    `stores_bytes`: the disk may be full. `is_created_at_azure`: clients of Azure's dated API get 201.
    `has_own_token`: it is opened by a token, not by a key.
    `is_empty`: the answer is 204.
    """

    tag: str
    answer: type[Schema] | None = None
    bodies: tuple[Body, ...] = ()
    refused: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    failing: Mapping[int, type[Schema]] = field(default_factory=dict)
    media: Mapping[str, Any] = field(default_factory=dict)
    is_content: bool = False
    may_be_unchanged: bool = False
    stores_bytes: bool = False
    has_own_token: bool = False
    is_empty: bool = False
    is_created_at_azure: bool = False
