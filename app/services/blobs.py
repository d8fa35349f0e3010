"""Bytes being written to the store, each blob with a row that was committed first."""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.blobs import BlobError, BlobFullError, BlobStore, BlobWriter, Stores, backend_of
from app.data.files import blobs
from app.data.files.blobs import Leftover, Movable
from app.errors import StorageFullError, UnavailableError
from app.lib import failpoints
from app.services.each_due import each_due
from app.services.gateway import Gateway

RENEWALS_PER_LEASE = 3
# How much of an upload is written between two looks at the disk.
LOOK_BYTES = 2**20


class Index(Protocol):
    """Reads the bytes of a blob while they are written."""

    @property
    def facts(self) -> dict[str, Any] | None:
        """What is known of the bytes as a batch input, once `finish` was called."""
        ...

    def write(self, data: bytes) -> None: ...

    def finish(self) -> None: ...


class IncomingBlob:
    """A pending blob: `write` its bytes, `seal` it, then call `settle` in the transaction that adds the reference.

    `index`, if there is one, gets the same bytes, and what it finds out is kept with them.
    """

    def __init__(
        self,
        gateway: Gateway,
        store: BlobStore,
        *,
        row_id: int,
        key: str,
        writer: BlobWriter,
        hashed: bool,
        spares_reserve: bool,
        index: Index | None,
    ) -> None:
        self.id = row_id
        self.key = key
        self.bytes = 0
        self._gateway = gateway
        self._store = store
        self._writer = writer
        self._may_be_used = False
        self._may_come_late = False
        self._hash = hashlib.sha256() if hashed else None
        self._index = index
        self._look_at = LOOK_BYTES if spares_reserve else None
        self._renew_after = self._next_renewal()

    @property
    def sha256(self) -> str | None:
        """The hex digest of what was written so far; None for a blob that is not hashed."""
        return self._hash.hexdigest() if self._hash else None

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises StorageFullError or UnavailableError."""
        if self._look_at is not None and self.bytes >= self._look_at:
            check_reserve(self._gateway)
            self._look_at = self.bytes + LOOK_BYTES
        with _store_errors():
            self._writer.write(data)
        if self._hash:
            self._hash.update(data)
        if self._index is not None:
            self._index.write(bytes(data))
        self.bytes += len(data)
        self.keep()

    def keep(self) -> None:
        """Renew the lease when it is due. Raises UnavailableError when the sweeper has taken the blob."""
        if self._gateway.clock.monotonic() > self._renew_after:
            self._renew()

    def seal(self) -> None:
        """Make the bytes durable under their key."""
        self.keep()
        self._may_come_late = self._store.commits_late
        with _store_errors():
            self._writer.commit()
        self._may_come_late = False
        if self._index is not None:
            self._index.finish()

    def settle(self, connection: Connection) -> None:
        """Mark the blob live in the caller's transaction. Raises UnavailableError when the sweeper has taken it."""
        facts = self._index.facts if self._index is not None else None
        if not blobs.mark_live(connection, self.id, size=self.bytes, sha256=self.sha256, input_facts=facts):
            raise _lease_lost()
        self._may_be_used = True

    def exchange(self, connection: Connection, blob: Movable) -> bool:
        """Let a live blob have these bytes in place of its own, which are then this one's, to be deleted.

        False when that blob was deleted or moved meanwhile, or the sweeper has taken this one.
        """
        # Before it is done: a commit whose answer is lost may have done it.
        self._may_be_used = True
        self._may_be_used = blobs.exchange(connection, blob, self.id)
        return self._may_be_used

    def abort(self) -> None:
        """Delete what was written and the row, unless the blob is live. The sweeper retries what fails here."""
        try:
            with self._gateway.database.write() as connection:
                is_ours = blobs.condemn(connection, self.id)
            if not is_ours and self._may_be_used:
                return
            self._writer.abort()
            # Also when the sweeper was here before: an object appears with its commit, however late that is.
            self._store.delete(self.key)
            if self._may_come_late:
                return  # and even later than this: the sweeper deletes it once more
            with self._gateway.database.write() as connection:
                blobs.forget(connection, self.id)
        except (BlobError, SQLAlchemyError) as error:
            self._gateway.log.warning("blob.abort_failed", key=self.key, reason=str(error))

    def _renew(self) -> None:
        with self._gateway.database.write() as connection:
            is_held = blobs.renew(connection, self.id, lease_s=self._gateway.settings.upload_lease_s)
        if not is_held:
            raise _lease_lost()
        self._renew_after = self._next_renewal()

    def _next_renewal(self) -> float:
        return self._gateway.clock.monotonic() + self._gateway.settings.upload_lease_s / RENEWALS_PER_LEASE


@contextmanager
def incoming(
    gateway: Gateway,
    *,
    hashed: bool = True,
    spares_reserve: bool = False,
    store: BlobStore | None = None,
    index: Index | None = None,
) -> Iterator[IncomingBlob]:
    """A pending blob, its row committed first. After an exception neither row nor bytes are left.

    What callers send `spares_reserve`: it is refused while the disk has less than its reserve. `store` is another one
    than that of new blobs.
    """
    into = store or gateway.blobs
    if spares_reserve:
        check_reserve(gateway)
    key = secrets.token_hex(20)
    with gateway.database.write() as connection:
        row_id = blobs.insert_pending(connection, key=key, store=into.url, lease_s=gateway.settings.upload_lease_s)
    failpoints.hit("blob.after_intent")
    with _store_errors():
        writer = into.open_write(key)
    options = {"hashed": hashed, "spares_reserve": spares_reserve}
    blob = IncomingBlob(gateway, into, row_id=row_id, key=key, writer=writer, index=index, **options)
    try:
        yield blob
    except BaseException:
        blob.abort()
        raise


def is_low(gateway: Gateway) -> bool:
    """True while less space is free than the reserve, on the blobs' disk or the SQLite file's. Raises BlobError."""
    free = (gateway.blobs.free_bytes(), gateway.database.free_bytes())
    return any(left is not None and left < gateway.settings.disk_reserve_bytes for left in free)


def check_reserve(gateway: Gateway) -> None:
    """Raises StorageFullError while the disk has less than its reserve, which is for deletes, results and money."""
    with _store_errors():
        if is_low(gateway):
            raise StorageFullError(
                "The gateway's disk is nearly full, so it takes no uploads and no new batches, and nothing was stored. "
                "Delete files that you do not need, or ask the operator for space."
            )


def sweep(gateway: Gateway) -> int:
    """Delete blobs marked for deletion and those whose writer went silent, a slice at a time; returns how many."""
    return each_due(
        gateway,
        lambda connection, limit: blobs.unsettled(connection, limit=limit),
        lambda leftover: _sweep_one(gateway, leftover),
    )


def stream(gateway: Gateway, key: str, *, offset: int, length: int) -> Iterator[bytes]:
    """`length` bytes of a blob from `offset`. Raises UnavailableError at once if they cannot be read."""
    try:
        return gateway.blobs.stream(key, offset=offset, length=length)
    except BlobError as error:
        gateway.log.error("blob.not_readable", key=key, reason=str(error))
        raise UnavailableError("The bytes cannot be read at the moment; try again.", retry_after_s=5) from error


def backends(gateway: Gateway, blob_ids: Iterable[int | None]) -> Callable[[int | None], str]:
    """What tells the kind of store that each of these blobs is in: local, s3, gcs or azure."""
    default = gateway.blobs.backend
    if not isinstance(gateway.blobs, Stores) or len(gateway.blobs.all) == 1:
        return lambda _: default
    with gateway.database.read() as connection:
        found = blobs.stores_of(connection, [blob_id for blob_id in blob_ids if blob_id is not None])
    return lambda blob_id: backend_of(found[blob_id]) if blob_id in found else default


def signed_url(gateway: Gateway, key: str, *, headers: Mapping[str, str]) -> str | None:
    """A URL of the store for this blob, good for as long as the operator allows; None where the store has none."""
    with _store_errors():
        return gateway.blobs.signed_url(key, seconds=gateway.settings.signed_url_s, headers=headers)


def remove_condemned(gateway: Gateway, blob_id: int | None) -> None:
    """Delete the bytes of a blob that was just released; nothing happens while something else refers to it."""
    if blob_id is None:
        return
    with gateway.database.read() as connection:
        leftover = blobs.condemned(connection, blob_id)
    if leftover is not None:
        _sweep_one(gateway, leftover)


def _sweep_one(gateway: Gateway, leftover: Leftover) -> bool:
    if leftover.state == "pending":
        with gateway.database.write() as connection:
            if not blobs.condemn_abandoned(connection, leftover.id):
                return False
    try:
        gateway.blobs.at(leftover.store).delete(leftover.name)
    except BlobError as error:
        gateway.log.warning("blob.delete_failed", key=leftover.name, store=leftover.store, reason=str(error))
        return False
    failpoints.hit("sweep.after_delete")
    with gateway.database.write() as connection:
        blobs.forget(connection, leftover.id)
    return True


@contextmanager
def _store_errors() -> Iterator[None]:
    """Raises the GatewayError that matches the store's failure."""
    try:
        yield
    except BlobFullError as error:
        raise StorageFullError("The gateway's store is full; nothing was stored.") from error
    except BlobError as error:
        raise UnavailableError("The gateway's store is not available; try again.", retry_after_s=5) from error


def _lease_lost() -> UnavailableError:
    return UnavailableError("Writing took longer than its lease; send the request again.", retry_after_s=1)
