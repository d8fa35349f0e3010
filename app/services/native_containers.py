"""Containers at providers: made once, looked at now and then, deleted there and here."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection

from app.connectors.abilities import Support
from app.connectors.base import MissingError, UpstreamError
from app.connectors.native import NativeContainer, NewContainer
from app.data import containers
from app.data.database import AnyRow
from app.errors import GatewayError, ProviderError
from app.lib import failpoints
from app.services import native_container_files, upstream
from app.services.accounts import Account
from app.services.gateway import Caller, Gateway
from app.services.slices import each_due

EXPIRED = "expired"
# What the provider's clock may be behind the database's, and how long it keeps a container that nobody uses.
SKEW_MS = 120_000
LONGEST_MS = 3_600_000


def create(
    gateway: Gateway,
    caller: Caller,
    account: Account,
    intent: AnyRow,
    new: NewContainer,
    file_ids: Sequence[str],
    confirmed: Callable[[Connection], None],
) -> None:
    """Make an intended container with copies of files in it; the transaction that shows it ends with `confirmed`.

    Raises what a caller is to see. Then nothing of it stays; what a provider may have made unheard is looked for later.
    """
    sources = native_container_files.find_sources(gateway, caller, account, file_ids)
    failpoints.hit("container.before_create")
    try:
        with upstream.told(gateway, provider=account.provider, account=account.name):
            native = account.connector.create_container(new)
    except GatewayError as error:
        if not _may_be_made(error.__cause__):
            _bury(gateway, intent)
        raise
    failpoints.hit("container.after_create")
    try:
        for source in sources:
            native_container_files.send(gateway, account, native.id, source)
        with gateway.database.write() as connection:
            containers.confirm(connection, intent.id, native_id=native.id, last_active_at=native.last_active_at)
            confirmed(connection)
    except BaseException:
        _give_up(gateway, account, intent, native)
        raise


def refreshed(gateway: Gateway, row: AnyRow) -> AnyRow | None:
    """The row, or None when the provider was asked, once for any number of callers, and the row has changed.

    A provider that fails does not keep anyone from reading what is known.
    """
    if row.status == EXPIRED:
        return row
    with gateway.database.write() as connection:
        if not containers.take_look(connection, row.id, stale_ms=int(gateway.settings.refresh_s * 1000)):
            return row
    account = gateway.accounts.by_id(row.account_id)
    if account is None or account.abilities.support("container_retrieve") is not Support.NATIVE:
        return row
    try:
        native = account.connector.retrieve_container(row.native_id)
    except MissingError:
        observe_expired(gateway, row.id)
    except UpstreamError as error:
        gateway.log.warning("container.refresh_failed", container=row.public_id, error=error.message)
        return row
    else:
        _observe(gateway, row, native)
    return None


def observe_expired(gateway: Gateway, container_id: int) -> None:
    """The provider has it no longer: it stays readable as metadata."""
    with gateway.database.write() as connection:
        containers.observe(connection, container_id, status=EXPIRED)


def delete(gateway: Gateway, row: AnyRow) -> bool:
    """Delete it there, then here. False when another request was first. Raises what the provider's failure is."""
    account = account_of(gateway, row)
    with upstream.told(gateway, provider=row.provider, account=account.name):
        account.connector.delete_container(row.native_id)
    with gateway.database.write() as connection:
        return containers.bury(connection, row.id)


def account_of(gateway: Gateway, row: Any) -> Account:
    """The account that holds a container (`account_id`, `provider`). Raises ProviderError when it is gone."""
    account = gateway.accounts.by_id(row.account_id)
    if account is None:
        raise ProviderError(f"The account at {row.provider} that holds this container is gone.", provider=row.provider)
    return account


def reconcile_due(gateway: Gateway) -> int:
    """Delete what a provider made while nobody listened, and forget the intents; returns how many."""
    grace_ms = int(gateway.settings.reconcile_s * 1000)

    def find(connection: Connection, limit: int) -> Sequence[AnyRow]:
        return containers.lost_intents(connection, grace_ms=grace_ms, limit=limit)

    return each_due(gateway, find, lambda row: _reconcile(gateway, row))


def _reconcile(gateway: Gateway, row: AnyRow) -> bool:
    account = gateway.accounts.by_id(row.account_id)
    if account is not None and row.idle_ms < LONGEST_MS:
        try:
            _delete_unheard(gateway, account, row)
        except UpstreamError as error:
            gateway.log.warning("container.not_reconciled", container=row.public_id, error=error.message)
            return False
    # After an hour the provider has ended it by itself.
    return _bury(gateway, row)


def _delete_unheard(gateway: Gateway, account: Account, row: AnyRow) -> None:
    """Delete a container with the intent's name that was made since and that nobody here knows."""
    with gateway.database.read() as connection:
        known = containers.known_native_ids(connection, account_id=account.id)
    after: str | None = None
    while True:
        page = account.connector.list_containers(after=after)
        for native in page.items:
            recent = native.created_at is None or native.created_at >= row.created_at - SKEW_MS
            if native.name == row.name and recent and native.id not in known:
                gateway.log.warning("container.unheard", container=row.public_id, native_id=native.id)
                account.connector.delete_container(native.id)
        after = page.after
        if after is None:
            return


def _observe(gateway: Gateway, row: AnyRow, native: NativeContainer) -> None:
    status = EXPIRED if native.status in (EXPIRED, "deleted") else "running"
    with gateway.database.write() as connection:
        containers.observe(connection, row.id, status=status, last_active_at=native.last_active_at)


def _may_be_made(error: BaseException | None) -> bool:
    """True when the provider may have made it although it did not say so."""
    return isinstance(error, UpstreamError) and error.sent and (error.status is None or error.status >= 500)


def _give_up(gateway: Gateway, account: Account, intent: AnyRow, native: NativeContainer) -> None:
    # What fails here expires at the provider by itself after some minutes.
    with suppress(UpstreamError):
        account.connector.delete_container(native.id)
    _bury(gateway, intent)


def _bury(gateway: Gateway, row: AnyRow) -> bool:
    with gateway.database.write() as connection:
        return containers.bury(connection, row.id)
