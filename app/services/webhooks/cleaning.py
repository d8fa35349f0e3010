"""Retention of webhooks: what ended long ago, secrets that were replaced, endpoints that nothing uses any more."""

from collections.abc import Callable

from app.data.store.database import Connection
from app.data.webhooks import endpoints, outbox
from app.services.each_due import each_due
from app.services.gateway import Gateway
from app.services.webhooks.endpoints import drop_deliveries

DAY_MS = 24 * 3600 * 1000
SLICE_ROWS = 500
# An endpoint that a batch brought along is kept so long after its last batch, for replays.
UNUSED_MS = 7 * DAY_MS


def sweep(gateway: Gateway) -> int:
    """Give up what is too old, and delete what nobody needs; returns how many rows."""
    older_than_ms = gateway.settings.webhook_retention_days * DAY_MS
    acts: list[Callable[[Connection], int]] = [
        lambda connection: outbox.expire(connection, limit=SLICE_ROWS),
        lambda connection: endpoints.expire_old_secrets(connection, limit=SLICE_ROWS),
    ]
    if older_than_ms:
        acts.append(lambda connection: outbox.forget(connection, older_than_ms=older_than_ms, limit=SLICE_ROWS))
    swept = sum(_in_slices(gateway, act) for act in acts)
    swept += each_due(
        gateway,
        lambda connection, limit: endpoints.unused(connection, older_than_ms=UNUSED_MS, limit=limit),
        lambda endpoint_id: gateway.database.run(
            lambda connection: endpoints.delete_unused(connection, endpoint_id, older_than_ms=UNUSED_MS)
        ),
    )
    with gateway.database.read() as connection:
        deleted = outbox.deleted(connection, limit=SLICE_ROWS)
    return swept + sum(drop_deliveries(gateway, endpoint_id) for endpoint_id in deleted)


def _in_slices(gateway: Gateway, act: Callable[[Connection], int]) -> int:
    total = 0
    while True:
        with gateway.database.write() as connection:
            count = act(connection)
        total += count
        if count < SLICE_ROWS:
            return total
