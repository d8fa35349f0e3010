"""Adopts files that only a provider knows into a project; their bytes stay where they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
from app.services.files import names
from app.services.gateway import Gateway

MAX_PURPOSE_LENGTH = 32
KNOWN, NEW, ADOPTED = "known", "new", "adopted"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files to adopt, into which project: those of `purpose` (None: any), or those with the `native_ids`."""

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


def candidates(gateway: Gateway, selection: Selection) -> Iterator[Candidate]:
    """The selected files that the provider has, page by page.

    Raises InvalidRequestError without a usable account, UnsupportedOperationError where files cannot be listed, and the
    GatewayError that matches the provider's failure.
    """
    account = _account(gateway, selection)
    with provider_errors.translated(gateway, provider=account.provider, account=account.name):
        for page in _pages(account, selection):
            selected = [file for file in page if _is_selected(file, selection)]
            with gateway.database.read() as connection:
                known = native_objects.known(connection, account.id, [file.id for file in selected])
            for file in selected:
                yield Candidate(file, account.name, KNOWN if file.id in known else NEW)


def adopt(gateway: Gateway, selection: Selection, candidate: Candidate) -> Candidate:
    """Make a file of the project from `candidate`, unless the gateway has come to know it meanwhile."""
    account = _account(gateway, selection)
    native = candidate.native
    with gateway.database.write() as connection:
        native_objects.lock_account(connection, account.id)
        if native_objects.known(connection, account.id, [native.id]):
            return replace(candidate, state=KNOWN)
        public_id = _insert(connection, selection.project, account, native)
    gateway.log.info("file.adopted", file=public_id, native_id=native.id, project=selection.project)
    return replace(candidate, state=ADOPTED, file_id=public_id)


def _insert(connection: Connection, project: str, account: Account, native: NativeFile) -> str:
    public_id = ids.new(ids.FILE)
    purpose, filename = native.purpose[:MAX_PURPOSE_LENGTH] or names.BATCH, _name(native)
    object_id = native_objects.insert_live(
        connection,
        account_id=account.id,
        native_id=native.id,
        variant=file_copies.RAW,
        purpose=purpose,
        filename=filename,
        size=native.bytes,
        expires_at=native.expires_at,
    )
    file_id = files.insert(
        connection,
        public_id=public_id,
        project_id=keys.ensure_project(connection, project),
        key_id=None,
        home=account.provider,
        purpose=purpose,
        filename=filename,
        origin="upload",
        blob_id=None,
        size=native.bytes or 0,
        sha256=None,
        lines=None,
        status=file_status(native),
        expires_after_s=None,
        expires_at=native.expires_at,
    )
    files.mark_adopted(connection, file_id)
    file_copies.add(connection, file_id=file_id, object_id=object_id, variant=file_copies.RAW)
    return public_id


def _name(native: NativeFile) -> str:
    try:
        return names.checked_name(native.filename)
    except InvalidRequestError:  # too long, or control characters
        return names.DEFAULT


def _account(gateway: Gateway, selection: Selection) -> Account:
    account = gateway.accounts.choose(selection.provider, name=selection.account)
    if account is None:
        which = f" called {selection.account!r:.80}" if selection.account else ""
        raise InvalidRequestError(f"Provider {selection.provider} has no usable account{which}.", param="provider")
    operation = "file_retrieve" if selection.native_ids else "file_list"
    if account.abilities.support(operation) is not Support.NATIVE:
        raise UnsupportedOperationError(selection.provider, operation)
    return account


def _pages(account: Account, selection: Selection) -> Iterator[list[NativeFile]]:
    if selection.native_ids:
        for native_id in selection.native_ids:
            yield [account.connector.retrieve_file(native_id)]
        return
    after: str | None = None
    while True:
        page = account.connector.list_files(after=after)
        yield page.items
        after = page.after
        if after is None:
            return


def _is_selected(file: NativeFile, selection: Selection) -> bool:
    return selection.purpose in (None, file.purpose) and file.status != "deleted"
