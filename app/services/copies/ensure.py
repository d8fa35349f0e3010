"""Copies: a file's bytes, in some variant, at the accounts that need them."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from sqlalchemy import Connection

from app.connectors.contract.errors import MissingError, RefusedError
from app.connectors.contract.objects import NativeFile, NewFile
from app.data.files import file_copies, files, missing, native_objects
from app.data.files.file_copies import CopyRow
from app.services.accounts.directory import Account
from app.services.copies import looks, reconcile, transfer
from app.services.copies.transfer import CopyBusyError as CopyBusyError  # what callers of this module catch
from app.services.gateway import Gateway

RAW = file_copies.RAW
BATCH = "batch"
PROCESSING = ("processing", "uploaded")
_PLAIN_ENDING = re.compile(r"\.[a-z0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Copy:
    """A live native object that represents a file."""

    object_id: int
    native_id: str
    account_id: int


def ensure(
    gateway: Gateway,
    *,
    file_id: int,
    account: Account,
    variant: str,
    new: Callable[[], NewFile],
    until_ms: int | None,
    worker: str,
) -> Copy:
    """A live native object of this file, variant and account that outlives `until_ms`; made if there is none.

    Raises UpstreamError, and CopyBusyError while the file is being uploaded elsewhere or the provider processes it.
    """
    with gateway.database.read() as connection:
        rows = file_copies.of_file(connection, file_id, account_id=account.id, variant=variant, until_ms=until_ms)
    for row in rows:
        if row.state == "pending":
            if not row.is_due:
                raise CopyBusyError("this file is being uploaded to the provider")
            reconcile.reconcile(gateway, row.object_id, worker=worker)
            raise CopyBusyError("the outcome of an earlier upload of this file has just been looked up")
        if row.state == "live" and row.outlives and row.native_id is not None:
            return _processed(gateway, account, row, row.native_id)
    return _make(gateway, file_id, account, variant, new(), until_ms, worker)


def holders(gateway: Gateway, file_id: int) -> list[int]:
    """Ids of the accounts that have a live copy of the file's own bytes, the oldest copy first."""
    with gateway.database.read() as connection:
        copies = file_copies.live_of_file(connection, file_id, variant=RAW)
    return list(dict.fromkeys(copy.account_id for copy in copies))


def record_results(
    connection: Connection,
    *,
    account_id: int,
    native_id: str,
    file_id: int,
    filename: str,
    purpose: str = "batch_output",
    size: int | None = None,
    expires_at: int | None = None,
) -> None:
    """Record that a provider's output file represents our output file `file_id`; it is deleted with it."""
    object_id = native_objects.insert_live(
        connection,
        account_id=account_id,
        native_id=native_id,
        variant=file_copies.RESULTS,
        purpose=purpose,
        filename=filename,
        size=size,
        expires_at=expires_at,
    )
    file_copies.add(connection, file_id=file_id, object_id=object_id, variant=file_copies.RESULTS)


def vanished(gateway: Gateway, account: Account, copy: Copy) -> None:
    """Record that the provider did not find a live object: the file is copied again, and this copy deleted.

    One that was made just now may only not be visible yet, so it is kept until several looks have not found it, as is
    one whose bytes the gateway does not have.
    """
    with gateway.database.write() as connection:
        is_sure = missing.is_settled(connection, copy.object_id)
        if is_sure and not file_copies.only_at_provider(connection, copy.object_id):
            file_copies.discard(connection, copy.object_id)
            return
    looks.missed(gateway, account, copy.object_id, copy.native_id, part=missing.OBJECT)


def _make(
    gateway: Gateway, file_id: int, account: Account, variant: str, new: NewFile, until_ms: int | None, worker: str
) -> Copy:
    # The reconciler finds the file by this name when the outcome of its upload is unknown.
    new = replace(new, filename=f"{reconcile.MARKER}{secrets.token_hex(12)}{_ending(new)}")
    with gateway.database.write() as connection:
        if not files.lock_alive(connection, file_id):
            raise RefusedError("The file was deleted.", status=404, sent=False)
        rows = file_copies.of_file(connection, file_id, account_id=account.id, variant=variant, until_ms=until_ms)
        if any(row.state == "pending" or (row.state == "live" and row.outlives) for row in rows):
            raise CopyBusyError("another worker was faster")
        lease = transfer.intend(connection, gateway, account=account, variant=variant, new=new, worker=worker)
        file_copies.add(connection, file_id=file_id, object_id=lease.id, variant=variant)
    native = transfer.send(gateway, account, lease, new)
    object_id, is_unused = transfer.confirm(gateway, account, lease.id, native, _condemn_unused)
    if is_unused:
        raise RefusedError("The file was deleted while it was uploaded.", status=404, sent=False)
    if native.status != "processed":
        _check_status(gateway, object_id, native.status)
    return Copy(object_id, native.id, account.id)


def _ending(new: NewFile) -> str:
    """The ending of the name, by which providers know the type of a file."""
    ending = ".jsonl" if new.purpose == BATCH else PurePosixPath(new.filename).suffix.lower()
    return ending if _PLAIN_ENDING.fullmatch(ending) else ""


def _condemn_unused(connection: Connection, object_id: int, _: NativeFile) -> tuple[int, bool]:
    """The object, and whether it is to be deleted at once because its file is."""
    return object_id, bool(native_objects.condemn_unused(connection, [object_id]))


def _processed(gateway: Gateway, account: Account, row: CopyRow, native_id: str) -> Copy:
    """The copy, once the provider has processed it. Raises CopyBusyError before."""
    if row.status != "processed":
        try:
            native = account.connector.retrieve_file(native_id)
        except MissingError as error:
            vanished(gateway, account, Copy(row.object_id, native_id, account.id))
            raise CopyBusyError("the provider does not find this file") from error
        with gateway.database.write() as connection:
            native_objects.observe(connection, row.object_id, status=native.status, expires_at=native.expires_at)
        _check_status(gateway, row.object_id, native.status)
    return Copy(row.object_id, native_id, account.id)


def _check_status(gateway: Gateway, object_id: int, status: str) -> None:
    if status in PROCESSING:
        raise CopyBusyError("the provider is processing this file")
    if status != "processed":
        with gateway.database.write() as connection:
            file_copies.discard(connection, object_id)
        raise RefusedError("The provider could not process the file.", status=400, code="invalid_file")
