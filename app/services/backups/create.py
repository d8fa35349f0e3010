"""Backs up a store and its blobs as a consistent pair, while the gateway runs.

First the bytes of deleted blobs are held, then the rows are copied as they are at one instant, then the bytes of all
blobs that are live in that copy. Whatever is deleted meanwhile keeps its bytes until the backup has them.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.blobs import BlobStore, LocalBlobs
from app.data.backups import rows, snapshot
from app.data.backups import state as stored
from app.data.files import blobs
from app.data.files.blobs import Movable
from app.data.store.database import Connection, Database
from app.errors import ConflictError, InvalidRequestError
from app.lib import private
from app.services.backups import fence, manifest, transfer
from app.services.backups.manifest import Manifest
from app.services.backups.transfer import Wanted
from app.services.gateway import Gateway

HOLD_MS = 120_000
EXTEND_S = 20.0
PAGE_ROWS = 500

# Called with what is being copied (rows or bytes), how much is done, and how much there is (None if not known).
Report = Callable[[str, int, int | None], None]


class HoldLostError(ConflictError):
    """Bytes may have been deleted before they were copied."""


def create(
    gateway: Gateway, folder: Path, *, revision: str, upgrade: Callable[[str], None], report: Report
) -> Manifest:
    """Back up into `folder`, which is empty or has a backup that was not finished.

    `revision` is the store's; `upgrade` migrates the database at a URL. Raises InvalidRequestError, ConflictError,
    BlobError, OSError and SQLAlchemyError; what was copied stays, and the next attempt uses it.
    """
    _prepare(folder)
    created_at = f"{datetime.now(UTC):%FT%TZ}"
    with _held(gateway) as check_hold:
        counts = _copy_rows(gateway, folder, f"backup of {created_at}", upgrade, report)
        count, size = _copy_bytes(gateway, folder, report)
        check_hold()
    made = Manifest(
        created_at=created_at,
        revision=revision,
        dialect=gateway.database.dialect,
        rows=counts,
        blobs=count,
        blob_bytes=size,
        store_sha256=manifest.file_sha256(folder / manifest.STORE),
        sums_sha256=manifest.file_sha256(folder / manifest.SUMS),
    )
    manifest.write(folder, made)
    return made


def _prepare(folder: Path) -> None:
    if (folder / manifest.MANIFEST).exists():
        raise InvalidRequestError(f"{folder} has a finished backup already: name another folder.")
    ours = {manifest.STORE, manifest.BLOBS, manifest.SUMS, f"{manifest.STORE}.part"}
    if folder.exists():
        others = sorted(entry.name for entry in folder.iterdir() if entry.name.removesuffix("-journal") not in ours)
        if others:
            raise InvalidRequestError(f"{folder} is not empty (it has {others[0]}): name another folder.")
    private.make_folder(folder)


@contextmanager
def _held(gateway: Gateway) -> Iterator[Callable[[], None]]:
    """Hold the bytes of deleted blobs. Yields a function that raises HoldLostError once they were not held any more."""
    owner, ended, lost = secrets.token_hex(8), threading.Event(), threading.Event()
    with gateway.database.write() as connection:
        if not stored.hold(connection, owner=owner, lease_ms=HOLD_MS):
            raise ConflictError("Another backup is running. Wait for its end; if it was killed, for two minutes.")

    def extend() -> None:
        while not ended.wait(EXTEND_S):
            with suppress(SQLAlchemyError):  # there are several attempts in a lease, and its loss is noticed below
                if not gateway.database.run(lambda c: stored.extend_hold(c, owner=owner, lease_ms=HOLD_MS)):
                    lost.set()
                    return

    def check() -> None:
        if lost.is_set() or not gateway.database.run(lambda c: stored.extend_hold(c, owner=owner, lease_ms=HOLD_MS)):
            raise HoldLostError("The backup stood still for too long, so bytes may be missing: make it again.")

    thread = threading.Thread(target=extend, name="hold", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        ended.set()
        thread.join()
        with gateway.database.write() as connection:
            stored.release_hold(connection, owner=owner)


def _copy_rows(
    gateway: Gateway, folder: Path, reason: str, upgrade: Callable[[str], None], report: Report
) -> dict[str, int]:
    """Write the store as it is at one instant to an SQLite file, fenced; returns how many rows each table has."""
    part = folder / f"{manifest.STORE}.part"
    part.unlink(missing_ok=True)
    private.make_file(part)
    copy = Database(f"sqlite:///{part.absolute()}")
    try:
        if gateway.database.dialect == "sqlite":
            snapshot.copy_file(gateway.database, part)
        else:
            upgrade(copy.url)
            with snapshot.reading(gateway.database) as source, copy.write() as target:
                copy_rows(source, target, report)
        with copy.write() as connection:
            rows.forget_processes(connection)
            fence.fence(connection, reason=reason)
        with copy.read() as connection:
            counts = {str(table.name): rows.count(connection, table) for table in rows.tables()}
    finally:
        copy.dispose()
    snapshot.close_file(part)
    part.rename(folder / manifest.STORE)
    manifest.sync(folder)
    return counts


def copy_rows(source: Connection, target: Connection, report: Report) -> None:
    """Copy all rows into an unused store, and compare them. Raises ConflictError when they differ."""
    rows.clear(target)
    done = 0

    def count(added: int) -> None:
        nonlocal done
        done += added
        report("rows", done, None)

    for table in rows.tables():
        copied = rows.copy(source, target, table, count)
        if rows.checksum(target, table) != copied:
            raise ConflictError(f"The rows of {table.name} differ in the copy, which is of no use; report this fault.")
    rows.set_next_ids(target, rows.next_ids(source))


def _copy_bytes(gateway: Gateway, folder: Path, report: Report) -> tuple[int, int]:
    """Copy the bytes of all blobs that are live in the copied store; returns how many, and how many bytes."""
    copy = Database(f"sqlite:///{(folder / manifest.STORE).absolute()}")
    target = LocalBlobs((folder / manifest.BLOBS).absolute())
    done = 0
    try:
        with copy.read() as connection:
            count, size = blobs.total_live(connection)

        def add(copied: int) -> None:
            nonlocal done
            done += copied
            report("bytes", done, size)

        sums = folder / manifest.SUMS
        sums.unlink(missing_ok=True)
        private.make_file(sums)
        wanted = (_wanted(gateway.blobs, blob) for blob in live(copy))
        with sums.open("w") as file:
            for key, digest in transfer.copy_all(target, wanted, add):
                file.write(f"{digest}  {manifest.BLOBS}/{key[:2]}/{key}\n")
    finally:
        copy.dispose()
    snapshot.close_file(folder / manifest.STORE)
    return count, size


def live(copy: Database) -> Iterator[Movable]:
    """All live blobs of a store, by id."""
    last = 0
    while True:
        with copy.read() as connection:
            page = blobs.live_after(connection, last, limit=PAGE_ROWS)
        if not page:
            return
        yield from page
        last = page[-1].id


def _wanted(stores: BlobStore, blob: Movable) -> Wanted:
    # Where it was when the rows were copied: also if it was moved since then, its old bytes are held.
    return Wanted(stores.at(blob.place.store), blob.place.name, blob.key, blob.bytes, blob.sha256)
