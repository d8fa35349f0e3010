"""The gateway's own store behind `gateway.blobs`, for tests that look into it or put another one in its place."""

from app.blobs import LocalBlobs, Stores
from app.services.gateway import Gateway


def local(gateway: Gateway) -> LocalBlobs:
    """The folder that new blobs go to."""
    found = gateway.blobs.default if isinstance(gateway.blobs, Stores) else gateway.blobs
    assert isinstance(found, LocalBlobs)
    return found
