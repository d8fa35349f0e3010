"""Updates, expires, rotates and revokes keys. Each change records an event in its own transaction."""

from collections.abc import Mapping
from typing import Any, Unpack

from sqlalchemy import Connection

from app.data.access import keys
from app.data.access.keys import KeyRow, LockedKey
from app.errors import ConflictError, InvalidRequestError, NotFoundError
from app.services.access import key_fields, key_secrets, key_stop
from app.services.access.key_fields import KeyChanges
from app.services.access.key_secrets import IssuedKey
from app.services.events import record
from app.services.gateway import Actor, Gateway

MAX_GRACE_S = 90 * 24 * 3600
SHOWN_ID_LENGTH = 48


def update(gateway: Gateway, public_id: str, *, actor: Actor = record.OPERATOR, **changes: Unpack[KeyChanges]) -> None:
    """Changes the fields that are given. Takes effect for the next request; running batches continue.

    Raises InvalidRequestError, NotFoundError, or ConflictError when the key is revoked.
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
    """Expires a key now or at `at_ms` (Unix ms, in the future). Running batches continue.

    Raises InvalidRequestError, NotFoundError, or ConflictError when the key is revoked.
    """
    expires_at = key_fields.checked(gateway, {"expires_at": at_ms})["expires_at"]

    def unit(connection: Connection) -> None:
        row = _lock(connection, public_id)
        if not keys.change_key(connection, row.id, {"expires_at": True if expires_at is None else expires_at}):
            raise _revoked(public_id)
        _record(connection, "key_expire", row, actor, {"expires_at": expires_at})

    gateway.database.run(unit)
    gateway.log.info("key.expired", key=public_id, at=expires_at)


def rotate(gateway: Gateway, public_id: str, *, grace_s: float = 0, actor: Actor = record.OPERATOR) -> IssuedKey:
    """Gives a key a new secret. The old one is rejected at once, or after `grace_s`. Running batches continue.

    At most two secrets are valid at a time: a second rotation ends the first one's grace period. Raises
    InvalidRequestError, NotFoundError, or ConflictError when the key is expired, revoked, or has no secret.
    """
    if not 0 <= grace_s <= MAX_GRACE_S:
        raise InvalidRequestError(f"grace must be 0 to {MAX_GRACE_S} seconds.", param="grace")
    if not _is_possible(public_id):
        raise not_found(public_id)
    secret = key_secrets.new_secret()
    new_hmac = key_secrets.digest(gateway.pepper(), public_id, secret)

    def unit(connection: Connection) -> LockedKey:
        row = _lock(connection, public_id)
        if row.kind != key_secrets.VIRTUAL:
            raise ConflictError(f"Key {public_id} stands for a {row.kind} credential and has no secret to rotate.")
        if row.is_expired:
            raise ConflictError(f"Key {public_id} is expired: set a new expiry first, or create a new key.")
        hmacs = {"old_hmac": row.secret_hmac, "new_hmac": new_hmac}
        if not keys.replace_secret(connection, row.id, **hmacs, grace_ms=int(grace_s * 1000)):
            raise _revoked(public_id)
        _record(connection, "key_rotate", row, actor, {"grace_s": grace_s})
        return row

    row = gateway.database.run(unit)
    gateway.log.info("key.rotated", key=public_id, grace_s=grace_s)
    return IssuedKey(public_id, key_secrets.whole(public_id, secret), row.project, row.name)


def revoke(gateway: Gateway, public_id: str, *, stop: bool = False, actor: Actor = record.OPERATOR) -> bool:
    """Revokes a key for good. Returns False when there is no such key, or it is already revoked (or stopped).

    Running batches continue. `stop` cancels them; workers also find and cancel batches that a request in flight
    creates just afterwards. A revoked key can be stopped later.
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
    """Returns the error for a key that does not exist."""
    return NotFoundError(f"There is no key {public_id[:SHOWN_ID_LENGTH]!r}.", param="id")


def _lock(connection: Connection, public_id: str) -> LockedKey:
    row = keys.lock_key(connection, public_id) if _is_possible(public_id) else None
    if row is None:
        raise not_found(public_id)
    if row.revoked_at is not None:
        raise _revoked(public_id)
    return row


def _revoked(public_id: str) -> ConflictError:
    return ConflictError(f"Key {public_id} is revoked: create a new one.")


def _is_possible(public_id: str) -> bool:
    # Public ids are printable ASCII. Anything else is rejected here, since PostgreSQL raises an error on NUL in text.
    return public_id.isascii() and public_id.isprintable()


def _record(connection: Connection, operation: str, row: KeyRow, actor: Actor, detail: Mapping[str, Any]) -> None:
    record.record_act(
        connection,
        operation=operation,
        object_id=row.public_id,
        detail={"project": row.project, **detail},
        actor=actor,
        project_id=row.project_id,
        key_id=row.id,
    )
