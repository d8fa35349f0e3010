"""Files of purposes that are used at the provider: made there within the request that uploads them."""

import secrets
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.connectors.contract.abilities import FileLimits, Support
from app.connectors.contract.objects import NativeFile, NewFile
from app.data.files import file_copies
from app.errors import UnavailableError
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.copies import reconcile, transfer
from app.services.copies.transfer import CopyBusyError
from app.services.gateway import Gateway

T = TypeVar("T")


def limits(gateway: Gateway, provider: str, purpose: str) -> FileLimits | None:
    """The limits of a file of this purpose, if it has to be at the provider; otherwise None."""
    abilities = gateway.accounts.abilities(provider)
    is_direct = purpose in abilities.files.direct and abilities.support("file_upload") is Support.NATIVE
    return abilities.files if is_direct else None


def upload(
    gateway: Gateway,
    account: Account,
    new: NewFile,
    *,
    keep: Callable[[], None],
    record: Callable[[Connection, int, NativeFile], T],
) -> T:
    """Make the file at `account`. Returns what `record` returns, which inserts the file's row.

    `record(connection, object_id, native)` is called in the transaction that confirms the native object; `keep` is
    called now and then while the bytes are sent. When anything here raises, nothing of the file is left: be it the
    GatewayError that matches the provider's failure, or what `record` raises.
    """
    worker = f"request-{secrets.token_hex(4)}"
    with gateway.database.write() as connection:
        lease = transfer.intend(connection, gateway, account=account, variant=file_copies.RAW, new=new, worker=worker)
    with provider_errors.translated(gateway, provider=account.provider, account=account.name):
        native = transfer.send(gateway, account, lease, new, keep=keep)
        try:
            return transfer.confirm(gateway, account, lease.id, native, record)
        except CopyBusyError as error:
            raise UnavailableError(f"{account.provider}: {error}; send the request again.", retry_after_s=1) from error
        except BaseException:
            _undo(gateway, account, lease.id, native, worker)
            raise


def _undo(gateway: Gateway, account: Account, object_id: int, native: NativeFile, worker: str) -> None:
    try:
        transfer.disown(gateway, account, object_id, native)
        reconcile.delete_now(gateway, object_id, worker=worker)
    except SQLAlchemyError as error:
        # The caller must hear of the error that led here; the lease expires, and the reconciler finds the file.
        gateway.log.warning("copy.not_undone", provider=account.provider, native_id=native.id, reason=str(error))
