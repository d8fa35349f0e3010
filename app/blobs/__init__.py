"""Blob stores: one small interface, one module per kind of store."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.blobs.base import BlobError, BlobFullError, BlobMissingError, BlobReader, BlobStore, BlobWriter
from app.blobs.local import LocalBlobs


def open_store(url: str) -> BlobStore:
    """Open the store at `url`, such as `file:///var/lib/batchgate/blobs`. Raises ValueError for other schemes."""
    parts = urlsplit(url)
    if parts.scheme != "file" or not parts.path:
        raise ValueError(f"BATCHGATE_BLOB_URL must be file:///path, not {url!r}.")
    return LocalBlobs(Path(unquote(parts.path)))


__all__ = ["BlobError", "BlobFullError", "BlobMissingError", "BlobReader", "BlobStore", "BlobWriter", "open_store"]
