"""Finishes what a crash or a silent provider left of copies: lost uploads are found, deletions retried until done."""

import random
import secrets

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, UpstreamError
from app.connectors.contract.objects import NativeFile
from app.data.files import file_copies, missing, native_objects
from app.data.files.native_objects import ClaimedObject, DueObject
from app.lib import failpoints
from app.services.accounts.directory import Account
from app.services.copies import transfer
from app.services.copies.looks import VANISHED
from app.services.copies.transfer import MAX_ERROR_LENGTH, CopyBusyError
from app.services.each_due import each_due
from app.services.gateway import Gateway

# Longer than the calls that are made under it, retries included.
CLAIM_MS = 180_000
# How far the provider's clock and the database's may be apart.
SKEW_MS = 120_000
FIRST_DELAY_S = 5.0
MAX_DELAY_S = 3600.0
# Begins the names of files that only the gateway makes.
MARKER = "batchgate-"
NOT_LISTED = "The provider does not list files, so the gateway cannot know whether this one was made."
SEVERAL = "Several files of this name and size were made at that time; the gateway cannot know which one is this."
# How a provider that has no such list answers.
NO_SUCH_LIST = (404, 405, 501)
NO_ACCOUNT = "The account of this object is gone."
KEPT = "The provider cannot delete files; the gateway has only forgotten this one."
ADOPTED = "It was in the operator's bucket before the gateway knew of it; the gateway has only forgotten it."
EXPIRED = "It expired at the provider."
UNSEEN = "The provider says that it does not have it; it is asked again."


def sweep(gateway: Gateway) -> int:
    """Look for lost uploads, delete what is due, forget what expired; returns how many objects were settled."""
    worker = f"sweep-{secrets.token_hex(4)}"

    def act(due: DueObject) -> bool:
        if due.state == "pending":
            return reconcile(gateway, due.id, worker=worker)
        return delete_now(gateway, due.id, worker=worker)

    def forget(object_id: int) -> bool:
        with gateway.database.write() as connection:
            native_objects.vanish(connection, object_id, note=EXPIRED)
        return True

    settled = each_due(gateway, lambda connection, limit: native_objects.due(connection, limit=limit), act)
    return settled + each_due(
        gateway, lambda connection, limit: native_objects.expired(connection, limit=limit), forget
    )


def delete_now(gateway: Gateway, object_id: int, *, worker: str) -> bool:
    """Delete an object that is due for deletion, with one call; a failure is retried later. True when it is gone."""
    with gateway.database.write() as connection:
        claimed = native_objects.claim(connection, object_id, state="deleting", worker=worker, lease_ms=CLAIM_MS)
    if claimed is None:
        return False
    account = gateway.accounts.by_id(claimed.account_id)
    if account is None:
        return _postpone(gateway, claimed, NO_ACCOUNT)
    note = _why_not_deleted(gateway, account, object_id)
    if note is None:
        failpoints.hit("copy.before_delete")
        try:
            account.connector.delete_file(str(claimed.native_id))
        except MissingError:
            with gateway.database.write() as connection:
                enough = missing.miss(connection, object_id)
            if not enough:
                return _postpone(gateway, claimed, UNSEEN)
            note = VANISHED
        except UpstreamError as error:
            gateway.log.warning(
                "copy.delete_failed", provider=account.provider, native_id=claimed.native_id, reason=error.message
            )
            return _postpone(gateway, claimed, error.message, at_least_s=error.retry_after_s)
        failpoints.hit("copy.after_delete")
    with gateway.database.write() as connection:
        return native_objects.finish(connection, claimed, note=note)


def reconcile(gateway: Gateway, object_id: int, *, worker: str) -> bool:
    """Look for an upload with an unknown outcome: it is used if a file needs it, else deleted. True when settled."""
    with gateway.database.write() as connection:
        claimed = native_objects.claim(connection, object_id, state="pending", worker=worker, lease_ms=CLAIM_MS)
    if claimed is None:
        return False
    account = gateway.accounts.by_id(claimed.account_id)
    if account is None:
        return _postpone(gateway, claimed, NO_ACCOUNT)
    if account.abilities.support("file_list") is Support.NONE:
        return _give_up(gateway, claimed, NOT_LISTED)
    try:
        candidates = _candidates(gateway, account, claimed)
    except UpstreamError as error:
        if error.status in NO_SUCH_LIST and claimed.attempts >= missing.LOOKS:
            return _give_up(gateway, claimed, NOT_LISTED)
        return _postpone(gateway, claimed, error.message, at_least_s=error.retry_after_s)
    if not candidates:
        with gateway.database.write() as connection:
            return native_objects.drop(connection, claimed.id)
    with gateway.database.read() as connection:
        sought = native_objects.count_sought(
            connection, account_id=claimed.account_id, filename=claimed.filename, size=claimed.bytes
        )
    if len(candidates) > sought:
        return _give_up(gateway, claimed, SEVERAL)
    return _settle(gateway, account, claimed, candidates[0], worker)


def _why_not_deleted(gateway: Gateway, account: Account, object_id: int) -> str | None:
    """Why the object stays at the provider and is only forgotten here; None when it is to be deleted there."""
    if account.abilities.support("file_delete") is Support.NONE:
        return KEPT
    if account.abilities.files.bucket is None:
        return None
    with gateway.database.read() as connection:
        return ADOPTED if file_copies.is_adopted(connection, object_id) else None


def _settle(gateway: Gateway, account: Account, claimed: ClaimedObject, native: NativeFile, worker: str) -> bool:
    if claimed.is_wanted:
        try:
            transfer.confirm(
                gateway,
                account,
                claimed.id,
                native,
                lambda connection, object_id, _: native_objects.condemn_unused(connection, [object_id]),
            )
        except CopyBusyError:
            return False
        return True
    with gateway.database.write() as connection:
        condemned = native_objects.condemn(connection, claimed.id, native_id=native.id)
    if condemned:
        delete_now(gateway, claimed.id, worker=worker)
    return condemned


def _candidates(gateway: Gateway, account: Account, claimed: ClaimedObject) -> list[NativeFile]:
    """Files at the account that may be the lost upload, and that no other row has."""
    candidates: list[NativeFile] = []
    not_before = claimed.created_at - SKEW_MS
    after: str | None = None
    while True:
        page = account.connector.list_files(after=after)
        candidates += [file for file in page.items if _may_be(file, claimed)]
        after = page.after
        if after is None or _is_past(page.items, not_before):
            break
    if not candidates:
        return []
    with gateway.database.read() as connection:
        known = native_objects.known(connection, account.id, [file.id for file in candidates])
    return [file for file in candidates if file.id not in known]


def _may_be(file: NativeFile, claimed: ClaimedObject) -> bool:
    if claimed.filename not in _spellings(file.filename) or file.status == "deleted":
        return False
    if claimed.filename.startswith(MARKER):
        return True
    same_size = file.bytes is None or file.bytes == claimed.bytes
    return same_size and (file.created_at is None or file.created_at >= claimed.created_at - SKEW_MS)


def _spellings(filename: str) -> set[str]:
    """The names that a provider may mean: some read UTF-8 as Latin-1."""
    try:
        return {filename, filename.encode("latin-1").decode()}
    except UnicodeError:
        return {filename}


def _is_past(items: list[NativeFile], not_before: int) -> bool:
    """True when a list that runs from new to old has reached files that are too old."""
    times = [file.created_at for file in items if file.created_at is not None]
    if len(times) < 2 or times != sorted(times, reverse=True):
        return False
    return times[0] > times[-1] and times[-1] < not_before


def _postpone(gateway: Gateway, claimed: ClaimedObject, error: str, *, at_least_s: float | None = None) -> bool:
    """Release the object, to be tried again after a back-off; returns False, as nothing is settled."""
    backoff_s = min(FIRST_DELAY_S * 2 ** min(claimed.attempts - 1, 20), MAX_DELAY_S)
    delay_s = max(backoff_s * random.uniform(0.8, 1.2), at_least_s or 0.0)  # noqa: S311
    with gateway.database.write() as connection:
        native_objects.postpone(connection, claimed, delay_ms=int(delay_s * 1000), error=error[:MAX_ERROR_LENGTH])
    return False


def _give_up(gateway: Gateway, claimed: ClaimedObject, reason: str) -> bool:
    account = gateway.accounts.by_id(claimed.account_id)
    gateway.log.error(
        "copy.unknown",
        provider=account.provider if account else None,
        account=account.name if account else None,
        native_id=claimed.native_id,
        filename=claimed.filename,
        reason=reason,
    )
    with gateway.database.write() as connection:
        error = f"{reason} {claimed.last_error or ''}".strip()
        native_objects.give_up(connection, claimed, error=error[:MAX_ERROR_LENGTH])
    return True
