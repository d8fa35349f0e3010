"""Idempotency keys: the same request gets the same answer, for a day (design: intent before effect)."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.data.audit import idempotency
from app.data.audit.idempotency import Reservation as Reservation  # what callers of this module get
from app.data.audit.idempotency import StoredAnswer as StoredAnswer
from app.errors import ConflictError
from app.services import store_errors
from app.services.gateway import Caller, Gateway

MAX_KEY_LENGTH = 255
TWIN_RETRY_AFTER_S = 2
PURGE_SLICE_ROWS = 1000

T = TypeVar("T")

# How a service stores the answer to a request that makes something: it calls this with the new object, last in the
# transaction that makes the object, so that the object and the stored answer come into being together or not at all.
Settle = Callable[[Connection, T], None]


def begin(gateway: Gateway, caller: Caller, *, route: str, key: str, lease_s: float) -> Reservation | StoredAnswer:
    """Reserve `key` for this request, or return the answer that the first request with it got.

    Raises ConflictError with a Retry-After while the first one is in flight.
    """

    def unit(connection: Connection) -> Reservation | StoredAnswer | None:
        reservation = idempotency.reserve(
            connection, project_id=caller.project_id, route=route, key=key, lease_s=lease_s
        )
        return reservation or idempotency.find(connection, project_id=caller.project_id, route=route, key=key)

    result = gateway.database.run(unit)
    if result is None:
        raise ConflictError(
            "A request with this Idempotency-Key is in flight; retry in a moment.",
            param="Idempotency-Key",
            code="idempotency_key_in_flight",
            retry_after_s=TWIN_RETRY_AFTER_S,
        )
    return result


def compare(stored: StoredAnswer, body_sha256: str) -> None:
    """Raises ConflictError unless this request equals the first one with its key."""
    if stored.body_sha256 != body_sha256:
        raise ConflictError(
            "This Idempotency-Key was used for another request; use a new key for a new request.",
            param="Idempotency-Key",
            code="idempotency_key_reused",
        )


def complete(
    connection: Connection, reservation: Reservation, *, body_sha256: str, status_code: int, body: dict[str, Any]
) -> None:
    """Store the answer, in the transaction that makes the object it describes.

    Raises ConflictError when the lease expired and a twin took the key, so that only one of them makes anything.
    """
    is_stored = idempotency.complete(
        connection, reservation, body_sha256=body_sha256, status_code=status_code, answer=body
    )
    if not is_stored:
        raise ConflictError(
            "This request outlived the lease of its Idempotency-Key, and another request took the key over.",
            param="Idempotency-Key",
            code="idempotency_key_in_flight",
            retry_after_s=TWIN_RETRY_AFTER_S,
        )


def free(gateway: Gateway, reservation: Reservation) -> None:
    """Free the key after a failure, so that the next request with it counts as the first."""
    try:
        with gateway.database.write() as connection:
            idempotency.free(connection, reservation)
    except SQLAlchemyError as error:
        # The caller must hear of the failure that led here; the lease frees the key soon.
        gateway.log.warning("idempotency.not_freed", reason=store_errors.reason(error))


def purge_due(gateway: Gateway) -> int:
    """Delete expired keys, a slice at a time; returns how many."""
    total = 0
    while True:
        with gateway.database.write() as connection:
            count = idempotency.purge(connection, limit=PURGE_SLICE_ROWS)
        total += count
        if count < PURGE_SLICE_ROWS:
            return total
