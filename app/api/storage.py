"""`storage_config` of an upload: where its bytes are to be kept."""

from collections.abc import Mapping

from app.api.body import parse_object
from app.api.context import gateway
from app.errors import InvalidRequestError

PARAM = "storage_config"
API = "api"  # the bytes stay at the provider, and only there


def stored_here(fields: Mapping[str, str]) -> bool | None:
    """True when `fields`, as JSON or bracketed, name the gateway's own store, False for the provider's API alone.

    None when they say nothing of it. Raises InvalidRequestError for another store, or both.
    """
    named = {key[len(PARAM) + 1 :].partition("]")[0] for key in fields if key.startswith(f"{PARAM}[")}
    if PARAM in fields:
        try:
            named |= set(parse_object(fields[PARAM].encode()))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{PARAM}: {error.message}", param=PARAM) from error
    have = gateway().blobs.backend
    unknown = named - {have, API}
    if unknown:
        text = f"{PARAM}: the store {min(unknown)!r:.60} is not configured; this gateway has {have!r}, and {API!r}."
        raise InvalidRequestError(text, param=PARAM)
    if len(named) > 1:
        raise InvalidRequestError(f"{PARAM}: name one store, not both {have!r} and {API!r}.", param=PARAM)
    return have in named if named else None
