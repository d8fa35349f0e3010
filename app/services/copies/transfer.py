"""Uploads a file to an account: the intent is committed, the provider asked once, its answer confirmed.

A provider may answer that it has these bytes already, under the native id of another row. That object is then shared,
even if it was about to be deleted.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.connectors.contract.errors import MissingError, UpstreamError
from app.connectors.contract.objects import NativeFile, NewFile, Payload
from app.data.files import file_copies, native_objects
from app.data.store.leases import Lease
from app.lib import failpoints
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.gateway import Gateway
from app.services.leases import LeaseLostError, lease_ms

MAX_ERROR_LENGTH = 2000
MAX_FILENAME_LENGTH = 512
RENEWALS_PER_LEASE = 3

T = TypeVar("T")


class CopyBusyError(Exception):
    """The file is being uploaded elsewhere, or the provider is still processing it: retry later."""


class _Verdict(Enum):
    """Why an upload that succeeded cannot be confirmed."""

    GIVEN_UP = "this upload was given up meanwhile"
    BEING_DELETED = "the provider is deleting this object at the moment"
    UNCERTAIN = "the object was deleted while it was being uploaded again"


def grace_ms(gateway: Gateway) -> int:
    """How long an upload with an unknown outcome is left alone after its lease, in milliseconds."""
    return int(gateway.settings.reconcile_s * 1000)


def intend(
    connection: Connection, gateway: Gateway, *, account: Account, variant: str, new: NewFile, worker: str
) -> Lease:
    """Insert the row of a file that is about to be made at `account`; returns the lease on it."""
    return native_objects.insert_pending(
        connection,
        account_id=account.id,
        variant=variant,
        purpose=new.purpose,
        filename=new.filename,
        size=new.payload.length,
        worker=worker,
        lease_ms=lease_ms(gateway.settings),
        grace_ms=grace_ms(gateway),
    )


def send(
    gateway: Gateway,
    account: Account,
    lease: Lease,
    new: NewFile,
    *,
    keep: Callable[[], None] = lambda: None,
) -> NativeFile:
    """Upload the file, once; `keep` is called now and then while its bytes are sent. Raises UpstreamError.

    If the file was certainly not made, its row is deleted; if it may have been made, the reconciler looks for it.
    """
    payload = _renewing(gateway, lease, new.payload, keep)
    failpoints.hit("copy.before_upload")
    try:
        native = account.connector.upload_file(replace(new, payload=payload))
    except UpstreamError as error:
        with gateway.database.write() as connection:
            if provider_errors.may_be_done(error):
                _lose(connection, gateway, lease, error.message)
            else:
                native_objects.drop(connection, lease.id)
        raise
    except BaseException as error:
        # The caller must hear of this error; if the database is away, the lease expires by itself.
        with suppress(SQLAlchemyError), gateway.database.write() as connection:
            _lose(connection, gateway, lease, str(error))
        raise
    failpoints.hit("copy.after_upload")
    return native


def confirm(
    gateway: Gateway,
    account: Account,
    object_id: int,
    native: NativeFile,
    record: Callable[[Connection, int, NativeFile], T],
) -> T:
    """Mark the uploaded file live, and call `record` with its row id and `native` last in the same transaction.

    The row may be another one than `object_id`, if the provider had the bytes already. Returns what `record` returns.
    Raises CopyBusyError when the object is being deleted or was given up, and UpstreamError.
    """
    verified = False

    def unit(connection: Connection) -> tuple[_Verdict | None, T | None]:
        settled = _settle(connection, account, object_id, native, verified=verified)
        return (None, record(connection, settled, native)) if isinstance(settled, int) else (settled, None)

    while True:
        verdict, result = gateway.database.run(unit)
        if verdict is None:
            return cast(T, result)
        if verdict is not _Verdict.UNCERTAIN:
            raise CopyBusyError(verdict.value)
        # Only the provider knows whether the deletion or the upload came first.
        try:
            native = account.connector.retrieve_file(native.id)
        except MissingError as error:
            disown(gateway, account, object_id, native)  # in case it only does not show it yet
            raise CopyBusyError(verdict.value) from error
        verified = True


def disown(gateway: Gateway, account: Account, object_id: int, native: NativeFile) -> None:
    """Mark a file that was made but is no longer wanted for deletion, unless another row has the same object."""
    with gateway.database.write() as connection:
        _, twin = native_objects.lock_pair(connection, account_id=account.id, object_id=object_id, native_id=native.id)
        if twin is not None and twin.state != "deleted":
            native_objects.drop(connection, object_id)
        else:
            native_objects.condemn(connection, object_id, native_id=native.id)


def _settle(
    connection: Connection, account: Account, object_id: int, native: NativeFile, *, verified: bool
) -> int | _Verdict:
    """The row id of the live object, or why there is none."""
    own, twin = native_objects.lock_pair(connection, account_id=account.id, object_id=object_id, native_id=native.id)
    if own is not None and own.state == "live" and own.native_id == native.id:
        return object_id  # the reconciler found it first
    if own is None or own.state not in ("pending", "unknown"):
        _record_stray(connection, account, native)
        return _Verdict.GIVEN_UP
    target = object_id
    if twin is not None and twin.state == "deleted":
        if twin.deleted_at is not None and twin.deleted_at >= own.created_at and not verified:
            return _Verdict.UNCERTAIN
    elif twin is not None:
        if twin.state == "deleting" and twin.is_held:
            native_objects.outdate_delete(connection, twin.id)
            native_objects.drop(connection, object_id)
            return _Verdict.BEING_DELETED
        if twin.state == "deleting" and twin.attempts and not verified:
            return _Verdict.UNCERTAIN
        target = twin.id
        file_copies.move(connection, object_id, to=target)
    native_objects.make_live(
        connection,
        target,
        native_id=native.id,
        status=native.status,
        size=native.bytes,
        expires_at=native.expires_at,
    )
    return target


def _record_stray(connection: Connection, account: Account, native: NativeFile) -> None:
    native_objects.insert_stray(
        connection,
        account_id=account.id,
        native_id=native.id,
        filename=native.filename[:MAX_FILENAME_LENGTH],
        purpose=native.purpose,
    )


def _renewing(gateway: Gateway, lease: Lease, payload: Payload, keep: Callable[[], None]) -> Payload:
    """`payload`; reading it renews the lease of the object. Raises LeaseLostError while it is read."""
    every_s = gateway.settings.lease_s / RENEWALS_PER_LEASE

    def pieces() -> Iterator[bytes]:
        renew_after = gateway.clock.monotonic() + every_s
        for data in payload.open():
            if gateway.clock.monotonic() > renew_after:
                with gateway.database.write() as connection:
                    is_held = native_objects.renew(
                        connection, lease, lease_ms=lease_ms(gateway.settings), grace_ms=grace_ms(gateway)
                    )
                if not is_held:
                    raise LeaseLostError
                keep()
                renew_after = gateway.clock.monotonic() + every_s
            yield data

    return Payload(payload.length, pieces)


def _lose(connection: Connection, gateway: Gateway, lease: Lease, error: str) -> None:
    native_objects.lose(connection, lease, grace_ms=grace_ms(gateway), error=error[:MAX_ERROR_LENGTH])
