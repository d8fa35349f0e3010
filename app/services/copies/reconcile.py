"""What a crash or a silent provider left of copies: lost uploads are looked for, deletions are tried until done."""

import random
import secrets

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import UpstreamError
from app.connectors.contract.objects import NativeFile
from app.data.files import file_copies, native_objects
from app.data.store.database import AnyRow
from app.lib import failpoints
from app.services.accounts.directory import Account
from app.services.copies import transfer
from app.services.copies.transfer import ERROR_LENGTH, CopyBusyError
from app.services.each_due import each_due
from app.services.gateway import Gateway

# Longer than the calls that are made under it, their repetitions included.
CLAIM_MS = 180_000
# What the provider's clock may be behind or ahead of the database's.
SKEW_MS = 120_000
FIRST_DELAY_S = 5.0
MOST_DELAY_S = 3600.0
MARKER = "batchgate-"
NOT_LISTED = "The provider lists no files, so that it can't be known whether this one was made."
SEVERAL = "Several files of this name and size were made at that time, so that it can't be known which one is it."
NO_ACCOUNT = "The account of this object is gone."
KEPT = "The provider cannot delete files; it is only forgotten here."
ADOPTED = "It was in the operator's bucket before the gateway knew of it; it is only forgotten here."
EXPIRED = "It expired at the provider."


def sweep(gateway: Gateway) -> int:
    """Look for lost uploads, delete what is due, forget what expired; returns how many were settled."""
    worker = f"sweep-{secrets.token_hex(4)}"

    def act(row: AnyRow) -> bool:
        if row.state == "pending":
            return reconcile(gateway, row.id, worker=worker)
        return delete_now(gateway, row.id, worker=worker)

    def forget(object_id: int) -> bool:
        with gateway.database.write() as connection:
            native_objects.vanish(connection, object_id, note=EXPIRED)
        return True

    settled = each_due(gateway, lambda connection, limit: native_objects.due(connection, limit=limit), act)
    return settled + each_due(
        gateway, lambda connection, limit: native_objects.expired(connection, limit=limit), forget
    )


def delete_now(gateway: Gateway, object_id: int, *, worker: str) -> bool:
    """Delete an object that is to be deleted, with one call; a failure is tried again later. True when it is gone."""
    with gateway.database.write() as connection:
        row = native_objects.claim(connection, object_id, state="deleting", worker=worker, lease_ms=CLAIM_MS)
    if row is None:
        return False
    account = gateway.accounts.by_id(row.account_id)
    note = None
    if account is None:
        return _again(gateway, row, NO_ACCOUNT)
    if account.abilities.support("file_delete") is Support.NONE:
        note = KEPT
    elif account.abilities.files.bucket is not None and _is_adopted(gateway, object_id):
        note = ADOPTED
    else:
        failpoints.hit("copy.before_delete")
        try:
            account.connector.delete_file(row.native_id)
        except UpstreamError as error:
            gateway.log.warning(
                "copy.delete_failed", provider=account.provider, native_id=row.native_id, error=error.message
            )
            return _again(gateway, row, error.message, at_least_s=error.retry_after_s)
        failpoints.hit("copy.after_delete")
    with gateway.database.write() as connection:
        return native_objects.finish(connection, row, note=note)


def reconcile(gateway: Gateway, object_id: int, *, worker: str) -> bool:
    """Find an upload whose end nobody saw: it is used if it is wanted, else deleted. True when that is settled."""
    with gateway.database.write() as connection:
        row = native_objects.claim(connection, object_id, state="pending", worker=worker, lease_ms=CLAIM_MS)
    if row is None:
        return False
    account = gateway.accounts.by_id(row.account_id)
    if account is None:
        return _again(gateway, row, NO_ACCOUNT)
    if account.abilities.support("file_list") is Support.NONE:
        return _give_up(gateway, row, NOT_LISTED)
    try:
        found = _found(gateway, account, row)
    except UpstreamError as error:
        return _again(gateway, row, error.message, at_least_s=error.retry_after_s)
    if not found:
        with gateway.database.write() as connection:
            return native_objects.drop(connection, row.id)
    with gateway.database.read() as connection:
        sought = native_objects.count_sought(
            connection, account_id=row.account_id, filename=row.filename, size=row.bytes
        )
    if len(found) > sought:
        return _give_up(gateway, row, SEVERAL)
    return _settle(gateway, account, row, found[0], worker)


def _is_adopted(gateway: Gateway, object_id: int) -> bool:
    with gateway.database.read() as connection:
        return file_copies.is_adopted(connection, object_id)


def _settle(gateway: Gateway, account: Account, row: AnyRow, native: NativeFile, worker: str) -> bool:
    if row.is_wanted:
        try:
            transfer.confirm(
                gateway,
                account,
                row.id,
                native,
                lambda connection, settled: native_objects.condemn_unused(connection, [settled]),
            )
        except CopyBusyError:
            return False
        return True
    with gateway.database.write() as connection:
        condemned = native_objects.condemn(connection, row.id, native_id=native.id)
    if condemned:
        delete_now(gateway, row.id, worker=worker)
    return condemned


def _found(gateway: Gateway, account: Account, row: AnyRow) -> list[NativeFile]:
    """Files at the account that may be the one of `row`, and are nobody else's."""
    found: list[NativeFile] = []
    not_before = row.created_at - SKEW_MS
    after: str | None = None
    while True:
        page = account.connector.list_files(after=after)
        found += [file for file in page.items if _may_be(file, row)]
        after = page.after
        if after is None or _is_past(page.items, not_before):
            break
    if not found:
        return []
    with gateway.database.read() as connection:
        known = native_objects.known(connection, account.id, [file.id for file in found])
    return [file for file in found if file.id not in known]


def _may_be(file: NativeFile, row: AnyRow) -> bool:
    if file.filename != row.filename or file.status == "deleted":
        return False
    if row.filename.startswith(MARKER):
        return True
    same_size = file.bytes is None or file.bytes == row.bytes
    return same_size and (file.created_at is None or file.created_at >= row.created_at - SKEW_MS)


def _is_past(items: list[NativeFile], not_before: int) -> bool:
    """True when a list that runs from new to old has come to files that are too old."""
    times = [file.created_at for file in items if file.created_at is not None]
    if len(times) < 2 or times != sorted(times, reverse=True):
        return False
    return times[0] > times[-1] and times[-1] < not_before


def _again(gateway: Gateway, row: AnyRow, error: str, *, at_least_s: float | None = None) -> bool:
    delay_s = min(FIRST_DELAY_S * 2 ** min(row.attempts - 1, 20), MOST_DELAY_S) * random.uniform(0.8, 1.2)  # noqa: S311
    delay_ms = int(max(delay_s, at_least_s or 0.0) * 1000)
    with gateway.database.write() as connection:
        native_objects.postpone(connection, row, delay_ms=delay_ms, error=error[:ERROR_LENGTH])
    return False


def _give_up(gateway: Gateway, row: AnyRow, why: str) -> bool:
    gateway.log.error("copy.unknown", object_id=row.id, account_id=row.account_id, filename=row.filename, error=why)
    with gateway.database.write() as connection:
        native_objects.give_up(connection, row, error=f"{why} {row.last_error or ''}".strip()[:ERROR_LENGTH])
    return True
