"""`storage_config` of an upload: where its bytes are to be kept."""

from collections.abc import Mapping

from app.api.body import parse_object
from app.api.context import gateway
from app.errors import InvalidRequestError

PARAM = "storage_config"


def check_storage_config(fields: Mapping[str, str]) -> None:
    """Raises InvalidRequestError unless the store that `fields` name, as JSON or bracketed, is the gateway's own."""
    named = {key[len(PARAM) + 1 :].partition("]")[0] for key in fields if key.startswith(f"{PARAM}[")}
    if PARAM in fields:
        try:
            named |= set(parse_object(fields[PARAM].encode()))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{PARAM}: {error.message}", param=PARAM) from error
    unknown = named - {gateway().blobs.backend}
    if unknown:
        have = gateway().blobs.backend
        text = f"{PARAM}: the store {min(unknown)!r:.60} is not configured; this gateway has {have!r}."
        raise InvalidRequestError(text, param=PARAM)
