"""What is left of containers whose making nobody saw to its end: deleted at the provider, forgotten here."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import UpstreamError
from app.connectors.contract.objects import NativeContainer
from app.data.containers import intents
from app.data.store.database import AnyRow
from app.services.accounts.directory import Account
from app.services.containers import native as container_native
from app.services.each_due import each_due
from app.services.gateway import Gateway

# How far the provider's clock and the database's may be apart. A container that is missed by it idles out by itself,
# a wrong one that is deleted is somebody's work: so this is small.
SKEW_MS = 5_000
# After this time the provider has ended it by itself.
LONGEST_MS = 3_600_000
# A request that has its container puts files into it, which takes longer than any one answer.
HELD_GRACES = 15


def reconcile_due(gateway: Gateway) -> int:
    """Delete what providers made for requests that are over, and forget the intents; returns how many."""
    grace_ms = int(gateway.settings.reconcile_s * 1000)

    def find(connection: Connection, limit: int) -> Sequence[AnyRow]:
        held_ms = grace_ms * HELD_GRACES
        return intents.lost(connection, grace_ms=grace_ms, held_grace_ms=held_ms, limit=limit)

    return each_due(gateway, find, lambda row: _reconcile(gateway, row, grace_ms))


def _reconcile(gateway: Gateway, row: AnyRow, grace_ms: int) -> bool:
    with gateway.database.write() as connection:
        if not intents.give_up(connection, row.id):
            return False  # It was confirmed in this instant.
    account = gateway.accounts.by_id(row.account_id)
    if account is not None and row.age_ms < LONGEST_MS:
        try:
            if not _is_undone(gateway, account, row, grace_ms):
                return False
        except UpstreamError as error:
            gateway.log.warning("container.not_reconciled", container=row.public_id, error=error.message)
            return False
    return container_native.bury(gateway, row.id)


def _is_undone(gateway: Gateway, account: Account, row: AnyRow, grace_ms: int) -> bool:
    """True when nothing of it is left to be deleted. Raises UpstreamError."""
    if row.native_id is not None:
        account.connector.delete_container(row.native_id)
        return True
    if account.abilities.support("container_list") is not Support.NATIVE:
        return True
    found = [native for native in _listed(account, row) if _may_be(gateway, native, row)]
    with gateway.database.read() as connection:
        known = intents.known_native_ids(connection, account_id=account.id)
        name = {"account_id": account.id, "name": row.name}
        if intents.being_asked(connection, **name, grace_ms=grace_ms):
            return False  # One of those found may be that request's.
        most = intents.unanswered(connection, **name)
    unknown = [native.id for native in found if native.id not in known]
    if len(unknown) > most:
        # Somebody makes such containers without the gateway, and nothing tells which are ours: they idle out.
        gateway.log.warning("container.unclear", container=row.public_id, native_ids=unknown)
        return True
    for native_id in unknown:
        gateway.log.warning("container.unheard", container=row.public_id, native_id=native_id)
        account.connector.delete_container(native_id)
    return True


def _listed(account: Account, row: AnyRow) -> Iterator[NativeContainer]:
    """The account's containers, newest first, down to those that are older than the intent."""
    after: str | None = None
    while True:
        page = account.connector.list_containers(after=after)
        yield from page.items
        after = page.after
        oldest = page.items[-1].created_at if page.items else None
        if after is None or (oldest is not None and oldest < row.created_at - LONGEST_MS):
            return


def _may_be(gateway: Gateway, native: NativeContainer, row: AnyRow) -> bool:
    """True when it has the intent's name and was made while the provider was asked."""
    if native.name != row.name or native.created_at is None:
        return False
    # Providers tell whole seconds. A request that was not sent is sent once more.
    latest = row.created_at + int(2 * gateway.settings.call_timeout_s * 1000) + SKEW_MS
    return bool(row.created_at - SKEW_MS - 999 <= native.created_at <= latest)
