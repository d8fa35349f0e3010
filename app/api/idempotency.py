"""Idempotency-Key for views that make something.

    @blueprint.post("/things")
    @operation("thing_create")
    @idempotent
    def create() -> Response:
        body = read_json()
        identify(body)  # before anything is made; of a multipart body, its fields and the file's sha256
        return _answer(things.create(gateway(), caller(), NewThing(...), settle=settling(_answer)))

`identify` ends the view when the key is known: with the stored answer for the same request, with a 409 for another. The
service calls `settle(connection, thing)` last in the transaction that makes the thing, so that the thing and the stored
answer come into being together, or neither does.
"""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Response, g, request
from sqlalchemy import Connection

from app.api.context import caller, gateway
from app.errors import InvalidRequestError
from app.lib import json
from app.services import idempotency
from app.services.idempotency import Reservation, Settle, StoredAnswer

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"

P = ParamSpec("P")
T = TypeVar("T")


class Replay(Exception):  # noqa: N818 - not an error: it unwinds the view
    """The request was answered before; unwinds the view and whatever it has begun to write."""

    def __init__(self, stored: StoredAnswer) -> None:
        super().__init__("answered before")
        self.stored = stored


class _Attempt:
    """A request with a key: what the key is for it, and its own answer once it is stored."""

    def __init__(self, key: Reservation | StoredAnswer) -> None:
        self.key = key
        self.body_sha256: str | None = None
        self.response: Response | None = None

    def store(self, connection: Connection, response: Response) -> None:
        """Store `response` in the transaction of `connection`."""
        if self.body_sha256 is None or isinstance(self.key, StoredAnswer):
            raise RuntimeError("a view with Idempotency-Key must call identify() before it makes anything")
        idempotency.complete(
            connection,
            self.key,
            body_sha256=self.body_sha256,
            status_code=response.status_code,
            body=json.loads(response.get_data()),
        )
        self.response = response

    def free(self) -> None:
        """Free the key, unless another request has it or it has its answer."""
        if isinstance(self.key, Reservation):
            idempotency.free(gateway(), self.key)


def idempotent(view: Callable[P, Response]) -> Callable[P, Response]:
    """Make the view honour Idempotency-Key; without the header nothing changes. Goes below `@operation`."""

    @wraps(view)
    def once(*args: P.args, **kwargs: P.kwargs) -> Response:
        key = _key()
        if key is None:
            return view(*args, **kwargs)
        attempt = _begin(key)
        try:
            response = view(*args, **kwargs)
        except Replay as replay:
            return _replayed(replay.stored)
        except BaseException:
            attempt.free()
            raise
        if attempt.response is not None:
            return attempt.response
        attempt.free()
        if response.status_code < 400:
            raise RuntimeError("a view with Idempotency-Key must pass settling() to what makes its object")
        return response

    once.is_idempotent = True  # type: ignore[attr-defined]
    return once


def identify(content: Any) -> None:
    """Identify the request by `content`: its JSON body, or a multipart body's fields and the file's sha256.

    The path and a provider named outside of the body count, too. Raises Replay when the same request was answered
    before, ConflictError when another one with the key was. Without the header it does nothing.
    """
    attempt = g.get("idempotency")
    if attempt is None:
        return
    named = [
        request.args.get("provider"),
        request.args.get("x-model-provider"),
        request.headers.get("x-model-provider"),
    ]
    attempt.body_sha256 = hashlib.sha256(json.dumps([request.view_args, named, content])).hexdigest()
    if isinstance(attempt.key, StoredAnswer):
        idempotency.compare(attempt.key, attempt.body_sha256)
        raise Replay(attempt.key)


def settling(render: Callable[[T], Response]) -> Settle[T]:
    """The `settle` argument of a service: stores what `render` answers for the new object under the key, if any."""
    attempt = g.get("idempotency")

    def settle(connection: Connection, made: T) -> None:
        if attempt is not None:
            attempt.store(connection, render(made))

    return settle


def _key() -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= idempotency.MAX_KEY_LENGTH or any(ord(char) < 32 or ord(char) == 127 for char in key):
        raise InvalidRequestError(
            f"{HEADER} must have 1 to {idempotency.MAX_KEY_LENGTH} characters and no control characters.", param=HEADER
        )
    return key


def _begin(key: str) -> _Attempt:
    settings = gateway().settings
    # A long body may take its time; a short request that takes longer than this has died.
    is_short = request.content_length is not None and request.content_length <= settings.max_json_bytes
    lease_s = settings.lease_s if is_short else settings.upload_lease_s
    attempt = _Attempt(idempotency.begin(gateway(), caller(), route=g.request_type, key=key, lease_s=lease_s))
    g.idempotency = attempt
    return attempt


def _replayed(stored: StoredAnswer) -> Response:
    g.object_id = stored.body.get("id")
    response = Response(json.dumps(stored.body), status=stored.status_code, mimetype="application/json")
    response.headers[REPLAYED_HEADER] = "true"
    return response
