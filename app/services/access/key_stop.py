"""Cancels the batches of stopped keys, including those that a request in flight created just afterwards."""

from functools import partial

from sqlalchemy import Connection

from app.data.access import keys
from app.data.access.keys import StoppedBatch
from app.data.batches import batches, jobs
from app.engine.parts import JOBS
from app.services.each_due import SLICE_ROWS, each_due
from app.services.events import record
from app.services.gateway import Actor, Gateway

# Batches that one heartbeat cancels at most, so that leases are renewed in time.
HEARTBEAT_ROWS = 50
WORKER = Actor(name="gateway", source="worker", request_id="worker")


def stop_all(gateway: Gateway, *, actor: Actor = WORKER) -> int:
    """Cancels all batches that still run although their key was stopped; returns how many."""
    stopped = each_due(
        gateway,
        lambda connection, limit: keys.work_to_stop(connection, limit=limit),
        lambda batch: gateway.database.run(partial(_stop, batch, actor)),
        slice_rows=SLICE_ROWS,
    )
    if stopped:
        gateway.hints.send(JOBS)
    return stopped


def stop_some(gateway: Gateway) -> int:
    """Cancels the oldest of the batches that `stop_all` would cancel; returns how many."""
    with gateway.database.read() as connection:
        stopped = keys.work_to_stop(connection, limit=HEARTBEAT_ROWS)
    return sum(gateway.database.run(partial(_stop, batch, WORKER)) for batch in stopped)


def _stop(batch: StoppedBatch, actor: Actor, connection: Connection) -> bool:
    """Sends no further line; a worker cancels the batch's jobs at the provider."""
    if not batches.cancel(connection, batch.id):
        return False
    jobs.drop_unmade(connection, batch.id)
    jobs.hurry(connection, batch.id)
    detail = {"reason": "key_stopped", "key": batch.key}
    record.record_act(
        connection,
        operation="batch_cancel",
        object_id=batch.public_id,
        detail=detail,
        actor=actor,
        project_id=batch.project_id,
        key_id=batch.key_id,
    )
    return True
