"""Restores a backup into an empty place. The store comes last, and fenced: until then there is nothing to start on."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from app.blobs import BlobStore, LocalBlobs
from app.data.backups import rows, snapshot
from app.data.files import blobs
from app.data.store.database import Connection, Database
from app.errors import ConflictError
from app.lib import private
from app.services.backups import fence, manifest, transfer
from app.services.backups.create import Report, copy_rows, live
from app.services.backups.manifest import BackupError, Manifest
from app.services.backups.transfer import DamagedError, Wanted


def restore(
    folder: Path,
    *,
    database_url: str,
    target: BlobStore,
    newest: str,
    upgrade: Callable[[str], None],
    report: Report,
) -> Manifest:
    """Restore the backup in `folder` into an unused database and into the blob store `target`.

    `newest` is the newest revision that this version knows; `upgrade` migrates the database at a URL. Raises
    BackupError for a backup that cannot be used, ConflictError when the database is in use, and BlobError, OSError,
    SQLAlchemyError. After any of them the same call goes on.
    """
    found = manifest.read(folder)
    if found.revision > newest:
        raise BackupError(
            f"{folder} was made by version {found.version}, with revision {found.revision} of the store; "
            f"this version knows revisions up to {newest}: install that version or a later one."
        )
    _require_unused(database_url, upgrade)
    reason = f"restored from the backup of {found.created_at}"

    def settle(connection: Connection) -> None:
        blobs.relocate(connection, store=target.url)
        fence.fence(connection, reason=reason)

    with _scratch(folder, database_url, upgrade) as copy:
        _copy_bytes(folder, found, copy, target, report)
        if final := _file(database_url):
            with copy.write() as connection:
                settle(connection)
            _put(copy, final)
        else:
            with copy.read() as connection:
                fill(connection, database_url, settle, report)
    return found


def fill(source: Connection, url: str, settle: Callable[[Connection], None], report: Report) -> None:
    """Copy all rows into the migrated, unused store at `url`; `settle` is called before the one commit."""
    database = Database(url)
    try:
        with database.write() as target:
            require_empty(target)
            copy_rows(source, target, report)
            settle(target)
    finally:
        database.dispose()


def prepare(url: str, upgrade: Callable[[str], None]) -> None:
    """Create the tables at `url`. Raises ConflictError, before anything is changed there, when a store is in use."""
    database = Database(url)
    try:
        if database.is_created:
            with database.read() as connection:
                require_empty(connection)
    finally:
        database.dispose()
    upgrade(url)


def require_empty(connection: Connection) -> None:
    """Raises ConflictError when the store has rows of its own."""
    if name := rows.occupied(connection):
        raise ConflictError(f"The target is not empty: its table {name} has rows. Name a new database.")


def _require_unused(url: str, upgrade: Callable[[str], None]) -> None:
    database = Database(url)
    try:
        if database.dialect == "sqlite":
            if database.is_created:
                raise ConflictError(
                    f"{make_url(url).database} exists: stop all processes and move it away, with its -wal and -shm."
                )
            return
    finally:
        database.dispose()
    prepare(url, upgrade)


def _copy_bytes(folder: Path, found: Manifest, copy: Database, target: BlobStore, report: Report) -> None:
    done = 0

    def add(copied: int) -> None:
        nonlocal done
        done += copied
        report("bytes", done, found.blob_bytes)

    for _ in transfer.copy_all(target, _with_sums(folder, copy), add):
        pass


def _with_sums(folder: Path, copy: Database) -> Iterator[Wanted]:
    """The blobs of the backup with the SHA-256 that each had when it was backed up."""
    source = LocalBlobs((folder / manifest.BLOBS).absolute())
    with (folder / manifest.SUMS).open() as sums:
        for blob, line in zip(live(copy), sums, strict=True):
            digest, _, name = line.strip().partition("  ")
            if name.rpartition("/")[2] != blob.key:
                raise DamagedError(f"{folder / manifest.SUMS} has {name!r:.80} where blob {blob.key} was expected.")
            yield Wanted(source, blob.key, blob.key, blob.bytes, digest)


@contextmanager
def _scratch(folder: Path, url: str, upgrade: Callable[[str], None]) -> Iterator[Database]:
    """A copy of the backup's store at the newest revision, gone afterwards; the backup itself is only read.

    It is on the disk of the file that it may become.
    """
    with tempfile.TemporaryDirectory() as temporary:
        final = _file(url)
        part = final.with_name(f"{final.name}.restoring") if final else Path(temporary) / manifest.STORE
        private.make_folder(part.parent)
        _delete(part)
        private.make_file(part)
        copy = Database(f"sqlite:///{part}")
        try:
            shutil.copyfile(folder / manifest.STORE, part)
            upgrade(copy.url)
            yield copy
        finally:
            copy.dispose()
            _delete(part)


def _put(copy: Database, final: Path) -> None:
    """Let the file of `copy` become the store."""
    copy.dispose()
    part = Path(make_url(copy.url).database or "")
    snapshot.close_file(part)
    part.rename(final)
    manifest.sync(final.parent)


def _file(url: str) -> Path | None:
    """The file of an SQLite store; None for a server."""
    parsed = make_url(url)
    return Path(parsed.database or "").absolute() if parsed.get_backend_name() == "sqlite" else None


def _delete(file: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
