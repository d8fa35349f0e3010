"""Copies: a file's bytes, in some variant, at the accounts where they are needed."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from app.connectors.contract.errors import MissingError, RefusedError
from app.connectors.contract.objects import NewFile
from app.data.files import file_copies, files, native_objects
from app.data.files.files import FileRow
from app.data.store.database import AnyRow
from app.services.accounts.directory import Account
from app.services.copies import reconcile, remote, transfer
from app.services.copies.transfer import CopyBusyError as CopyBusyError  # what callers of this module catch
from app.services.gateway import Gateway

RAW = file_copies.RAW
PROCESSING = ("processing", "uploaded")


@dataclass(frozen=True, slots=True)
class Copy:
    """A live native object that stands for a file."""

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

    Raises UpstreamError, and CopyBusyError while somebody else makes it or the provider still processes it.
    """
    with gateway.database.read() as connection:
        rows = file_copies.of_file(connection, file_id, account_id=account.id, variant=variant, until_ms=until_ms)
    for row in rows:
        if row.state == "pending":
            if not row.is_due:
                raise CopyBusyError("this file is being uploaded there")
            reconcile.reconcile(gateway, row.id, worker=worker)
            raise CopyBusyError("an upload of this file was just looked for")
        if row.state == "live" and row.outlives:
            return _ready(gateway, account, row)
    return _make(gateway, file_id, account, variant, new(), until_ms, worker)


def holders(gateway: Gateway, file_id: int) -> list[int]:
    """Accounts that have a live copy of the file's bytes as they are, the oldest copy first."""
    with gateway.database.read() as connection:
        rows = file_copies.live_of_file(connection, file_id, variant=RAW)
    return list(dict.fromkeys(row.account_id for row in rows))


def bring_home(gateway: Gateway, row: FileRow) -> None:
    """Keep the bytes of a file that only its provider had; nothing happens when they are here.

    Raises UpstreamError, a GatewayError when nobody has them or the store refuses.
    """
    remote.bring_home(gateway, row)


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
    """A provider's own output file stands for our output file `file_id`, and is deleted with it."""
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


def vanished(gateway: Gateway, object_id: int) -> None:
    """The provider says that it has a live object no longer: it stands for no file any more."""
    with gateway.database.write() as connection:
        native_objects.vanish(connection, object_id, note="The provider has it no longer.")


def sweep(gateway: Gateway) -> int:
    """Look for uploads whose end nobody saw, delete what is to go, forget what expired; returns how many."""
    return reconcile.sweep(gateway)


def _make(
    gateway: Gateway, file_id: int, account: Account, variant: str, new: NewFile, until_ms: int | None, worker: str
) -> Copy:
    # By this name it is found again when nobody saw the end of its upload.
    new = replace(new, filename=f"batchgate-{secrets.token_hex(12)}.jsonl")
    with gateway.database.write() as connection:
        if not files.lock_alive(connection, file_id):
            raise RefusedError("The file was deleted.", status=404, sent=False)
        rows = file_copies.of_file(connection, file_id, account_id=account.id, variant=variant, until_ms=until_ms)
        if any(row.state == "pending" or (row.state == "live" and row.outlives) for row in rows):
            raise CopyBusyError("somebody else was faster")
        object_id = transfer.intend(connection, gateway, account=account, variant=variant, new=new, worker=worker)
        file_copies.add(connection, file_id=file_id, object_id=object_id, variant=variant)
    native = transfer.send(gateway, account, object_id, new, worker=worker)

    def unused(connection: Connection, settled: int) -> tuple[int, bool]:
        return settled, bool(native_objects.condemn_unused(connection, [settled]))

    settled, is_unused = transfer.confirm(gateway, account, object_id, native, unused)
    if is_unused:
        raise RefusedError("The file was deleted while it was uploaded.", status=404, sent=False)
    if native.status != "processed":
        _check_status(gateway, settled, native.status)
    return Copy(settled, native.id, account.id)


def _ready(gateway: Gateway, account: Account, row: AnyRow) -> Copy:
    """The copy once the provider has processed it."""
    if row.status != "processed":
        try:
            seen = account.connector.retrieve_file(row.native_id)
        except MissingError as error:
            vanished(gateway, row.id)
            raise CopyBusyError("the provider has lost this file") from error
        with gateway.database.write() as connection:
            native_objects.observe(connection, row.id, status=seen.status, expires_at=seen.expires_at)
        _check_status(gateway, row.id, seen.status)
    return Copy(row.id, row.native_id, account.id)


def _check_status(gateway: Gateway, object_id: int, status: str) -> None:
    if status in PROCESSING:
        raise CopyBusyError("the provider processes this file")
    if status != "processed":
        with gateway.database.write() as connection:
            file_copies.discard(connection, object_id)
        raise RefusedError("The provider could not process the file.", status=400, code="invalid_file")
