"""`storage_config` of an upload: where its bytes are to be kept."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.api.body import parse_object
from app.api.context import gateway
from app.errors import InvalidRequestError
from app.services.files.placement import PARAM, Place

API = "api"  # the bytes stay at the provider, and only there
# Stores of the operator's that a provider reads, and what begins the ids of files in them.
BUCKETS = {"s3": "s3://", "gcs": "gs://"}
FIELDS = ("bucket", "region", "project", "prefix")
BRACKETED = re.compile(rf"{PARAM}\[([^\]]*)\](?:\[([^\]]*)\])?")
FIELD_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """`is_kept`: whether in the gateway's own store; None when nothing is said of it. `place` is one in a bucket."""

    is_kept: bool | None = None
    place: Place | None = None


def stored(fields: Mapping[str, str]) -> Asked:
    """What `fields`, as JSON or bracketed, ask for. Raises InvalidRequestError for another store, or several."""
    named = _named(fields)
    have = gateway().blobs.backend
    unknown = set(named) - {have, API, *BUCKETS}
    if unknown:
        text = f"{PARAM}: the store {min(unknown)!r:.60} is not known; there are {have!r}, {API!r}, 's3' and 'gcs'."
        raise InvalidRequestError(text, param=PARAM)
    if len(named) > 1:
        raise InvalidRequestError(f"{PARAM}: name one store, not both {' and '.join(sorted(named))}.", param=PARAM)
    for kind, said in named.items():
        if kind in (have, API):
            return Asked(is_kept=kind == have)
        return Asked(is_kept=False, place=_place(kind, said))
    return Asked()


def where(native_id: str | None, home: str) -> tuple[str, str]:
    """(storage_backend, storage_uri) of bytes that only a provider, or the bucket that it reads, has."""
    for kind, start in BUCKETS.items():
        if native_id is not None and native_id.startswith(start):
            return kind, native_id
    return API, f"{API}://{home}/{native_id}"


def _named(fields: Mapping[str, str]) -> dict[str, Any]:
    """What is said of each store that is named."""
    named: dict[str, Any] = {}
    if PARAM in fields:
        try:
            named.update(parse_object(fields[PARAM].encode()))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{PARAM}: {error.message}", param=PARAM) from error
    for key, value in fields.items():
        match = BRACKETED.match(key)
        if match is not None:
            said = named.setdefault(match[1], {})
            if match[2] is not None and isinstance(said, dict):
                said[match[2]] = value
    return named


def _place(kind: str, said: Any) -> Place:
    if not isinstance(said, dict):
        raise InvalidRequestError(f'{PARAM}.{kind}: must be an object, such as {{"bucket": ...}}.', param=PARAM)
    found = {name: said[name] for name in FIELDS if said.get(name) is not None}
    for name, value in found.items():
        if not isinstance(value, str) or not value.isprintable() or len(value) > FIELD_LENGTH:
            param = f"{PARAM}.{kind}.{name}"
            raise InvalidRequestError(f"{param}: must be a text of printable characters.", param=param)
    # Some clients give the bucket as the address of a folder in it.
    bucket, slash, below = found.get("bucket", "").removeprefix(BUCKETS[kind]).partition("/")
    if slash:
        found = {"prefix": below, **found, "bucket": bucket}
    elif bucket:
        found["bucket"] = bucket
    return Place(kind, **found)
