"""The work of keys that were stopped, ended: also what a request in flight made just after."""

from functools import partial

from sqlalchemy import Connection

from app.data.access import keys
from app.data.batches import batches, jobs
from app.data.store.database import AnyRow
from app.services.each_due import SLICE_ROWS, each_due
from app.services.events import record
from app.services.gateway import Actor, Gateway

# What one heartbeat stops: leases are to be renewed in between.
HEARTBEAT_ROWS = 50
WORKER = Actor(name="gateway", source="worker", request_id="worker")


def stop_all(gateway: Gateway, *, actor: Actor = WORKER) -> int:
    """Cancel all batches that run though their key was stopped; returns how many."""
    return each_due(
        gateway,
        lambda connection, limit: keys.work_to_stop(connection, limit=limit),
        lambda row: gateway.database.run(partial(_stop, row, actor)),
        slice_rows=SLICE_ROWS,
    )


def stop_some(gateway: Gateway) -> int:
    """As `stop_all`, but only the oldest of them."""
    with gateway.database.read() as connection:
        found = keys.work_to_stop(connection, limit=HEARTBEAT_ROWS)
    return sum(gateway.database.run(partial(_stop, row, WORKER)) for row in found)


def _stop(row: AnyRow, actor: Actor, connection: Connection) -> bool:
    """Lines that were not sent stay so; what runs at a provider is cancelled there by a worker."""
    if not batches.cancel(connection, row.id):
        return False
    jobs.drop_unmade(connection, row.id)
    jobs.hurry(connection, row.id)
    detail = {"reason": "key_stopped", "key": row.key}
    record.record_act(
        connection,
        operation="batch_cancel",
        object_id=row.public_id,
        detail=detail,
        actor=actor,
        project_id=row.project_id,
        key_id=row.key_id,
    )
    return True
