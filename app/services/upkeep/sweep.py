"""Periodic upkeep, done once for any number of processes: expiries, leftovers, silent workers."""

from collections.abc import Callable

from app.data.batches import capacity, pauses, waits, workers
from app.lib.metrics import declared
from app.services import blobs, idempotency
from app.services.access import key_stop, sessions
from app.services.accounts import admin
from app.services.containers import hosted, native, reconcile
from app.services.copies import looks
from app.services.copies import reconcile as copies
from app.services.files import files, uploads
from app.services.gateway import Gateway
from app.services.leases import lease_ms
from app.services.money import budgets
from app.services.upkeep import retention
from app.services.webhooks import cleaning

FORGET_WORKERS_MS = 24 * 3600 * 1000
FORGET_PAUSES_MS = 3600 * 1000
NAME = "sweep"


def sweep_in_turn(gateway: Gateway, *, worker: str) -> bool:
    """Sweep unless another process did so of late; true when this process did."""
    if not take_turn(gateway, NAME, worker=worker, for_s=gateway.settings.sweep_s):
        return False
    with gateway.metrics.timed(declared.STEP_SECONDS, "sweep"):
        swept = sweep(gateway)
    for kind, rows in swept.items():
        if rows:
            gateway.metrics.count(declared.SWEPT, kind, by=rows)
    return True


def take_turn(gateway: Gateway, name: str, *, worker: str, for_s: float) -> bool:
    """Take the turn of some periodic work for `for_s` seconds; false while another process has it."""
    with gateway.database.write() as connection:
        workers.ensure_periodic(connection, name=name)
        return workers.take_periodic(connection, name=name, worker=worker, lease_ms=int(for_s * 1000))


def sweep(gateway: Gateway) -> dict[str, int]:
    """Enforce expiries, then delete what nothing refers to; returns how many rows of each kind."""
    acts: dict[str, Callable[[Gateway], int]] = {
        "files": files.expire_due,
        "uploads": uploads.expire_due,
        "copies": copies.sweep,
        "file_looks": looks.look_at_missing,
        "containers": hosted.expire_due,
        "container_intents": reconcile.reconcile_due,
        "container_looks": native.look_at_overdue,
        "idempotency_keys": idempotency.purge_due,
        "batch_lines": retention.drop_due,
        "events": retention.drop_events,
        "reservations": budgets.sweep,
        "webhooks": cleaning.sweep,
        "blobs": blobs.sweep,
        "accounts": admin.retire_due,
        "stopped_batches": key_stop.stop_all,
        "ui_sessions": sessions.sweep,
    }
    swept = {name: act(gateway) for name, act in acts.items()}
    with gateway.database.write() as connection:
        capacity.forget_silent(connection)
        pauses.forget_old(connection, after_ms=FORGET_PAUSES_MS)
        waits.forget_ended(connection)
        workers.forget_silent(connection, after_ms=FORGET_WORKERS_MS)
    if any(swept.values()):
        gateway.log.info("swept", **swept)
    return swept


def seen(gateway: Gateway, *, worker: str) -> None:
    """Record that a worker process is alive."""
    with gateway.database.write() as connection:
        workers.seen(connection, name=worker, lease_ms=lease_ms(gateway.settings))
