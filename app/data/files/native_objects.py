"""Rows of native objects: files at accounts.

An object is `pending` before the provider is asked, `live` once it has confirmed, `deleting` until it is gone there.
One that was certainly never made leaves no row. Several files may share an object where the provider deduplicates.

A pending object is leased to the request or worker that uploads it, later to the one that looks for it; a deleting one
to the one that deletes it (`app.data.store.leases` explains leases). `attempts` is the epoch of these leases, and what
the back-off counts by. It restarts at 0 when the object changes its state, so every write names the state of its claim
as well, and the names of workers are never reused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, func, insert, literal, select, update

from app.data.store import absence
from app.data.store.database import inserted_id, now_ms
from app.data.store.leases import RELEASED, Lease, LeasedTable
from app.data.tables import accounts, file_copies, native_objects

UNSETTLED = ("pending", "deleting")

_LEASES = LeasedTable(native_objects, epoch_column="attempts")
_IS_PENDING = native_objects.c.state == "pending"
_HAS_COPIES = exists(
    select(literal(1)).where(file_copies.c.native_object_id == native_objects.c.id, file_copies.c.deleted_at.is_(None))
).correlate(native_objects)


@dataclass(frozen=True, slots=True)
class DueObject:
    """An object to look for (`state` pending) or to delete (deleting)."""

    id: int
    state: str


@dataclass(frozen=True, slots=True)
class ClaimedObject:
    """An object under a lease. `is_wanted`: a file needs it. `created_at` is Unix milliseconds."""

    lease: Lease
    state: str
    account_id: int
    native_id: str | None
    filename: str
    bytes: int | None
    created_at: int
    last_error: str | None
    is_wanted: bool

    @property
    def id(self) -> int:
        """The row id."""
        return self.lease.id

    @property
    def attempts(self) -> int:
        """How often this was tried in the object's present state, this time included."""
        return self.lease.epoch


@dataclass(frozen=True, slots=True)
class LockedObject:
    """An object whose row the transaction has locked. `created_at` is Unix milliseconds."""

    state: str
    native_id: str | None
    created_at: int


@dataclass(frozen=True, slots=True)
class Twin:
    """Another row with the same native id. `deleted_at` is Unix milliseconds; `is_held`: somebody works on it."""

    id: int
    state: str
    attempts: int
    deleted_at: int | None
    is_held: bool


def insert_pending(
    connection: Connection,
    *,
    account_id: int,
    variant: str,
    purpose: str,
    filename: str,
    size: int,
    worker: str,
    lease_ms: int,
    grace_ms: int,
) -> Lease:
    """Record that a file is about to be made under `filename`, leased to `worker`.

    It is due to be looked for `grace_ms` after the lease has expired.
    """
    values = {
        "account_id": account_id,
        "state": "pending",
        "variant": variant,
        "purpose": purpose,
        "filename": filename,
        "bytes": size,
        "worker": worker,
        "attempts": 0,
        "created_at": now_ms(),
        "lease_until": now_ms() + lease_ms,
        "next_at": now_ms() + lease_ms + grace_ms,
    }
    return Lease(inserted_id(connection, insert(native_objects).values(**values)), 0, worker)


def insert_live(
    connection: Connection,
    *,
    account_id: int,
    native_id: str,
    variant: str,
    purpose: str,
    filename: str,
    size: int | None = None,
    expires_at: int | None = None,
) -> int:
    """Record an object that exists at the provider; returns its row id, that of the row it has already if any."""
    lock_account(connection, account_id)
    known = _known(account_id, native_id).with_for_update()
    object_id = connection.execute(known).scalar()
    if object_id is not None:
        return object_id
    values = {
        "account_id": account_id,
        "native_id": native_id,
        "state": "live",
        "variant": variant,
        "purpose": purpose,
        "filename": filename,
        "bytes": size,
        "created_at": now_ms(),
        "expires_at": expires_at,
    }
    return inserted_id(connection, insert(native_objects).values(**values))


def insert_stray(connection: Connection, *, account_id: int, native_id: str, filename: str, purpose: str) -> None:
    """Record an object that was made after it was given up: it is to be deleted, unless another row has it."""
    if connection.execute(_known(account_id, native_id)).first() is None:
        values = {"account_id": account_id, "native_id": native_id, "filename": filename, "purpose": purpose}
        more = {"state": "deleting", "variant": "raw", "created_at": now_ms(), "next_at": now_ms()}
        connection.execute(insert(native_objects).values(**values, **more))


def renew(connection: Connection, lease: Lease, *, lease_ms: int, grace_ms: int) -> bool:
    """Renew the lease of an object that is being uploaded. False when it is lost."""
    next_at = now_ms() + lease_ms + grace_ms
    return _LEASES.hold(connection, lease, _IS_PENDING, lease_ms=lease_ms, next_at=next_at)


def lose(connection: Connection, lease: Lease, *, grace_ms: int, error: str) -> bool:
    """Release an object that may or may not have been made; it is looked for after `grace_ms`. False: lease lost."""
    return _LEASES.release(connection, lease, _IS_PENDING, next_at=now_ms() + grace_ms, last_error=error)


def drop(connection: Connection, object_id: int) -> bool:
    """Delete the row of an object that was never made, and its copies. False when it is not pending."""
    row = lock(connection, object_id)
    if row is None or row.state != "pending":
        return False
    connection.execute(delete(file_copies).where(file_copies.c.native_object_id == object_id))
    connection.execute(delete(native_objects).where(native_objects.c.id == object_id))
    return True


def lock_account(connection: Connection, account_id: int) -> None:
    """Settle one object of an account at a time: two may turn out to be the same."""
    statement = select(accounts.c.id).where(accounts.c.id == account_id).with_for_update(key_share=True)
    connection.execute(statement)


def lock(connection: Connection, object_id: int) -> LockedObject | None:
    """An object, which nobody else changes until the transaction ends."""
    columns = (native_objects.c.state, native_objects.c.native_id, native_objects.c.created_at)
    row = connection.execute(select(*columns).where(native_objects.c.id == object_id).with_for_update()).first()
    return None if row is None else LockedObject(*row)


def lock_pair(
    connection: Connection, *, account_id: int, object_id: int, native_id: str
) -> tuple[LockedObject | None, Twin | None]:
    """Lock an object, and the other row that has the native id which it turned out to have.

    Objects of an account are settled one at a time, because two of them may turn out to be the same. Of several other
    rows, the one that is not deleted is returned.
    """
    lock_account(connection, account_id)
    own = lock(connection, object_id)
    statement = select(
        native_objects.c.id,
        native_objects.c.state,
        native_objects.c.attempts,
        native_objects.c.deleted_at,
        ~_LEASES.free,
    ).where(
        native_objects.c.account_id == account_id,
        native_objects.c.native_id == native_id,
        native_objects.c.id != object_id,
    )
    newest = (native_objects.c.state == "deleted", native_objects.c.id.desc())
    row = connection.execute(statement.order_by(*newest).limit(1).with_for_update()).first()
    return own, None if row is None else Twin(*row)


def make_live(
    connection: Connection, object_id: int, *, native_id: str, status: str, size: int | None, expires_at: int | None
) -> bool:
    """Record that the provider has the object. False when the row is deleted."""
    where = (native_objects.c.id == object_id, native_objects.c.state.in_(("pending", "live", "unknown", "deleting")))
    values = {"state": "live", "native_id": native_id, "status": status, "expires_at": expires_at}
    more: dict[str, Any] = {
        "attempts": 0,
        "next_at": None,
        "last_error": None,
        **absence.forgotten(),
        **RELEASED,
    }
    if size is not None:
        more["bytes"] = size
    return connection.execute(update(native_objects).where(*where).values(**values, **more)).rowcount == 1


def outdate_delete(connection: Connection, object_id: int) -> None:
    """Make the deletion that is under way not count, by its epoch: the object may exist again after it."""
    where = (native_objects.c.id == object_id, native_objects.c.state == "deleting")
    statement = update(native_objects).where(*where)
    connection.execute(statement.values(attempts=native_objects.c.attempts + 1, next_at=native_objects.c.lease_until))


def condemn(connection: Connection, object_id: int, *, native_id: str) -> bool:
    """Mark an object whose upload nobody needs for deletion at the provider. False when it is already settled."""
    where = (native_objects.c.id == object_id, native_objects.c.state.in_(("pending", "unknown")))
    values = {"state": "deleting", "native_id": native_id, "attempts": 0, "next_at": now_ms(), **RELEASED}
    return connection.execute(update(native_objects).where(*where).values(**values)).rowcount == 1


def condemn_unused(connection: Connection, object_ids: Sequence[int]) -> list[int]:
    """Mark those of the live objects that represent no file for deletion; returns their ids.

    The caller's transaction must have locked their rows (`lock`), so that no file begins to share one meanwhile.
    """
    where = (native_objects.c.id.in_(object_ids), native_objects.c.state == "live", ~_HAS_COPIES)
    values = {"state": "deleting", "attempts": 0, "next_at": now_ms(), **absence.forgotten(), **RELEASED}
    statement = update(native_objects).where(*where).values(**values).returning(native_objects.c.id)
    return list(connection.execute(statement).scalars())


def due(connection: Connection, *, limit: int) -> list[DueObject]:
    """At most `limit` objects that are due to be looked for or deleted, and that nobody works on."""
    where = (native_objects.c.state.in_(UNSETTLED), native_objects.c.next_at <= now_ms(), _LEASES.free)
    statement = select(native_objects.c.id, native_objects.c.state).where(*where)
    return [DueObject(*row) for row in connection.execute(statement.order_by(native_objects.c.next_at).limit(limit))]


def claim(connection: Connection, object_id: int, *, state: str, worker: str, lease_ms: int) -> ClaimedObject | None:
    """Lease a due object in `state` to `worker`. None when it is not due, or somebody else was faster."""
    is_this = native_objects.c.id == object_id
    epoch = connection.execute(select(_LEASES.epoch).where(is_this)).scalar()
    if epoch is None:
        return None
    lease = Lease(object_id, epoch + 1, worker)
    is_due = (native_objects.c.state == state, native_objects.c.next_at <= now_ms())
    if not _LEASES.claim(connection, lease, *is_due, lease_ms=lease_ms):
        return None
    statement = select(
        native_objects.c.state,
        native_objects.c.account_id,
        native_objects.c.native_id,
        native_objects.c.filename,
        native_objects.c.bytes,
        native_objects.c.created_at,
        native_objects.c.last_error,
        _HAS_COPIES,
    )
    return ClaimedObject(lease, *connection.execute(statement.where(is_this)).one())


def postpone(connection: Connection, claimed: ClaimedObject, *, delay_ms: int, error: str) -> bool:
    """Release an object, to be tried again after `delay_ms`. False when the lease is lost."""
    return _release(connection, claimed, next_at=now_ms() + delay_ms, last_error=error)


def give_up(connection: Connection, claimed: ClaimedObject, *, error: str) -> bool:
    """Release an object as `unknown`, for the operator to see: it may exist or not. False when the lease is lost."""
    return _release(connection, claimed, state="unknown", next_at=None, last_error=error)


def finish(connection: Connection, claimed: ClaimedObject, *, note: str | None = None) -> bool:
    """Release an object as deleted. False when the lease is lost."""
    return _release(connection, claimed, state="deleted", deleted_at=now_ms(), next_at=None, last_error=note)


def observe(connection: Connection, object_id: int, *, status: str, expires_at: int | None) -> None:
    """Record what the provider says of a live object."""
    where = (native_objects.c.id == object_id, native_objects.c.state == "live")
    values = {"status": status, "expires_at": expires_at, **absence.cleared(native_objects)}
    connection.execute(update(native_objects).where(*where).values(**values))


def vanish(connection: Connection, object_id: int, *, note: str) -> None:
    """Record that the provider no longer has a live object; its copies are deleted with it."""
    row = lock(connection, object_id)
    if row is None or row.state != "live":
        return
    copies = (file_copies.c.native_object_id == object_id, file_copies.c.deleted_at.is_(None))
    connection.execute(update(file_copies).where(*copies).values(deleted_at=now_ms()))
    values = {"state": "deleted", "deleted_at": now_ms(), "last_error": note}
    connection.execute(update(native_objects).where(native_objects.c.id == object_id).values(**values))


def expired(connection: Connection, *, limit: int) -> Sequence[int]:
    """Ids of live objects that have expired at their provider."""
    statement = select(native_objects.c.id).where(
        native_objects.c.state == "live", native_objects.c.expires_at <= now_ms()
    )
    return connection.execute(statement.order_by(native_objects.c.expires_at).limit(limit)).scalars().all()


def known(connection: Connection, account_id: int, native_ids: Sequence[str]) -> set[str]:
    """Those of the native ids that have a row which is not deleted."""
    where = (
        native_objects.c.account_id == account_id,
        native_objects.c.native_id.in_(native_ids),
        native_objects.c.state != "deleted",
    )
    return {
        str(native_id) for native_id in connection.execute(select(native_objects.c.native_id).where(*where)).scalars()
    }


def count_sought(connection: Connection, *, account_id: int, filename: str, size: int | None) -> int:
    """How many unconfirmed uploads have this name and size."""
    where = (
        native_objects.c.account_id == account_id,
        native_objects.c.filename == filename,
        native_objects.c.bytes == size,
        native_objects.c.state.in_(("pending", "unknown")),
    )
    return int(connection.execute(select(func.count()).select_from(native_objects).where(*where)).scalar_one())


def _known(account_id: int, native_id: str) -> Select[int]:
    return select(native_objects.c.id).where(
        native_objects.c.account_id == account_id,
        native_objects.c.native_id == native_id,
        native_objects.c.state != "deleted",
    )


def _release(connection: Connection, claimed: ClaimedObject, **values: Any) -> bool:
    # The state, because the epoch starts again when it changes.
    return _LEASES.release(connection, claimed.lease, native_objects.c.state == claimed.state, **values)
