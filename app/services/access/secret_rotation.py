"""Reseals all secrets under the first key of the ring, while other processes read and write."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.auth.secrets import SealError, key_id
from app.data.access import secrets
from app.data.access.secrets import SealedColumn, SealedValue
from app.data.store.database import Connection
from app.errors import ConflictError, InvalidRequestError
from app.lib import failpoints
from app.services.access import pepper
from app.services.events import record
from app.services.gateway import Actor, Gateway

SLICE = 200
# A process with a different ring may seal under another key in the meantime; more rounds would not help against that.
MAX_ROUNDS = 5
RING = "ring"


@dataclass(frozen=True, slots=True)
class ColumnStatus:
    """How many values of one column are sealed under each key (by key id), and how many no key of the ring opens."""

    label: str
    by_key: Mapping[str, int]
    unopened: int


@dataclass(frozen=True, slots=True)
class Status:
    """The ids of the ring's keys, the sealing key first, and what is sealed under them."""

    key_ids: list[str]
    columns: list[ColumnStatus]

    @property
    def unopened(self) -> int:
        """Values that no key of the ring opens."""
        return sum(column.unopened for column in self.columns)

    @property
    def outdated(self) -> int:
        """Values that are sealed under a key other than the first."""
        return sum(count for column in self.columns for key, count in column.by_key.items() if key != self.key_ids[0])


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did, and the status afterwards."""

    resealed: int
    new_key: str | None
    after: Status


def status(gateway: Gateway) -> Status:
    """Returns what is sealed under which key, by opening every value. Raises SealError when the ring cannot be read."""
    gateway.ring.reread()
    with gateway.database.read() as connection:
        return _status(gateway, connection)


def rotate(gateway: Gateway, *, new_key: bool = False, actor: Actor = record.OPERATOR) -> Rotation:
    """Reseals every value that is not sealed under the first key. `new_key` first adds a key to the ring's file.

    It can be interrupted at any time and run again. Raises InvalidRequestError when the ring does not belong to this
    store, or when a new key is requested but the ring is not a file.
    """
    _require_ring_of_store(gateway)
    made = _add_key(gateway, actor) if new_key else None
    resealed = 0
    for _ in range(MAX_ROUNDS):
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
    """Removes all keys except the first from the ring's file, for good; returns their ids.

    Raises ConflictError while a value needs one of them or opens under no key, InvalidRequestError as `rotate` does.
    """
    _require_file(gateway)
    # Values are sealed within the transaction that stores them, and SQLite serializes write transactions.
    with gateway.database.write() as connection:
        gateway.ring.reread()
        current = _status(gateway, connection)
        if current.outdated or current.unopened:
            raise ConflictError(
                f"The old keys were not removed: {current.outdated} values need them and {current.unopened} open under "
                "no key. Run `batchgate secrets rotate`, then check `batchgate secrets status`."
            )
        dropped = current.key_ids[1:]
        if dropped:
            detail = {"key": current.key_ids[0], "dropped": dropped}
            record.record_act(connection, operation="secrets_drop", object_id=RING, detail=detail, actor=actor)
            gateway.ring.drop_others()
    return dropped


def _add_key(gateway: Gateway, actor: Actor) -> str:
    _require_file(gateway)
    with gateway.database.write() as connection:  # serializes concurrent rotations on SQLite
        made = gateway.ring.add_key()
        failpoints.hit("secrets.after_key")
        record.record_act(connection, operation="secrets_add_key", object_id=RING, detail={"key": made}, actor=actor)
    return made


def _reseal(gateway: Gateway, column: SealedColumn) -> int:
    """Reseals the values of one column and returns how many; values that no key opens stay as they are."""
    done = 0
    for values in _slices(gateway, column):
        for value in values:
            purpose = _purpose(column, value)
            if key_id(value.sealed) == gateway.ring.key_ids[0] or not _opens(gateway, value.sealed, purpose):
                continue
            secret = gateway.ring.open(value.sealed, purpose=purpose)
            # One transaction for each value: a writer that locks two of these rows cannot cause a deadlock.
            with gateway.database.write() as connection:
                new = gateway.ring.seal(secret, purpose=purpose)
                done += secrets.replace(connection, column, value.id, old=value.sealed, new=new)
            failpoints.hit("secrets.between_values")
    return done


def _slices(gateway: Gateway, column: SealedColumn) -> Iterator[list[SealedValue]]:
    after = 0
    while True:
        with gateway.database.read() as connection:
            values = list(secrets.page(connection, column, after=after, limit=SLICE))
        if not values:
            return
        yield values
        after = values[-1].id


def _status(gateway: Gateway, connection: Connection) -> Status:
    return Status(
        key_ids=gateway.ring.key_ids,
        columns=[_column_status(gateway, connection, column) for column in secrets.COLUMNS],
    )


def _column_status(gateway: Gateway, connection: Connection, column: SealedColumn) -> ColumnStatus:
    by_key: Counter[str] = Counter()
    unopened = after = 0
    while values := secrets.page(connection, column, after=after, limit=SLICE):
        for value in values:
            key = key_id(value.sealed)
            if key in gateway.ring.key_ids and _opens(gateway, value.sealed, _purpose(column, value)):
                by_key[key] += 1
            else:
                unopened += 1
        after = values[-1].id
    return ColumnStatus(label=column.label, by_key=dict(by_key), unopened=unopened)


def _opens(gateway: Gateway, sealed: bytes, purpose: str) -> bool:
    try:
        gateway.ring.open(sealed, purpose=purpose)
    except SealError:
        return False
    return True


def _purpose(column: SealedColumn, value: SealedValue) -> str:
    return f"{column.label}:{value.bound_to}"


def _require_ring_of_store(gateway: Gateway) -> None:
    try:
        pepper.check(gateway.database, gateway.ring)
    except SealError as error:
        raise InvalidRequestError(
            f"This key ring does not belong to this store; nothing was changed. {error} "
            "`batchgate secrets status` lists the ring's keys."
        ) from error


def _require_file(gateway: Gateway) -> None:
    if gateway.ring.file is None:
        raise InvalidRequestError(
            "The key ring is set by BATCHGATE_SECRET_KEY, so change that variable: see Secrets in docs/operations.md."
        )
