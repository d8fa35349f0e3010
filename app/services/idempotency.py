"""Idempotency keys: the same request gets the same answer, for a day (design: intent before effect)."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.data.audit import idempotency
from app.errors import ConflictError
from app.services.gateway import Caller, Gateway

MAX_KEY_LENGTH = 255
TWIN_RETRY_AFTER_S = 2
PURGE_SLICE = 1000


@dataclass(frozen=True, slots=True)
class Reservation:
    """The key is this request's, until `lease_until` (Unix milliseconds) and as long as nobody takes it over."""

    row_id: int
    lease_until: int


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What the first request with the key was answered."""

    body_sha256: str
    status_code: int
    body: dict[str, Any]


def begin(gateway: Gateway, caller: Caller, *, route: str, key: str, lease_s: float) -> Reservation | StoredAnswer:
    """Reserve `key` for this request, or find what the first one was answered.

    Raises ConflictError with a Retry-After while the first one is being answered.
    """

    def unit(connection: Connection) -> Reservation | StoredAnswer | None:
        mine = idempotency.reserve(connection, project_id=caller.project_id, route=route, key=key, lease_s=lease_s)
        if mine is not None:
            return Reservation(row_id=mine.id, lease_until=mine.lease_until)
        row = idempotency.find(connection, project_id=caller.project_id, route=route, key=key)
        if row is None or row.state != "done":
            return None
        return StoredAnswer(body_sha256=row.body_sha256, status_code=row.status_code, body=row.answer)

    found = gateway.database.run(unit)
    if found is None:
        raise ConflictError(
            "A request with this Idempotency-Key is being answered; send it again in a moment.",
            param="Idempotency-Key",
            code="idempotency_key_in_flight",
            retry_after_s=TWIN_RETRY_AFTER_S,
        )
    return found


def compare(stored: StoredAnswer, body_sha256: str) -> None:
    """Raises ConflictError unless this request says the same as the first one with its key."""
    if stored.body_sha256 != body_sha256:
        raise ConflictError(
            "This Idempotency-Key was used for another request; use a new key for a new request.",
            param="Idempotency-Key",
            code="idempotency_key_reused",
        )


def complete(
    connection: Connection, reservation: Reservation, *, body_sha256: str, status_code: int, body: dict[str, Any]
) -> None:
    """Keep the answer, in the transaction that makes what it tells of.

    Raises ConflictError when the lease ran out and a twin took the key, so that only one of them makes anything.
    """
    kept = idempotency.complete(
        connection,
        reservation.row_id,
        lease_until=reservation.lease_until,
        body_sha256=body_sha256,
        status_code=status_code,
        answer=body,
    )
    if not kept:
        raise ConflictError(
            "This request took longer than the lease of its Idempotency-Key, and another one with the key took over.",
            param="Idempotency-Key",
            code="idempotency_key_in_flight",
            retry_after_s=TWIN_RETRY_AFTER_S,
        )


def free(gateway: Gateway, reservation: Reservation) -> None:
    """Give the key back after a failure, so that the next request with it is a first one."""
    try:
        with gateway.database.write() as connection:
            idempotency.free(connection, reservation.row_id, lease_until=reservation.lease_until)
    except SQLAlchemyError as error:
        # The failure that led here is what the caller must hear of; the lease frees the key soon.
        gateway.log.warning("idempotency.not_freed", error=str(error))


def purge_due(gateway: Gateway) -> int:
    """Delete keys that are over a day old, a slice at a time; returns how many."""
    purged = 0
    while True:
        with gateway.database.write() as connection:
            count = idempotency.purge(connection, limit=PURGE_SLICE)
        purged += count
        if count < PURGE_SLICE:
            return purged
