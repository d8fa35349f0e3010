"""Rows of native objects, and of the copies that they stand for.

An object is `pending` before the provider is asked, `live` when it has confirmed, `deleting` until it is gone there.
One that never came into being leaves no row. Two files may share an object where the provider deduplicates.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, exists, func, insert, literal, or_, select, update

from app.data.store.database import AnyRow, inserted_id, now_ms
from app.data.tables import accounts, file_copies, native_objects

UNSETTLED = ("pending", "deleting")

_FREE = or_(native_objects.c.lease_until.is_(None), native_objects.c.lease_until < now_ms())
_FREED: dict[str, Any] = {"worker": None, "lease_until": None}
_HAS_COPIES = exists(
    select(literal(1)).where(file_copies.c.native_object_id == native_objects.c.id, file_copies.c.deleted_at.is_(None))
).correlate(native_objects)


def get(connection: Connection, object_id: int) -> AnyRow | None:
    """A row, with `is_wanted`: whether a file needs the object."""
    statement = select(native_objects, _HAS_COPIES.label("is_wanted")).where(native_objects.c.id == object_id)
    return connection.execute(statement).first()


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
) -> int:
    """The intent: a file is about to be made under `filename`. It is looked for `grace_ms` after its lease ran out."""
    values = {
        "account_id": account_id,
        "state": "pending",
        "variant": variant,
        "purpose": purpose,
        "filename": filename,
        "bytes": size,
        "worker": worker,
        "created_at": now_ms(),
        "lease_until": now_ms() + lease_ms,
        "next_at": now_ms() + lease_ms + grace_ms,
    }
    return inserted_id(connection, insert(native_objects).values(**values))


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
    """An object that exists at the provider; the row that it has already, if there is one."""
    lock_account(connection, account_id)
    where = (
        native_objects.c.account_id == account_id,
        native_objects.c.native_id == native_id,
        native_objects.c.state != "deleted",
    )
    known = connection.execute(select(native_objects.c.id).where(*where).with_for_update()).scalar()
    if known is not None:
        return int(known)
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
    """An object that came into being after it was given up: to be deleted, unless it is known."""
    where = (
        native_objects.c.account_id == account_id,
        native_objects.c.native_id == native_id,
        native_objects.c.state != "deleted",
    )
    if connection.execute(select(native_objects.c.id).where(*where)).first() is None:
        values = {"account_id": account_id, "native_id": native_id, "filename": filename, "purpose": purpose}
        more = {"state": "deleting", "variant": "raw", "created_at": now_ms(), "next_at": now_ms()}
        connection.execute(insert(native_objects).values(**values, **more))


def renew(connection: Connection, object_id: int, *, worker: str, lease_ms: int, grace_ms: int) -> bool:
    """Keep an object that is being uploaded. False when it is somebody else's by now."""
    where = (
        native_objects.c.id == object_id,
        native_objects.c.state == "pending",
        native_objects.c.worker == worker,
    )
    values = {"lease_until": now_ms() + lease_ms, "next_at": now_ms() + lease_ms + grace_ms}
    return connection.execute(update(native_objects).where(*where).values(**values)).rowcount == 1


def drop(connection: Connection, object_id: int) -> bool:
    """Forget an object that never came into being, and its copies. False when it is not pending."""
    if not _lock(connection, object_id, "pending"):
        return False
    connection.execute(delete(file_copies).where(file_copies.c.native_object_id == object_id))
    connection.execute(delete(native_objects).where(native_objects.c.id == object_id))
    return True


def lose(connection: Connection, object_id: int, *, worker: str, grace_ms: int, error: str) -> None:
    """It is not known whether the object came into being; it is looked for after `grace_ms`."""
    where = (native_objects.c.id == object_id, native_objects.c.state == "pending", native_objects.c.worker == worker)
    values = {"next_at": now_ms() + grace_ms, "last_error": error, **_FREED}
    connection.execute(update(native_objects).where(*where).values(**values))


def lock_account(connection: Connection, account_id: int) -> None:
    """Settle one object of an account at a time: two may turn out to be the same."""
    statement = select(accounts.c.id).where(accounts.c.id == account_id).with_for_update(key_share=True)
    connection.execute(statement)


def lock(connection: Connection, object_id: int) -> AnyRow | None:
    """A row that nobody else changes until the transaction ends."""
    statement = select(native_objects).where(native_objects.c.id == object_id).with_for_update()
    return connection.execute(statement).first()


def twin(connection: Connection, *, account_id: int, native_id: str, than: int) -> AnyRow | None:
    """The other row with this native id, one that is not deleted first; `is_held` while somebody works on it."""
    statement = select(
        native_objects.c.id,
        native_objects.c.state,
        native_objects.c.attempts,
        native_objects.c.deleted_at,
        (~_FREE).label("is_held"),
    ).where(
        native_objects.c.account_id == account_id,
        native_objects.c.native_id == native_id,
        native_objects.c.id != than,
    )
    newest = (native_objects.c.state == "deleted", native_objects.c.id.desc())
    return connection.execute(statement.order_by(*newest).limit(1).with_for_update()).first()


def make_live(
    connection: Connection, object_id: int, *, native_id: str, status: str, size: int | None, expires_at: int | None
) -> bool:
    """The provider has the object. False when it is neither expected nor about to be deleted."""
    where = (native_objects.c.id == object_id, native_objects.c.state.in_(("pending", "live", "unknown", "deleting")))
    values = {"state": "live", "native_id": native_id, "status": status, "expires_at": expires_at}
    more = {"attempts": 0, "next_at": None, "last_error": None, **_FREED}
    if size is not None:
        more["bytes"] = size
    return connection.execute(update(native_objects).where(*where).values(**values, **more)).rowcount == 1


def outdate_delete(connection: Connection, object_id: int) -> None:
    """The deletion that is under way will not count: the object may be there again after it."""
    where = (native_objects.c.id == object_id, native_objects.c.state == "deleting")
    statement = update(native_objects).where(*where)
    connection.execute(statement.values(attempts=native_objects.c.attempts + 1, next_at=native_objects.c.lease_until))


def condemn(connection: Connection, object_id: int, *, native_id: str) -> bool:
    """An object whose upload nobody needs any more: to be deleted at the provider. False when it is settled."""
    where = (native_objects.c.id == object_id, native_objects.c.state.in_(("pending", "unknown")))
    values = {"state": "deleting", "native_id": native_id, "attempts": 0, "next_at": now_ms(), **_FREED}
    return connection.execute(update(native_objects).where(*where).values(**values)).rowcount == 1


def condemn_unused(connection: Connection, object_ids: Sequence[int]) -> list[int]:
    """Those of the live objects that stand for no file any more are to be deleted; returns them.

    The caller's transaction must hold their rows (`lock`), so that nobody shares one at this moment.
    """
    where = (native_objects.c.id.in_(object_ids), native_objects.c.state == "live", ~_HAS_COPIES)
    values = {"state": "deleting", "attempts": 0, "next_at": now_ms(), **_FREED}
    statement = update(native_objects).where(*where).values(**values).returning(native_objects.c.id)
    return [int(found) for found in connection.execute(statement).scalars()]


def due(connection: Connection, *, limit: int) -> Sequence[AnyRow]:
    """(id, state) of objects to be looked for or deleted."""
    where = (native_objects.c.state.in_(UNSETTLED), native_objects.c.next_at <= now_ms(), _FREE)
    statement = select(native_objects.c.id, native_objects.c.state).where(*where)
    return connection.execute(statement.order_by(native_objects.c.next_at).limit(limit)).all()


def claim(connection: Connection, object_id: int, *, state: str, worker: str, lease_ms: int) -> AnyRow | None:
    """Take a due object in `state`; its row as it is then, with `is_wanted`. None when someone was faster."""
    where = (
        native_objects.c.id == object_id,
        native_objects.c.state == state,
        native_objects.c.next_at <= now_ms(),
        _FREE,
    )
    values = {"worker": worker, "lease_until": now_ms() + lease_ms, "attempts": native_objects.c.attempts + 1}
    if connection.execute(update(native_objects).where(*where).values(**values)).rowcount != 1:
        return None
    return get(connection, object_id)


def postpone(connection: Connection, claimed: AnyRow, *, delay_ms: int, error: str) -> bool:
    """Try again after `delay_ms`. False when the claim is lost."""
    values = {"next_at": now_ms() + delay_ms, "last_error": error, **_FREED}
    return _change(connection, claimed, values)


def give_up(connection: Connection, claimed: AnyRow, *, error: str) -> bool:
    """It can't be known whether the object is there: the operator sees it as unknown. False when the claim is lost."""
    return _change(connection, claimed, {"state": "unknown", "next_at": None, "last_error": error, **_FREED})


def finish(connection: Connection, claimed: AnyRow, *, note: str | None = None) -> bool:
    """The object is gone. False when the claim is lost."""
    values = {"state": "deleted", "deleted_at": now_ms(), "next_at": None, "last_error": note, **_FREED}
    return _change(connection, claimed, values)


def observe(connection: Connection, object_id: int, *, status: str, expires_at: int | None) -> None:
    """What was seen of a live object."""
    where = (native_objects.c.id == object_id, native_objects.c.state == "live")
    connection.execute(update(native_objects).where(*where).values(status=status, expires_at=expires_at))


def vanish(connection: Connection, object_id: int, *, note: str) -> None:
    """The provider has a live object no longer; its copies go with it."""
    if not _lock(connection, object_id, "live"):
        return
    copies = (file_copies.c.native_object_id == object_id, file_copies.c.deleted_at.is_(None))
    connection.execute(update(file_copies).where(*copies).values(deleted_at=now_ms()))
    values = {"state": "deleted", "deleted_at": now_ms(), "last_error": note}
    connection.execute(update(native_objects).where(native_objects.c.id == object_id).values(**values))


def expired(connection: Connection, *, limit: int) -> Sequence[int]:
    """Live objects whose time at the provider is over."""
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
    return {str(found) for found in connection.execute(select(native_objects.c.native_id).where(*where)).scalars()}


def count_sought(connection: Connection, *, account_id: int, filename: str, size: int | None) -> int:
    """How many uploads that nobody confirmed look like this one."""
    where = (
        native_objects.c.account_id == account_id,
        native_objects.c.filename == filename,
        native_objects.c.bytes == size,
        native_objects.c.state.in_(("pending", "unknown")),
    )
    return int(connection.execute(select(func.count()).select_from(native_objects).where(*where)).scalar_one())


def _lock(connection: Connection, object_id: int, state: str) -> bool:
    row = lock(connection, object_id)
    return row is not None and row.state == state


def _change(connection: Connection, claimed: AnyRow, values: dict[str, Any]) -> bool:
    # `attempts` tells this claim from a later one of the same process, and from one that was outdated.
    where = (
        native_objects.c.id == claimed.id,
        native_objects.c.state == claimed.state,
        native_objects.c.worker == claimed.worker,
        native_objects.c.attempts == claimed.attempts,
    )
    return connection.execute(update(native_objects).where(*where).values(**values)).rowcount == 1
