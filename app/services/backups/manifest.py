"""What a backup is on disk: a folder with the store as an SQLite file, the blobs, their checksums, and a manifest.

The manifest is written last, so a folder without one is a backup that was not finished.
"""

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from app.errors import InvalidRequestError
from app.lib import json, private
from app.version import VERSION

FORMAT = 1
STORE, BLOBS, SUMS, MANIFEST = "store.sqlite3", "blobs", "blobs.sha256", "manifest.json"
READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Manifest:
    """`revision` is the store's, `rows` are counts by table, the two SHA-256 are those of its two files."""

    created_at: str
    revision: str
    dialect: str
    rows: dict[str, int]
    blobs: int
    blob_bytes: int
    store_sha256: str
    sums_sha256: str
    format: int = FORMAT
    version: str = VERSION


class BackupError(InvalidRequestError):
    """The folder is not a backup that can be used; the message says why."""


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, durably: from here on the backup is finished."""
    part = folder / f"{MANIFEST}.part"
    private.make_file(part)
    with part.open("wb") as file:
        file.write(json.dumps_line(asdict(manifest)))
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / MANIFEST)
    sync(folder)


def read(folder: Path) -> Manifest:
    """Read the manifest of a finished backup, and check its files. Raises BackupError."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
        manifest = Manifest(**found)
    except FileNotFoundError as error:
        text = "it was not finished, so make it again" if (folder / STORE).exists() else "it has no manifest.json"
        raise BackupError(f"{folder} is not a backup: {text}.") from error
    except (ValueError, TypeError) as error:
        raise BackupError(f"{folder / MANIFEST} cannot be read: {error}.") from error
    if manifest.format != FORMAT:
        raise BackupError(f"{folder} has format {manifest.format}; this version reads format {FORMAT}.")
    for name, expected in ((STORE, manifest.store_sha256), (SUMS, manifest.sums_sha256)):
        try:
            actual = file_sha256(folder / name)
        except OSError as error:
            raise BackupError(f"{folder / name} cannot be read: {error}.") from error
        if actual != expected:
            raise BackupError(f"{folder / name} is damaged: its SHA-256 is not that of the manifest.")
    return manifest


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    summed = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            summed.update(data)
    return summed.hexdigest()


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
