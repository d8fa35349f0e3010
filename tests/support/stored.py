"""The gateway's own store behind `gateway.blobs`, for tests that look into it or put another one in its place."""

from pathlib import Path

import obstore
import pytest

from app.blobs import Address, BlobStore, LocalBlobs, Stores
from app.blobs.objects import ObjectBlobs
from app.services.gateway import Gateway

# Set to `s3`, all tests keep file contents in a bucket.
VARIABLE = "BATCHGATE_TEST_BLOBS"


def settings(address: Address) -> dict[str, str]:
    """The variables that make `address` the store of new blobs."""
    return {
        "BATCHGATE_BLOB_URL": address.url,
        "BATCHGATE_BLOB_ENDPOINT": address.endpoint,
        "BATCHGATE_BLOB_REGION": address.region,
        "BATCHGATE_BLOB_KEY_ID": address.key_id,
        "BATCHGATE_BLOB_SECRET": address.secret,
    }


def own(gateway: Gateway) -> BlobStore:
    """The store that new blobs go to."""
    return gateway.blobs.default if isinstance(gateway.blobs, Stores) else gateway.blobs


def local(gateway: Gateway) -> LocalBlobs:
    """The folder that new blobs go to. Skips a test that is about folders, when there is none."""
    found = own(gateway)
    if isinstance(found, ObjectBlobs):
        pytest.skip("about a folder")
    assert isinstance(found, LocalBlobs)
    return found


def sizes(gateway: Gateway) -> dict[str, int]:
    """All that the store has, whole or not, by name."""
    found = own(gateway)
    if isinstance(found, ObjectBlobs):
        return {row["path"].rpartition("/")[2]: row["size"] for rows in obstore.list(found.client) for row in rows}
    return {path.name: path.stat().st_size for path in paths(gateway)}


def paths(gateway: Gateway) -> list[Path]:
    """All files of the store; of objects their names, as paths that do not exist."""
    found = own(gateway)
    if isinstance(found, ObjectBlobs):
        return [Path(name) for name in sizes(gateway)]
    return [path for path in local(gateway).root.rglob("*") if path.is_file()]
