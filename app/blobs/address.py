"""Where a store is, and what opens it: `file:///folder`, `s3://bucket/prefix`, `gs://...` or `az://...`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.lib import json

BACKENDS = {"file": "local", "s3": "s3", "gs": "gcs", "az": "azure"}
MAX_URL_LENGTH = 255  # of the column `blobs.store`
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}")
PREFIX = re.compile(r"([-!_*'().a-z0-9A-Z]+/)*")
PARENTS = frozenset({".", ".."})
EXAMPLES = "file:///path, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"


class AddressError(ValueError):
    """No store can be there. The message has no secret in it."""


@dataclass(frozen=True, slots=True)
class Address:
    """A store by its URL, which rows keep; so it has no credentials, and two stores never share one.

    `endpoint` is the server's URL (MinIO, R2, Azurite), empty for the cloud's own. `key_id` and `secret` are an access
    key and its secret (S3), the storage account and its key or SAS token (Azure), or only a secret: the JSON of a
    service account or the file with it (GCS). Without them the library finds credentials as the cloud's own tools do.
    """

    url: str
    endpoint: str = ""
    region: str = ""
    path_style: bool = True
    key_id: str = ""
    secret: str = field(default="", repr=False)

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def bucket(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def path(self) -> str:
        """The folder of a `file:` URL, else the prefix in the bucket, without slashes around it."""
        path = urlsplit(self.url).path
        return unquote(path) if self.scheme == "file" else path.strip("/")


def backend_of(url: str) -> str:
    """The kind of a store that rows name: local, s3, gcs or azure."""
    return BACKENDS[urlsplit(url).scheme]


def checked(address: Address, *, name: str) -> Address:
    """`address` with its URL as rows keep it. Raises AddressError that begins with `name`, its setting."""
    parts = urlsplit(address.url)
    if parts.scheme not in BACKENDS or parts.query or parts.fragment or "@" in parts.netloc:
        raise AddressError(f"{name} must be {EXAMPLES}, without credentials or options in it, not {_shown(address)!r}.")
    if len(address.url) > MAX_URL_LENGTH:
        raise AddressError(f"{name} must have at most {MAX_URL_LENGTH} characters.")
    if parts.scheme == "file":
        if not parts.path or parts.netloc:
            raise AddressError(f"{name} must be file:///path, not {address.url!r}.")
        return address
    prefix = "".join(f"{part}/" for part in parts.path.split("/") if part)
    if not NAME.fullmatch(parts.netloc):
        raise AddressError(f"{name} names no bucket that could exist: {address.url!r}. It must be {EXAMPLES}.")
    if not PREFIX.fullmatch(prefix) or not PARENTS.isdisjoint(prefix.split("/")):
        raise AddressError(f"{name}: the prefix may have letters, digits and - _ . ! * ' ( ) only: {address.url!r}.")
    if address.endpoint and urlsplit(address.endpoint).scheme not in ("http", "https"):
        raise AddressError(f"{name}: its endpoint must be https://host or http://host, not {address.endpoint!r}.")
    url = f"{parts.scheme}://{parts.netloc}/{prefix}".rstrip("/")
    return Address(
        url, address.endpoint.rstrip("/"), address.region, address.path_style, address.key_id, address.secret
    )


def parsed(text: str, *, name: str) -> list[Address]:
    """The stores in a JSON list, or in the file with it. Raises AddressError that begins with `name`."""
    if not text.strip():
        return []
    try:
        listed = json.loads(text if text.lstrip().startswith("[") else Path(text).read_bytes())
    except OSError as error:
        text = f"{name} is neither a JSON list nor the path of a readable file ({error.strerror})."
        raise AddressError(text) from None
    except ValueError:
        raise AddressError(f"{name} is not valid JSON.") from None
    if not isinstance(listed, list):
        raise AddressError(f'{name} must be a JSON list, such as [{{"url": "s3://bucket/prefix"}}].')
    return [_one(value, name=f"{name}[{number}]") for number, value in enumerate(listed)]


def check_distinct(addresses: Sequence[Address], *, name: str) -> None:
    """Raises AddressError that begins with `name` if two have the same URL: rows could not tell them apart."""
    urls = [address.url for address in addresses]
    for url in urls:
        if urls.count(url) > 1:
            raise AddressError(f"{name} names the store {url} twice; give one of them another prefix.")


def _one(value: object, *, name: str) -> Address:
    kinds = {field.name: bool if field.name == "path_style" else str for field in fields(Address)}
    if not isinstance(value, dict) or not isinstance(value.get("url"), str):
        raise AddressError(f'{name} must be an object with a "url".')
    for key, given in value.items():
        if key not in kinds:
            raise AddressError(f"{name}: {key!r:.40} is not known; there are {', '.join(kinds)}.")
        if not isinstance(given, kinds[key]):
            raise AddressError(f"{name}.{key} must be {'true or false' if kinds[key] is bool else 'a string'}.")
    return checked(Address(**value), name=f"{name}.url")


def _shown(address: Address) -> str:
    """The URL without a password that somebody put into it."""
    return re.sub(r"//[^/@]*@", "//...@", address.url.partition("?")[0])
