"""Keys as they change and end. Each change is an event, in the transaction that makes it."""

from collections.abc import Mapping
from typing import Any, Unpack

from sqlalchemy import Connection

from app.data.access import keys
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services.access import key_fields, key_secrets, key_stop
from app.services.access.key_fields import KeyChanges
from app.services.access.key_secrets import IssuedKey
from app.services.events import record
from app.services.gateway import Actor, Gateway

MOST_GRACE_S = 90 * 24 * 3600
SHOWN_ID = 48


def update(gateway: Gateway, public_id: str, *, actor: Actor = record.OPERATOR, **changes: Unpack[KeyChanges]) -> None:
    """Change fields of a key; those not named stay. Requests see it at once, running work goes on.

    Raises InvalidRequestError, NotFoundError, and ConflictError when it is revoked.
    """
    values = key_fields.checked(gateway, changes)
    if not values:
        raise InvalidRequestError("Name at least one field to change.")

    def unit(connection: Connection) -> None:
        row = _lock(connection, public_id)
        if not keys.change_key(connection, row.id, values):
            raise _revoked(public_id)
        _record(connection, "key_update", row, actor, values)

    gateway.database.run(unit)
    gateway.log.info("key.updated", key=public_id, fields=sorted(values))


def expire(gateway: Gateway, public_id: str, *, at_ms: int | None = None, actor: Actor = record.OPERATOR) -> None:
    """End a key now, or at an instant to come; what runs goes on to its end.

    Raises InvalidRequestError, NotFoundError, and ConflictError when it is revoked.
    """
    at = key_fields.checked(gateway, {"expires_at": at_ms})["expires_at"]

    def unit(connection: Connection) -> None:
        row = _lock(connection, public_id)
        if not keys.change_key(connection, row.id, {"expires_at": True if at is None else at}):
            raise _revoked(public_id)
        _record(connection, "key_expire", row, actor, {"expires_at": at})

    gateway.database.run(unit)
    gateway.log.info("key.expired", key=public_id, at=at)


def rotate(gateway: Gateway, public_id: str, *, grace_s: float = 0, actor: Actor = record.OPERATOR) -> IssuedKey:
    """Give a key another secret; the old one ends at once, or after `grace_s`. What runs goes on to its end.

    Of two rotations within the grace of the first, only the last two secrets count. Raises InvalidRequestError,
    NotFoundError, and ConflictError when the key is over or has no secret.
    """
    if not 0 <= grace_s <= MOST_GRACE_S:
        raise InvalidRequestError(f"grace must be 0 to {MOST_GRACE_S} seconds.", param="grace")
    if not _is_possible(public_id):
        raise not_found(public_id)
    secret = key_secrets.new_secret()
    new_hmac = key_secrets.digest(gateway.pepper(), public_id, secret)

    def unit(connection: Connection) -> AnyRow:
        row = _lock(connection, public_id)
        if row.kind != key_secrets.VIRTUAL:
            raise ConflictError(f"Key {public_id} stands for a {row.kind} credential: it has no secret to rotate.")
        if row.is_expired:
            raise ConflictError(f"Key {public_id} is expired: give it another expiry first, or make a new key.")
        hmacs = {"old_hmac": row.secret_hmac, "new_hmac": new_hmac}
        if not keys.replace_secret(connection, row.id, **hmacs, grace_ms=int(grace_s * 1000)):
            raise _revoked(public_id)
        _record(connection, "key_rotate", row, actor, {"grace_s": grace_s})
        return row

    row = gateway.database.run(unit)
    gateway.log.info("key.rotated", key=public_id, grace_s=grace_s)
    return IssuedKey(public_id, key_secrets.whole(public_id, secret), row.project, row.name)


def revoke(gateway: Gateway, public_id: str, *, stop: bool = False, actor: Actor = record.OPERATOR) -> bool:
    """End a key for good. False when there is no such key, or it is so already.

    Running work goes on to its end; with `stop` its batches are cancelled, those that a request in flight makes just
    after, too: workers look for them. A revoked key can still be stopped.
    """

    def unit(connection: Connection) -> bool:
        row = keys.lock_key(connection, public_id) if _is_possible(public_id) else None
        if row is None or not keys.revoke_key(connection, public_id, stop=stop):
            return False
        _record(connection, "key_revoke", row, actor, {"stop": stop})
        return True

    revoked = gateway.database.run(unit)
    if revoked:
        gateway.log.info("key.revoked", key=public_id, stop=stop)
    if stop:
        key_stop.stop_all(gateway, actor=actor)
    return revoked


def not_found(public_id: str) -> NotFoundError:
    """What is answered about a key that is not there."""
    return NotFoundError(f"There is no key {public_id[:SHOWN_ID]!r}.", param="id")


def _lock(connection: Connection, public_id: str) -> AnyRow:
    row = keys.lock_key(connection, public_id) if _is_possible(public_id) else None
    if row is None:
        raise not_found(public_id)
    if row.revoked_at is not None:
        raise _revoked(public_id)
    return row


def _revoked(public_id: str) -> ConflictError:
    return ConflictError(f"Key {public_id} is revoked: make a new one.")


def _is_possible(public_id: str) -> bool:
    # PostgreSQL refuses NUL in text, and no id has anything odd in it.
    return public_id.isascii() and public_id.isprintable()


def _record(connection: Connection, operation: str, row: AnyRow, actor: Actor, detail: Mapping[str, Any]) -> None:
    record.record_act(
        connection,
        operation=operation,
        object_id=row.public_id,
        detail={"project": row.project, **detail},
        actor=actor,
        project_id=row.project_id,
        key_id=row.id,
    )
