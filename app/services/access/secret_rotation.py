"""Sealing anew under the first key of the ring, while others read and write."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.auth.secrets import SealError, key_id
from app.data.access import secrets
from app.data.access.secrets import SealedColumn
from app.data.store.database import AnyRow, Connection
from app.errors import ConflictError, InvalidRequestError
from app.lib import failpoints
from app.services.access import pepper
from app.services.events import record
from app.services.gateway import Actor, Gateway

SLICE = 200
# Writers that seal under another key meanwhile have a ring that is not this one: no number of rounds ends that.
ROUNDS = 5
RING = "ring"


@dataclass(frozen=True, slots=True)
class ColumnStatus:
    """The values of one column: how many are sealed under which key (by its id), and how many no key opens."""

    label: str
    by_key: Mapping[str, int]
    unopened: int


@dataclass(frozen=True, slots=True)
class Status:
    """The ids of the ring's keys, the one that seals first, and what is sealed under them."""

    key_ids: list[str]
    columns: list[ColumnStatus]

    @property
    def unopened(self) -> int:
        """Values that no key of the ring opens."""
        return sum(column.unopened for column in self.columns)

    @property
    def outdated(self) -> int:
        """Values that a key opens which is not the first one."""
        return sum(count for column in self.columns for key, count in column.by_key.items() if key != self.key_ids[0])


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did, and what is so after it."""

    resealed: int
    new_key: str | None
    after: Status


def status(gateway: Gateway) -> Status:
    """What is sealed under which key; each value is opened to know. Raises SealError when the ring cannot be read."""
    gateway.ring.reread()
    with gateway.database.read() as connection:
        return _status(gateway, connection)


def rotate(gateway: Gateway, *, new_key: bool = False, actor: Actor = record.OPERATOR) -> Rotation:
    """Seal every value anew that is not sealed under the first key; with `new_key` make one first, in the kept file.

    May be interrupted at any instant and run again. Raises InvalidRequestError when the ring is not this store's, or
    when it is not kept in a file and so can have no new key here.
    """
    _require_ring_of_store(gateway)
    made = _add_key(gateway, actor) if new_key else None
    resealed = 0
    for _ in range(ROUNDS):
        done = sum(_reseal(gateway, column) for column in secrets.COLUMNS)
        resealed += done
        if not done:
            break
    after = status(gateway)
    if resealed:
        detail = {"key": after.key_ids[0], "resealed": resealed, "unopened": after.unopened}
        with gateway.database.write() as connection:
            record.record_act(connection, operation="secrets_rotate", object_id=RING, detail=detail, actor=actor)
    gateway.log.info("secrets.rotated", key=after.key_ids[0], resealed=resealed, unopened=after.unopened)
    return Rotation(resealed=resealed, new_key=made, after=after)


def drop_old(gateway: Gateway, *, actor: Actor = record.OPERATOR) -> list[str]:
    """Take all keys but the first out of the kept file; returns their ids. A key that is dropped is gone for good.

    Raises ConflictError while a value needs one of them or opens under none, InvalidRequestError as `rotate` does.
    """
    _require_file(gateway)
    # Values are sealed in the transactions that keep them, and those of SQLite come one after another.
    with gateway.database.write() as connection:
        gateway.ring.reread()
        found = _status(gateway, connection)
        if found.outdated or found.unopened:
            raise ConflictError(
                f"The old keys stay: {found.outdated} values need them and {found.unopened} open under no key. "
                "Run `batchgate secrets rotate`, and look at `batchgate secrets status`."
            )
        dropped = found.key_ids[1:]
        if dropped:
            detail = {"key": found.key_ids[0], "dropped": dropped}
            record.record_act(connection, operation="secrets_drop", object_id=RING, detail=detail, actor=actor)
            gateway.ring.drop_others()
    return dropped


def _add_key(gateway: Gateway, actor: Actor) -> str:
    _require_file(gateway)
    with gateway.database.write() as connection:  # one at a time
        made = gateway.ring.add_key()
        failpoints.hit("secrets.after_key")
        record.record_act(connection, operation="secrets_add_key", object_id=RING, detail={"key": made}, actor=actor)
    return made


def _reseal(gateway: Gateway, column: SealedColumn) -> int:
    """How many values of `column` were sealed anew; those that no key opens stay as they are."""
    done = 0
    for rows in _slices(gateway, column):
        for row in rows:
            purpose = _purpose(column, row)
            if key_id(row.sealed) == gateway.ring.key_ids[0] or not _opens(gateway, row.sealed, purpose):
                continue
            secret = gateway.ring.open(row.sealed, purpose=purpose)
            # One value is one transaction: no writer that needs two of these rows can be waited for in a circle.
            with gateway.database.write() as connection:
                new = gateway.ring.seal(secret, purpose=purpose)
                done += secrets.replace(connection, column, row.id, old=row.sealed, new=new)
            failpoints.hit("secrets.between_values")
    return done


def _slices(gateway: Gateway, column: SealedColumn) -> Iterator[list[AnyRow]]:
    after = 0
    while True:
        with gateway.database.read() as connection:
            rows = list(secrets.page(connection, column, after=after, limit=SLICE))
        if not rows:
            return
        yield rows
        after = rows[-1].id


def _status(gateway: Gateway, connection: Connection) -> Status:
    return Status(
        key_ids=gateway.ring.key_ids,
        columns=[_column_status(gateway, connection, column) for column in secrets.COLUMNS],
    )


def _column_status(gateway: Gateway, connection: Connection, column: SealedColumn) -> ColumnStatus:
    by_key: Counter[str] = Counter()
    unopened = after = 0
    while rows := secrets.page(connection, column, after=after, limit=SLICE):
        for row in rows:
            if key_id(row.sealed) in gateway.ring.key_ids and _opens(gateway, row.sealed, _purpose(column, row)):
                by_key[key_id(row.sealed)] += 1
            else:
                unopened += 1
        after = rows[-1].id
    return ColumnStatus(label=column.label, by_key=dict(by_key), unopened=unopened)


def _opens(gateway: Gateway, sealed: bytes, purpose: str) -> bool:
    try:
        gateway.ring.open(sealed, purpose=purpose)
    except SealError:
        return False
    return True


def _purpose(column: SealedColumn, row: AnyRow) -> str:
    return f"{column.label}:{row.bound_to}"


def _require_ring_of_store(gateway: Gateway) -> None:
    try:
        pepper.check(gateway.database, gateway.ring)
    except SealError as error:
        raise InvalidRequestError(
            f"This key ring is not the one of this store, so nothing was changed. {error} "
            "`batchgate secrets status` tells which keys there are."
        ) from error


def _require_file(gateway: Gateway) -> None:
    if gateway.ring.file is None:
        raise InvalidRequestError(
            "The ring is BATCHGATE_SECRET_KEY, which only you can change: see Secrets in docs/operations.md."
        )
