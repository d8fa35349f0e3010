"""Files that a provider has and the gateway does not know: brought into a project, their bytes left where they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.objects import NativeFile
from app.data.access import keys
from app.data.files import file_copies, files, native_objects
from app.errors import InvalidRequestError, UnsupportedOperationError
from app.lib import ids
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.copies.remote import file_status
from app.services.files.files import BATCH, DEFAULT_NAME, checked_name
from app.services.gateway import Gateway

PURPOSE_LENGTH = 32
KNOWN, NEW, ADOPTED = "known", "new", "adopted"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be adopted: files of `purpose` (None: of all), or those whose native ids are given."""

    project: str
    provider: str
    account: str | None = None
    purpose: str | None = None
    native_ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file at the provider. `state`: new, known (the gateway has it already) or adopted (as `file_id`)."""

    native: NativeFile
    account: str
    state: str
    file_id: str | None = None


def candidates(gateway: Gateway, wanted: Wanted) -> Iterator[Candidate]:
    """What the provider has of what is wanted, page by page. Raises what the provider's failure is for a caller.

    Raises InvalidRequestError without a usable account, UnsupportedOperationError without lists of files.
    """
    account = _account(gateway, wanted)
    with provider_errors.told(gateway, provider=account.provider, account=account.name):
        for page in _pages(account, wanted):
            found = [file for file in page if _is_wanted(file, wanted)]
            with gateway.database.read() as connection:
                known = native_objects.known(connection, account.id, [file.id for file in found])
            for file in found:
                yield Candidate(file, account.name, KNOWN if file.id in known else NEW)


def adopt(gateway: Gateway, wanted: Wanted, candidate: Candidate) -> Candidate:
    """Make a file of the project that stands for `candidate`; one that is known meanwhile is left as it is."""
    account = _account(gateway, wanted)
    native = candidate.native
    with gateway.database.write() as connection:
        native_objects.lock_account(connection, account.id)
        if native_objects.known(connection, account.id, [native.id]):
            return replace(candidate, state=KNOWN)
        public_id = _insert(connection, wanted.project, account, native)
    gateway.log.info("file.adopted", file=public_id, native_id=native.id, project=wanted.project)
    return replace(candidate, state=ADOPTED, file_id=public_id)


def _insert(connection: Connection, project: str, account: Account, native: NativeFile) -> str:
    public_id = ids.new(ids.FILE)
    same: dict[str, Any] = {
        "purpose": native.purpose[:PURPOSE_LENGTH] or BATCH,
        "filename": _name(native),
        "expires_at": native.expires_at,
    }
    object_id = native_objects.insert_live(
        connection, account_id=account.id, native_id=native.id, variant=file_copies.RAW, size=native.bytes, **same
    )
    file_id = files.insert(
        connection,
        public_id=public_id,
        project_id=keys.ensure_project(connection, project),
        key_id=None,
        home=account.provider,
        origin="upload",
        blob_id=None,
        size=native.bytes or 0,
        sha256=None,
        lines=None,
        status=file_status(native),
        expires_after_s=None,
        **same,
    )
    files.mark_adopted(connection, file_id)
    file_copies.add(connection, file_id=file_id, object_id=object_id, variant=file_copies.RAW)
    return public_id


def _name(native: NativeFile) -> str:
    try:
        return checked_name(native.filename)
    except InvalidRequestError:  # too long, or with control characters
        return DEFAULT_NAME


def _account(gateway: Gateway, wanted: Wanted) -> Account:
    account = gateway.accounts.choose(wanted.provider, name=wanted.account)
    if account is None:
        which = f" called {wanted.account!r:.80}" if wanted.account else ""
        raise InvalidRequestError(f"Provider {wanted.provider} has no usable account{which}.", param="provider")
    operation = "file_retrieve" if wanted.native_ids else "file_list"
    if account.abilities.support(operation) is not Support.NATIVE:
        raise UnsupportedOperationError(wanted.provider, operation)
    return account


def _pages(account: Account, wanted: Wanted) -> Iterator[list[NativeFile]]:
    if wanted.native_ids:
        for native_id in wanted.native_ids:
            yield [account.connector.retrieve_file(native_id)]
        return
    after: str | None = None
    while True:
        page = account.connector.list_files(after=after)
        yield page.items
        after = page.after
        if after is None:
            return


def _is_wanted(file: NativeFile, wanted: Wanted) -> bool:
    return wanted.purpose in (None, file.purpose) and file.status != "deleted"
