"""Containers at providers: made once, looked at now and then, deleted there and here."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, UpstreamError
from app.connectors.contract.objects import NativeContainer, NewContainer
from app.connectors.http.redaction import Redaction
from app.data.containers import containers, intents
from app.data.store.database import AnyRow
from app.errors import GatewayError, ProviderError, UnavailableError, UnsupportedOperationError
from app.lib import failpoints
from app.services import provider_errors
from app.services.accounts.directory import Account
from app.services.containers import sources as container_sources
from app.services.containers.sources import Source
from app.services.gateway import Gateway

EXPIRED = "expired"
# Shorter ones are in any text.
SECRET_LENGTH = 4
# The provider's clock and ours differ by less; a look after it finds what idled out there.
OVERDUE_MS = 60_000
# What is overdue and could not be seen is not asked for again within this time.
LOOK_AGAIN_MS = 300_000
LOOKS = 200


def create(
    gateway: Gateway,
    account: Account,
    intent: AnyRow,
    new: NewContainer,
    sources: Sequence[Source],
    confirmed: Callable[[Connection], None],
) -> None:
    """Make an intended container with copies of files in it; the transaction that shows it ends with `confirmed`.

    Raises what a caller is to see. Then nothing of it stays; what a provider may have made unheard is looked for later.
    """
    failpoints.hit("container.before_create")
    try:
        with provider_errors.told(gateway, provider=account.provider, account=account.name):
            native = _made(account, new)
    except GatewayError as error:
        if not _may_be_made(error.__cause__):
            bury(gateway, intent.id)
        raise
    failpoints.hit("container.after_create")
    try:
        _keep_on(gateway, intent, native_id=native.id)
        for source in sources:
            container_sources.send(gateway, account, native.id, source)
            _keep_on(gateway, intent)
        failpoints.hit("container.before_confirm")
        with gateway.database.write() as connection:
            _confirm(connection, intent, native)
            confirmed(connection)
    except BaseException:
        _give_up(gateway, account, intent, native)
        raise


def refreshed(gateway: Gateway, row: AnyRow) -> AnyRow | None:
    """The row, or None when the provider was asked, once for any number of callers, and the row has changed.

    A provider that fails does not keep anyone from reading what is known.
    """
    stale_ms = int(gateway.settings.refresh_s * 1000)
    if row.status == EXPIRED or row.seen_ms < stale_ms:
        return row
    account = gateway.accounts.by_id(row.account_id)
    if account is None or account.abilities.support("container_retrieve") is not Support.NATIVE:
        return row
    with gateway.database.write() as connection:
        if not containers.take_look(connection, row.id, stale_ms=stale_ms):
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


def look_at_overdue(gateway: Gateway) -> int:
    """Ask for containers that should have idled out, so that lists tell the truth; returns how many changed.

    A look may keep one alive that a model used; it is the only one until it should be over again.
    """
    with gateway.database.read() as connection:
        rows = containers.overdue(connection, margin_ms=OVERDUE_MS, seen_ms=LOOK_AGAIN_MS, limit=LOOKS)
    return sum(1 for row in rows if refreshed(gateway, row) is None)


def observe_expired(gateway: Gateway, container_id: int) -> None:
    """The provider has it no longer: it stays readable as metadata."""
    with gateway.database.write() as connection:
        containers.observe(connection, container_id, status=EXPIRED)


def delete(gateway: Gateway, row: AnyRow) -> bool:
    """Delete it there, then here. False when another request was first. Raises what the provider's failure is."""
    account = account_of(gateway, row)
    if account.abilities.support("container_delete") is not Support.NATIVE:
        raise UnsupportedOperationError(row.provider, "container_delete")
    with provider_errors.told(gateway, provider=row.provider, account=account.name):
        account.connector.delete_container(row.native_id)
    return bury(gateway, row.id)


def account_of(gateway: Gateway, row: Any) -> Account:
    """The account that holds a container (`account_id`, `provider`). Raises ProviderError when it is gone."""
    account = gateway.accounts.by_id(row.account_id)
    if account is None:
        raise ProviderError(f"The account at {row.provider} that holds this container is gone.", provider=row.provider)
    return account


def bury(gateway: Gateway, container_id: int) -> bool:
    """A container at a provider is gone there, or was never made. False when another request was first."""
    with gateway.database.write() as connection:
        return containers.bury(connection, container_id)


def gave_up() -> UnavailableError:
    """What is answered when the sweeper took a slow request for a dead one."""
    return UnavailableError("Making the container took too long; send the request again.", retry_after_s=1)


def _made(account: Account, new: NewContainer) -> NativeContainer:
    """The container as the provider made it. An error never repeats a secret of a domain."""
    try:
        return account.connector.create_container(new)
    except UpstreamError as error:
        for secret in (new.network_policy or {}).get("domain_secrets", ()):
            if len(secret["value"]) >= SECRET_LENGTH:
                error.message = Redaction(secret["value"]).text(error.message)
        raise


def _keep_on(gateway: Gateway, intent: AnyRow, **values: Any) -> None:
    with gateway.database.write() as connection:
        if not intents.keep_on(connection, intent.id, **values):
            raise gave_up()


def _confirm(connection: Connection, intent: AnyRow, native: NativeContainer) -> None:
    if not intents.confirm(connection, intent.id, last_active_at=native.last_active_at):
        raise gave_up()


def _observe(gateway: Gateway, row: AnyRow, native: NativeContainer) -> None:
    status = EXPIRED if native.status in (EXPIRED, "deleted") else "running"
    with gateway.database.write() as connection:
        containers.observe(connection, row.id, status=status, last_active_at=native.last_active_at)


def _may_be_made(error: BaseException | None) -> bool:
    """True when the provider may have made it although it did not say so."""
    return isinstance(error, UpstreamError) and error.sent and (error.status is None or error.status >= 500)


def _give_up(gateway: Gateway, account: Account, intent: AnyRow, native: NativeContainer) -> None:
    with gateway.database.write() as connection:
        if not intents.give_up(connection, intent.id):
            return  # The sweeper was first, or the transaction that failed here was committed after all.
    try:
        account.connector.delete_container(native.id)
    except UpstreamError as error:
        # The intent stays, with the native id, and the sweeper tries again.
        gateway.log.warning("container.not_deleted", container=intent.public_id, error=error.message)
        return
    bury(gateway, intent.id)
