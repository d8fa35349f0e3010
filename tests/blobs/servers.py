"""The stores that the conformance suite runs over, each on a real server of its kind."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.blobs import Address, BlobStore, open_store
from tests.fakes.gcs_xml_app import GcsXml
from tests.support.azurite import Azurite
from tests.support.dropping_blobs import DroppingBlobs
from tests.support.seaweed import Seaweed
from tests.support.server import LiveServer

KINDS = ("local", "dropping", "s3", "gcs", "azure")
OBJECTS = ("s3", "gcs", "azure")


@dataclass(frozen=True, slots=True)
class Kind:
    """A store; `names` lists the objects in it, `unfinished` the uploads in parts that were begun, None if unknown."""

    store: BlobStore
    names: Callable[[], Sequence[str]]
    unfinished: Callable[[], Sequence[str]] | None = None


@contextmanager
def opened(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Kind]:
    """An empty store of this kind."""
    if kind == "s3":
        yield _s3(request.getfixturevalue("seaweed"))
    elif kind == "azure":
        yield _azure(request.getfixturevalue("azurite"))
    elif kind == "gcs":
        with _gcs() as found:
            yield found
    else:
        store = DroppingBlobs(folder) if kind == "dropping" else open_store(Address(folder.as_uri()))
        yield Kind(store, lambda: [path.name for path in folder.rglob("*") if path.is_file()], list)


def gcs_address(url: str, bucket: str) -> Address:
    """A bucket at a stand-in, which takes requests without a token."""
    secret = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    return Address(f"gs://{bucket}/kept", endpoint=url, secret=json.dumps(secret))


def _s3(seaweed: Seaweed) -> Kind:
    address = seaweed.address()

    def names() -> list[str]:
        rows = seaweed.client.list_objects_v2(Bucket=address.bucket).get("Contents", [])
        return [row["Key"].rpartition("/")[2] for row in rows]

    def unfinished() -> list[str]:
        rows = seaweed.client.list_multipart_uploads(Bucket=address.bucket).get("Uploads", [])
        return [row["Key"] for row in rows]

    return Kind(open_store(address), names, unfinished)


def _azure(azurite: Azurite) -> Kind:
    address = azurite.address()
    return Kind(open_store(address), lambda: azurite.names(address))


@contextmanager
def _gcs() -> Iterator[Kind]:
    fake = GcsXml("bucket")
    with LiveServer(fake.app) as server:
        store = open_store(gcs_address(server.url, "bucket"))
        yield Kind(
            store,
            lambda: [name.rpartition("/")[2] for name in fake.bucket.objects],
            lambda: list(fake.bucket.uploads),
        )
