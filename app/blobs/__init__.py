"""Blob stores: one small interface, one module per kind of store."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.blobs.base import BlobError, BlobFullError, BlobMissingError, BlobReader, BlobStore, BlobWriter
from app.blobs.local import LocalBlobs


def open_store(url: str, *, group_reads: bool = False) -> BlobStore:
    """Open the store at `url`, such as `file:///var/lib/batchgate/blobs`. Raises ValueError for other schemes.

    Only this user can read its files; with `group_reads` the group can, too, as an nginx that sends them must.
    """
    parts = urlsplit(url)
    if parts.scheme != "file" or not parts.path:
        raise ValueError(f"BATCHGATE_BLOB_URL must be file:///path, not {url!r}.")
    return LocalBlobs(Path(unquote(parts.path)), group_reads=group_reads)


__all__ = ["BlobError", "BlobFullError", "BlobMissingError", "BlobReader", "BlobStore", "BlobWriter", "open_store"]
