"""Files that their provider says it does not have: looked for again over minutes, before anybody believes it."""

from collections.abc import Callable
from enum import Enum

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, UpstreamError
from app.data.files import file_copies, files, native_objects
from app.data.files import missing as missing_rows
from app.data.files.missing import CONTENT, MissingObject
from app.data.files.missing import SETTLED_MS as SETTLED_MS  # what callers of this module compare ages with
from app.errors import NotShownError
from app.services.accounts.directory import Account
from app.services.each_due import each_due
from app.services.gateway import Gateway

VANISHED = "The provider no longer has it."
# Callers are told to come back after this time.
RETRY_AFTER_S = 30.0


class Verdict(Enum):
    """What is known of a file that was not found: too little, that it is lost, or that only its content is."""

    UNSURE = "unsure"
    LOST = "lost"
    EMPTY = "empty"


def missed(gateway: Gateway, account: Account, object_id: int, native_id: str, *, part: str) -> Verdict:
    """Count that `part` of a live object was not found. A lost object represents no file any more."""
    with gateway.database.write() as connection:
        enough = missing_rows.miss(connection, object_id, part=part)
    if not enough:
        return Verdict.UNSURE
    try:
        if part == CONTENT and _has(lambda: account.connector.retrieve_file(native_id)):
            with gateway.database.write() as connection:
                missing_rows.rest(connection, object_id)
            return Verdict.EMPTY
        account.connector.check()  # a wrong URL or credential finds nothing, either
    except UpstreamError as error:
        gateway.log.warning("copy.not_seen", provider=account.provider, native_id=native_id, reason=error.message)
        return Verdict.UNSURE
    _lose(gateway, account, object_id, native_id)
    return Verdict.LOST


def found(gateway: Gateway, object_id: int, *, part: str) -> None:
    """Record that a part of an object that was missing has been seen."""
    with gateway.database.write() as connection:
        missing_rows.found(connection, object_id, part=part)


def not_shown(provider: str, what: str) -> NotShownError:
    """The error for bytes that the provider said it does not have, until that is believed."""
    text = f"{provider} does not find {what} at the moment, though it should have it: try again."
    return NotShownError(text, provider=provider, retry_after_s=RETRY_AFTER_S, from_provider=True)


def look_at_missing(gateway: Gateway) -> int:
    """Look again for files that were not found; returns how many are found or lost now."""
    return each_due(
        gateway,
        lambda connection, limit: missing_rows.due(connection, limit=limit),
        lambda missing: _look(gateway, missing),
    )


def _look(gateway: Gateway, missing: MissingObject) -> bool:
    account = gateway.accounts.by_id(missing.account_id)
    operation = "file_content" if missing.part == CONTENT else "file_retrieve"
    if account is None or account.abilities.support(operation) is not Support.NATIVE:
        _later(gateway, missing.id)
        return False
    try:
        if missing.part == CONTENT:
            with account.connector.read_file(missing.native_id) as download:
                next(download.chunks, b"")
        else:
            account.connector.retrieve_file(missing.native_id)
    except MissingError:
        verdict = missed(gateway, account, missing.id, missing.native_id, part=missing.part)
        if verdict is Verdict.UNSURE:
            _later(gateway, missing.id)
        return verdict is not Verdict.UNSURE
    except UpstreamError as error:
        gateway.log.warning("copy.not_seen", native_id=missing.native_id, reason=error.message)
        _later(gateway, missing.id)
        return False
    found(gateway, missing.id, part=missing.part)
    return True


def _later(gateway: Gateway, object_id: int) -> None:
    with gateway.database.write() as connection:
        missing_rows.put_off(connection, object_id)


def _has(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except MissingError:
        return False
    return True


def _lose(gateway: Gateway, account: Account, object_id: int, native_id: str) -> None:
    """The files of a lost object are gone, too, unless their bytes are elsewhere.

    It is deleted at the provider in case it comes back, unless it was there before the gateway knew of it.
    """
    gateway.log.error("copy.lost", provider=account.provider, account=account.name, native_id=native_id)
    with gateway.database.write() as connection:
        holding = file_copies.only_at_provider(connection, object_id)
        if file_copies.is_adopted(connection, object_id):
            native_objects.vanish(connection, object_id, note=VANISHED)
        else:
            file_copies.discard(connection, object_id)
        for file_id in holding:
            if not file_copies.live_of_file(connection, file_id, variant=file_copies.RAW):
                files.delete(connection, file_id)
