"""A file on its way to an account: the intent committed, the provider asked once, the answer confirmed.

A provider may say that it has these bytes already, under the native id of another row: then that object is shared,
also when it was just about to be deleted.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.connectors.contract.errors import MissingError, OverloadedError, RefusedError, UpstreamError
from app.connectors.contract.objects import NativeFile, NewFile, Payload
from app.data.files import file_copies, native_objects
from app.lib import failpoints
from app.services.accounts.directory import Account
from app.services.gateway import Gateway
from app.services.leases import LeaseLostError, lease_ms

ERROR_LENGTH = 2000
RENEWALS_PER_LEASE = 3

T = TypeVar("T")


class CopyBusyError(Exception):
    """Somebody else is uploading it, or the provider still processes it: look again later."""


class _Verdict(Enum):
    GIVEN_UP = "this upload was given up meanwhile"
    BEING_DELETED = "the provider is being asked to delete this object at this moment"
    UNCERTAIN = "it was deleted while these bytes were on their way"


def grace_ms(gateway: Gateway) -> int:
    """How long an upload whose end nobody saw is left alone, beyond its lease."""
    return int(gateway.settings.reconcile_s * 1000)


def intend(
    connection: Connection, gateway: Gateway, *, account: Account, variant: str, new: NewFile, worker: str
) -> int:
    """The row of a file that is about to be made at `account`; returns its id."""
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
    object_id: int,
    new: NewFile,
    *,
    worker: str,
    keep: Callable[[], None] = lambda: None,
) -> NativeFile:
    """Ask the provider, once; `keep` is called now and then while the bytes go out. Raises UpstreamError.

    What was certainly not made is forgotten; what may have been made is looked for later.
    """
    payload = _kept(gateway, object_id, new.payload, worker, keep)
    failpoints.hit("copy.before_upload")
    try:
        native = account.connector.upload_file(replace(new, payload=payload))
    except UpstreamError as error:
        with gateway.database.write() as connection:
            if isinstance(error, RefusedError | OverloadedError) or not error.sent:
                native_objects.drop(connection, object_id)
            else:
                _lose(connection, gateway, object_id, worker, error.message)
        raise
    except BaseException as error:
        # What went wrong is the caller's to hear; the lease ends by itself when the store is away.
        with suppress(SQLAlchemyError), gateway.database.write() as connection:
            _lose(connection, gateway, object_id, worker, str(error))
        raise
    failpoints.hit("copy.after_upload")
    return native


def confirm(
    gateway: Gateway, account: Account, object_id: int, native: NativeFile, then: Callable[[Connection, int], T]
) -> T:
    """The provider has the file. `then` is called in the same transaction, with the id of the object that it is.

    Raises CopyBusyError when the object is being deleted or was given up, and UpstreamError.
    """
    verified = False

    def unit(connection: Connection) -> tuple[_Verdict | None, T | None]:
        settled = _settle(connection, account, object_id, native, verified=verified)
        return (None, then(connection, settled)) if isinstance(settled, int) else (settled, None)

    while True:
        verdict, made = gateway.database.run(unit)
        if verdict is None:
            return cast(T, made)
        if verdict is not _Verdict.UNCERTAIN:
            raise CopyBusyError(verdict.value)
        # Which came first there can't be seen from here.
        try:
            native = account.connector.retrieve_file(native.id)
        except MissingError as error:
            with gateway.database.write() as connection:
                native_objects.drop(connection, object_id)
            raise CopyBusyError(verdict.value) from error
        verified = True


def disown(gateway: Gateway, account: Account, object_id: int, native: NativeFile) -> None:
    """The file was made, but nobody wants it any more: it is to be deleted, unless it is another one's."""
    with gateway.database.write() as connection:
        native_objects.lock_account(connection, account.id)
        twin = native_objects.twin(connection, account_id=account.id, native_id=native.id, than=object_id)
        if twin is not None and twin.state != "deleted":
            native_objects.drop(connection, object_id)
        else:
            native_objects.condemn(connection, object_id, native_id=native.id)


def _settle(
    connection: Connection, account: Account, object_id: int, native: NativeFile, *, verified: bool
) -> int | _Verdict:
    """The id of the live object, or why there is none."""
    native_objects.lock_account(connection, account.id)
    own = native_objects.lock(connection, object_id)
    if own is not None and own.state == "live" and own.native_id == native.id:
        return object_id  # whoever looked for it was faster
    if own is None or own.state not in ("pending", "unknown"):
        _give_up(connection, account, native)
        return _Verdict.GIVEN_UP
    twin = native_objects.twin(connection, account_id=account.id, native_id=native.id, than=object_id)
    target = object_id
    if twin is not None and twin.state == "deleted":
        if twin.deleted_at >= own.created_at and not verified:
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


def _give_up(connection: Connection, account: Account, native: NativeFile) -> None:
    native_objects.insert_stray(
        connection, account_id=account.id, native_id=native.id, filename=native.filename[:512], purpose=native.purpose
    )


def _kept(gateway: Gateway, object_id: int, payload: Payload, worker: str, keep: Callable[[], None]) -> Payload:
    """`payload`, whose reading renews the lease of the object."""
    every_s = gateway.settings.lease_s / RENEWALS_PER_LEASE

    def pieces() -> Iterator[bytes]:
        renew_after = gateway.clock.monotonic() + every_s
        for data in payload.open():
            if gateway.clock.monotonic() > renew_after:
                with gateway.database.write() as connection:
                    lasting = native_objects.renew(
                        connection,
                        object_id,
                        worker=worker,
                        lease_ms=lease_ms(gateway.settings),
                        grace_ms=grace_ms(gateway),
                    )
                if not lasting:
                    raise LeaseLostError
                keep()
                renew_after = gateway.clock.monotonic() + every_s
            yield data

    return Payload(payload.length, pieces)


def _lose(connection: Connection, gateway: Gateway, object_id: int, worker: str, error: str) -> None:
    native_objects.lose(connection, object_id, worker=worker, grace_ms=grace_ms(gateway), error=error[:ERROR_LENGTH])
