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
# An operator's stores that a provider reads from, and how the ids of files in them begin.
BUCKETS = {"s3": "s3://", "gcs": "gs://"}
FIELDS = ("bucket", "region", "project", "prefix")
BRACKETED = re.compile(rf"{PARAM}\[([^\]]*)\](?:\[([^\]]*)\])?")
MAX_FIELD_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class StorageChoice:
    """`is_kept`: whether the gateway's own store keeps the bytes, None if unsaid. `place` is one in a bucket."""

    is_kept: bool | None = None
    place: Place | None = None


def storage_choice(fields: Mapping[str, str]) -> StorageChoice:
    """The `storage_config` in `fields`, as JSON or bracketed. Raises InvalidRequestError when it is not one store."""
    stores = _stores(fields)
    backend = gateway().blobs.backend
    unknown = set(stores) - {backend, API, *BUCKETS}
    if unknown:
        known = ", ".join(map(repr, dict.fromkeys((backend, API, *BUCKETS))))
        text = f"{PARAM}: the store {min(unknown)!r:.60} is not known; there are {known}."
        raise InvalidRequestError(text, param=PARAM)
    if len(stores) > 1:
        raise InvalidRequestError(f"{PARAM}: name one store, not both {' and '.join(sorted(stores))}.", param=PARAM)
    for kind, value in stores.items():
        # The gateway's own store may be of the same kind as a provider's bucket, which is what has fields.
        if kind in (backend, API) and not (kind in BUCKETS and value):
            if isinstance(value, dict) and value:
                text = f"{PARAM}.{kind}.{min(map(str, value)):.60} is not known; the store {kind!r} has no fields."
                raise InvalidRequestError(text, param=PARAM)
            return StorageChoice(is_kept=kind == backend)
        return StorageChoice(is_kept=False, place=_place(kind, value))
    return StorageChoice()


def is_storage_field(name: str) -> bool:
    """True for a field of a form that says where its bytes are to be kept."""
    return name == PARAM or BRACKETED.fullmatch(name) is not None


def where(native_id: str | None, home: str) -> tuple[str, str]:
    """(storage_backend, storage_uri) of bytes that only a provider has, or the bucket that it reads from."""
    for kind, start in BUCKETS.items():
        if native_id is not None and native_id.startswith(start):
            return kind, native_id
    return API, f"{API}://{home}/{native_id}"


def _stores(fields: Mapping[str, str]) -> dict[str, Any]:
    """What the form says of each store that it names."""
    stores: dict[str, Any] = {}
    if fields.get(PARAM, "").strip():
        try:
            stores.update(parse_object(fields[PARAM].encode()))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{PARAM}: {error.message}", param=PARAM) from error
    for key, value in fields.items():
        match = BRACKETED.fullmatch(key)
        if match is not None:
            store = stores.setdefault(match[1], {})
            if match[2] is not None and isinstance(store, dict):
                store[match[2]] = value
    return stores


def _place(kind: str, value: Any) -> Place:
    if not isinstance(value, dict):
        raise InvalidRequestError(f'{PARAM}.{kind}: must be an object, such as {{"bucket": ...}}.', param=PARAM)
    if unknown := sorted(set(map(str, value)) - set(FIELDS)):
        text = f"{PARAM}.{kind}.{unknown[0]:.60} is not known; the fields are {', '.join(FIELDS)}."
        raise InvalidRequestError(text, param=PARAM)
    given = {name: value[name] for name in FIELDS if value.get(name) is not None}
    for name, text in given.items():
        if not isinstance(text, str) or not text.isprintable() or len(text) > MAX_FIELD_LENGTH:
            param = f"{PARAM}.{kind}.{name}"
            raise InvalidRequestError(
                f"{param}: must be a string of at most {MAX_FIELD_LENGTH} printable characters.", param=param
            )
    # Some clients give the bucket as the address of a folder in it.
    bucket, slash, below = given.get("bucket", "").removeprefix(BUCKETS[kind]).partition("/")
    if slash:
        given = {"prefix": below, **given, "bucket": bucket}
    elif bucket:
        given["bucket"] = bucket
    return Place(kind, **given)
