"""Intents whose request died: what the provider made for them is deleted there, and they are forgotten here."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from app.connectors.contract.abilities import Support
from app.connectors.contract.errors import MissingError, UpstreamError
from app.connectors.contract.objects import NativeContainer
from app.data.containers import containers, intents
from app.data.containers.intents import LostIntent
from app.services.accounts.directory import Account
from app.services.containers.native import bury
from app.services.each_due import each_due
from app.services.gateway import Gateway

# How far the provider's clock and the database's may be apart. A container that is missed because of it idles out by
# itself; one that is deleted by mistake is somebody's work. So this is small.
SKEW_MS = 5_000
# After this time the provider has ended the container by itself.
MAX_AGE_MS = 3_600_000
# A request that has its container adds files to it, which takes longer than any one call.
HELD_GRACES = 15


def reconcile_due(gateway: Gateway) -> int:
    """Delete what providers made for requests that died, and forget the intents; returns how many."""
    grace_ms = int(gateway.settings.reconcile_s * 1000)

    def lost(connection: Connection, limit: int) -> Sequence[LostIntent]:
        held_ms = grace_ms * HELD_GRACES
        return intents.lost(connection, grace_ms=grace_ms, held_grace_ms=held_ms, limit=limit)

    return each_due(gateway, lost, lambda intent: _reconcile(gateway, intent, grace_ms))


def _reconcile(gateway: Gateway, intent: LostIntent, grace_ms: int) -> bool:
    with gateway.database.write() as connection:
        if not intents.give_up(connection, intent.id):
            return False  # It has just been confirmed.
    account = gateway.accounts.by_id(intent.account_id)
    if account is not None and intent.age_ms < MAX_AGE_MS:
        try:
            if not _is_undone(gateway, account, intent, grace_ms):
                return False
        except UpstreamError as error:
            gateway.log.warning("container.not_reconciled", container=intent.public_id, reason=error.message)
            return False
    return bury(gateway.database, intent.id)


def _is_undone(gateway: Gateway, account: Account, intent: LostIntent, grace_ms: int) -> bool:
    """True when nothing of it is left to be deleted. Raises UpstreamError."""
    if intent.native_id is not None:
        try:
            account.connector.delete_container(intent.native_id)
        except MissingError:
            with gateway.database.write() as connection:
                return containers.miss(connection, intent.id)
        return True
    if account.abilities.support("container_list") is not Support.NATIVE:
        return True
    candidates = [native for native in _listed(account, intent) if _may_be(gateway, native, intent)]
    with gateway.database.read() as connection:
        known = intents.known_native_ids(connection, account_id=account.id)
        if intents.is_in_flight(connection, account_id=account.id, name=intent.name, grace_ms=grace_ms):
            return False  # One of the candidates may be that request's.
        unanswered = intents.unanswered(connection, account_id=account.id, name=intent.name)
    unknown = [native.id for native in candidates if native.id not in known]
    if len(unknown) > unanswered:
        # Somebody makes such containers without the gateway, and nothing tells which are ours: let them idle out.
        gateway.log.warning("container.unclear", container=intent.public_id, native_ids=unknown)
        return True
    for native_id in unknown:
        gateway.log.warning("container.unheard", container=intent.public_id, native_id=native_id)
        account.connector.delete_container(native_id)
    return True


def _listed(account: Account, intent: LostIntent) -> Iterator[NativeContainer]:
    """The account's containers, newest first, back to those that are older than the intent."""
    after: str | None = None
    while True:
        page = account.connector.list_containers(after=after)
        yield from page.items
        after = page.after
        oldest = page.items[-1].created_at if page.items else None
        if after is None or (oldest is not None and oldest < intent.created_at - MAX_AGE_MS):
            return


def _may_be(gateway: Gateway, native: NativeContainer, intent: LostIntent) -> bool:
    """True when it has the intent's name and was made while the request was in flight."""
    if native.name != intent.name or native.created_at is None:
        return False
    # Providers tell whole seconds. A request that was not sent is retried once.
    latest = intent.created_at + int(2 * gateway.settings.call_timeout_s * 1000) + SKEW_MS
    return intent.created_at - SKEW_MS - 999 <= native.created_at <= latest
