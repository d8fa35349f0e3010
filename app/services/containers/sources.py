"""Files of a project as sources of files in native containers: copied at the provider, or sent from the store."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.connectors.contract.objects import NativeContainerFile, Payload
from app.data.files import file_copies, files
from app.errors import InvalidRequestError, NotFoundError
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.blobs import stream
from app.services.copies import remote
from app.services.gateway import Caller, Gateway


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the project, at the account (`native_id`) or in the store (`key`)."""

    filename: str
    bytes: int
    native_id: str | None
    key: str | None


def holders(gateway: Gateway, caller: Caller, file_ids: Sequence[str]) -> list[int]:
    """Ids of the accounts that have most of these files already, so that they need not be sent."""
    counts: dict[int, int] = {}
    with gateway.database.read() as connection:
        for file_id in file_ids:
            row = files.resolve(connection, caller.project_id, file_id) if file_id.isprintable() else None
            copies = [] if row is None else file_copies.live_of_file(connection, row.id, variant=file_copies.RAW)
            for account_id in {copy.account_id for copy in copies}:
                counts[account_id] = counts.get(account_id, 0) + 1
    highest = max(counts.values(), default=0)
    return [account_id for account_id, count in counts.items() if count == highest]


def find_sources(
    gateway: Gateway, caller: Caller, account: Account, file_ids: Sequence[str], *, param: str = "file_ids"
) -> list[Source]:
    """The files with these ids, in their order. Raises InvalidRequestError naming `param` and the id."""
    return [_source(gateway, caller, account, file_id, param) for file_id in file_ids]


def send(gateway: Gateway, account: Account, container_id: str, source: Source) -> NativeContainerFile:
    """Put a file into a container at the account. Raises the GatewayError that matches the provider's failure."""
    with provider_errors.translated(gateway, provider=account.provider, account=account.name):
        return put(gateway, account, container_id, source, None)


def put(
    gateway: Gateway, account: Account, container_id: str, source: Source, filename: str | None
) -> NativeContainerFile:
    """Put a file into a container at the account, under `filename` if there is one. Raises UpstreamError."""
    if source.native_id is not None and filename is None:
        return account.connector.copy_container_file(container_id, source.native_id)
    payload = stored(gateway, str(source.key), source.bytes)
    return account.connector.put_container_file(container_id, filename or source.filename, payload)


def stored(gateway: Gateway, key: str, size: int) -> Payload:
    """The bytes of a blob, to be sent."""
    return Payload(size, lambda: stream(gateway, key, offset=0, length=size))


def _source(gateway: Gateway, caller: Caller, account: Account, file_id: str, param: str) -> Source:
    with gateway.database.read() as connection:
        row = files.resolve(connection, caller.project_id, file_id) if file_id.isprintable() else None
        if row is None:
            raise _no_such_file(file_id, param)
        copies = file_copies.live_of_file(connection, row.id, variant=file_copies.RAW)
    native_id = next((copy.native_id for copy in copies if copy.account_id == account.id), None)
    if native_id is None and not row.is_kept:
        try:
            remote.fetch(gateway, row)
        except NotFoundError as error:
            raise _no_such_file(file_id, param) from error
    with gateway.database.read() as connection:
        fresh = files.find(connection, caller.project_id, row.public_id) or row
        key = files.blob_key(connection, fresh.blob_id)
    if native_id is None and key is None:
        raise InvalidRequestError(f"{param}: the gateway does not have the bytes of {file_id}.", param=param)
    return Source(filename=fresh.filename, bytes=fresh.bytes, native_id=native_id, key=key)


def _no_such_file(file_id: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param}: No such File object: {file_id}", param=param)
