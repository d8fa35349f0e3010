"""Blob stores: one small interface, one module per kind of store."""

from collections.abc import Callable, Sequence
from pathlib import Path

from app.blobs.address import Address, backend_of, checked
from app.blobs.base import BlobError, BlobFullError, BlobMissingError, BlobReader, BlobStore, BlobWriter
from app.blobs.local import LocalBlobs
from app.blobs.stores import Location, Stores


def open_store(address: Address, *, group_reads: bool = False) -> BlobStore:
    """Open the store at `address`, which `checked` returned. Raises ValueError when a package for it is missing.

    Only this user can read the files of a folder; with `group_reads` the group can, too, as an nginx that sends them
    must.
    """
    if address.scheme == "file":
        return LocalBlobs(Path(address.path), group_reads=group_reads)
    # Imported here, as only those who use it need it: the library takes 16 MB of disk and 40 ms.
    from app.blobs.objects import ObjectBlobs

    return ObjectBlobs(address)


def open_stores(
    default: Address,
    others: Sequence[Address],
    *,
    locate: Callable[[str], Location | None],
    group_reads: bool = False,
) -> Stores:
    """Open the store for new blobs, and those where others are."""
    opened = [open_store(address, group_reads=group_reads) for address in (default, *others)]
    return Stores(opened[0], opened[1:], locate)


__all__ = [
    "Address",
    "BlobError",
    "BlobFullError",
    "BlobMissingError",
    "BlobReader",
    "BlobStore",
    "BlobWriter",
    "LocalBlobs",
    "Location",
    "Stores",
    "backend_of",
    "checked",
    "open_store",
    "open_stores",
]
