"""Rows of blobs: pending before the first byte, live once durable, deleting until the bytes are gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from app.data.backups.state import HELD
from app.data.store.database import inserted_id, now_ms
from app.data.tables import blobs, container_files, files, upload_parts
from app.data.tables.batches import batch_chunks

SLICE_IDS = 500


@dataclass(frozen=True, slots=True)
class Leftover:
    """A blob whose bytes are to be deleted. `state`: deleting, or pending when its writer went silent."""

    id: int
    store: str
    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where bytes are: the URL of the store, and their name there."""

    store: str
    name: str


@dataclass(frozen=True, slots=True)
class Movable:
    """A live blob, and where it is. `sha256` is None for blobs that were written without a hash."""

    id: int
    key: str
    place: Place
    bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Holding:
    """What a store has: how many live blobs, and how many bytes."""

    store: str
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LiveBlob:
    """Where the bytes of a live blob are. `sha256` is None for blobs that were written without a hash."""

    key: str
    store: str
    bytes: int
    sha256: str | None


# A blob that was moved has another name than its key, which stays what everything else knows it by.
_name = func.coalesce(blobs.c.object, blobs.c.key)
_LEFTOVER = (blobs.c.id, blobs.c.store, _name, blobs.c.state)


def insert_pending(connection: Connection, *, key: str, store: str, lease_s: float) -> int:
    """Record that bytes are about to be written; returns the row id. The sweeper spares the blob during its lease."""
    return inserted_id(
        connection,
        insert(blobs).values(
            key=key, store=store, state="pending", created_at=now_ms(), lease_until=now_ms() + int(lease_s * 1000)
        ),
    )


def renew(connection: Connection, blob_id: int, *, lease_s: float) -> bool:
    """Extend the lease of a pending blob. False when the sweeper has taken it."""
    statement = (
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.state == "pending")
        .values(lease_until=now_ms() + int(lease_s * 1000))
    )
    return connection.execute(statement).rowcount == 1


def mark_live(
    connection: Connection,
    blob_id: int,
    *,
    size: int,
    sha256: str | None,
    input_facts: Mapping[str, Any] | None = None,
) -> bool:
    """Record that the bytes are durable. False when the row is no longer pending: then they must not be used.

    `input_facts` are what is known of these bytes as a batch input.
    """
    statement = (
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.state == "pending")
        .values(state="live", bytes=size, sha256=sha256, input_facts=input_facts, lease_until=None)
    )
    return connection.execute(statement).rowcount == 1


def forget(connection: Connection, blob_id: int) -> None:
    """Remove the row of a blob whose bytes have been deleted."""
    connection.execute(delete(blobs).where(blobs.c.id == blob_id, blobs.c.state != "live"))


def acquire(connection: Connection, blob_id: int) -> bool:
    """Count one more reference to a live blob. False when the blob is being deleted."""
    statement = update(blobs).where(blobs.c.id == blob_id, blobs.c.state == "live").values(refs=blobs.c.refs + 1)
    return connection.execute(statement).rowcount == 1


def release(connection: Connection, blob_id: int) -> None:
    """Count one reference fewer; the last one marks the blob for deletion."""
    connection.execute(update(blobs).where(blobs.c.id == blob_id).values(refs=blobs.c.refs - 1))
    connection.execute(
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.refs <= 0, blobs.c.state == "live")
        .values(state="deleting", lease_until=None)
    )


def condemn(connection: Connection, blob_id: int) -> bool:
    """Mark a pending blob for deletion, on behalf of its writer. False when it is live or the sweeper has taken it."""
    statement = (
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.state == "pending")
        .values(state="deleting", lease_until=None)
    )
    return connection.execute(statement).rowcount == 1


def condemn_abandoned(connection: Connection, blob_id: int) -> bool:
    """Mark a pending blob for deletion if its lease has expired. False when its writer came back."""
    statement = (
        update(blobs)
        .where(blobs.c.id == blob_id, blobs.c.state == "pending", blobs.c.lease_until < now_ms())
        .values(state="deleting")
    )
    return connection.execute(statement).rowcount == 1


def unsettled(connection: Connection, *, limit: int) -> list[Leftover]:
    """At most `limit` blobs to delete: those marked for deletion, and pending ones whose lease has expired.

    While a backup copies bytes, none that is marked for deletion: it was live when the rows were copied.
    """
    found: list[Leftover] = []
    # Two queries, since the index answers each of them, but not the two together.
    for which in (
        and_(blobs.c.state == "deleting", ~HELD),
        and_(blobs.c.state == "pending", blobs.c.lease_until < now_ms()),
    ):
        statement = select(*_LEFTOVER).where(blobs.c.state != "live", which)
        rows = connection.execute(statement.order_by(blobs.c.lease_until).limit(limit - len(found)))
        found += [Leftover(*row) for row in rows]
    return found


def condemned(connection: Connection, blob_id: int) -> Leftover | None:
    """A blob that is marked for deletion; None for any other, and while a backup copies bytes."""
    statement = select(*_LEFTOVER).where(blobs.c.id == blob_id, blobs.c.state == "deleting", ~HELD)
    row = connection.execute(statement).first()
    return None if row is None else Leftover(*row)


def place(connection: Connection, key: str) -> Place | None:
    """Where the bytes of the blob with this key are, or were to be."""
    row = connection.execute(select(blobs.c.store, _name).where(blobs.c.key == key)).first()
    return None if row is None else Place(*row)


def elsewhere(connection: Connection, *, store: str, after: int, limit: int) -> list[Movable]:
    """Live blobs that are in other stores than `store`, in the order of their ids, from the one behind `after`."""
    statement = (
        select(blobs.c.id, blobs.c.key, blobs.c.store, _name, blobs.c.bytes, blobs.c.sha256)
        .where(blobs.c.id > after, blobs.c.state == "live", blobs.c.store != store)
        .order_by(blobs.c.id)
        .limit(limit)
    )
    return [
        Movable(row_id, key, Place(at, name), size, sha256)
        for row_id, key, at, name, size, sha256 in connection.execute(statement)
    ]


def exchange(connection: Connection, blob: Movable, copy_id: int) -> bool:
    """Let a live blob be where its copy is, the pending blob `copy_id`, which is left with the old place, for deletion.

    False, and nothing is changed, when the blob was deleted or moved meanwhile, or the sweeper has taken the copy.
    """
    copy = connection.execute(
        select(blobs.c.store, _name).where(blobs.c.id == copy_id, blobs.c.state == "pending").with_for_update()
    ).first()
    if copy is None:
        return False
    moved = update(blobs).where(*_is_at(blob)).values(store=copy[0], object=copy[1])
    if connection.execute(moved).rowcount != 1:
        return False
    left = update(blobs).where(blobs.c.id == copy_id, blobs.c.state == "pending")
    left = left.values(state="deleting", lease_until=None, store=blob.place.store, object=blob.place.name)
    return connection.execute(left).rowcount == 1


def is_at(connection: Connection, blob: Movable) -> bool:
    """Whether the blob is still where it was found, and nobody has deleted it."""
    return connection.execute(select(blobs.c.id).where(*_is_at(blob))).first() is not None


def holdings(connection: Connection) -> list[Holding]:
    """What each store has. Reads the whole table; for operators."""
    statement = (
        select(blobs.c.store, func.count(), func.coalesce(func.sum(blobs.c.bytes), 0))
        .where(blobs.c.state == "live")
        .group_by(blobs.c.store)
        .order_by(blobs.c.store)
    )
    return [Holding(*row) for row in connection.execute(statement)]


def stores_of(connection: Connection, blob_ids: Sequence[int]) -> dict[int, str]:
    """The URL of the store that each blob is in, by row id."""
    found: dict[int, str] = {}
    for start in range(0, len(blob_ids), SLICE_IDS):
        ids = blob_ids[start : start + SLICE_IDS]
        rows = connection.execute(select(blobs.c.id, blobs.c.store).where(blobs.c.id.in_(ids)))
        found |= {row.id: row.store for row in rows}
    return found


def locate(connection: Connection, blob_id: int) -> LiveBlob | None:
    """Where the bytes of a live blob are."""
    statement = select(blobs.c.key, blobs.c.store, blobs.c.bytes, blobs.c.sha256).where(
        blobs.c.id == blob_id, blobs.c.state == "live"
    )
    row = connection.execute(statement).first()
    return None if row is None else LiveBlob(*row)


def _is_at(blob: Movable) -> tuple[ColumnElement[bool], ...]:
    is_there = (blobs.c.store == blob.place.store, _name == blob.place.name)
    return (blobs.c.id == blob.id, *is_there, blobs.c.state == "live")


def live_after(connection: Connection, blob_id: int, *, limit: int) -> list[Movable]:
    """At most `limit` live blobs with ids above `blob_id`, by id."""
    columns = (blobs.c.id, blobs.c.key, blobs.c.store, _name, blobs.c.bytes, blobs.c.sha256)
    statement = select(*columns).where(blobs.c.id > blob_id, blobs.c.state == "live").order_by(blobs.c.id).limit(limit)
    return [
        Movable(row_id, key, Place(at, name), size, sha256)
        for row_id, key, at, name, size, sha256 in connection.execute(statement)
    ]


def total_live(connection: Connection) -> tuple[int, int]:
    """How many blobs are live, and how many bytes they have. Scans the table; for backups."""
    statement = select(func.count(), func.coalesce(func.sum(blobs.c.bytes), 0)).where(blobs.c.state == "live")
    count, size = connection.execute(statement).one()
    return int(count), int(size)


def relocate(connection: Connection, *, store: str) -> None:
    """Record that the bytes of all blobs are in `store`, each under its key."""
    connection.execute(update(blobs).values(store=store, object=None))


def count_orphans(connection: Connection) -> int:
    """How many live blobs no row refers to: zero, unless there is a bug. Scans the table; for tests and audits."""
    used = [
        select(column).where(column.is_not(None))
        for column in (files.c.blob_id, upload_parts.c.blob_id, container_files.c.blob_id, batch_chunks.c.blob_id)
    ]
    statement = select(func.count()).select_from(blobs).where(blobs.c.state == "live")
    for ids in used:
        statement = statement.where(blobs.c.id.not_in(ids))
    return int(connection.execute(statement).scalar_one())
