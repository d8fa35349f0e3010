"""What must hold after any crash, once a sweep is over."""

from sqlalchemy import func, select, update

from app.data.files import blobs as blob_rows
from app.data.tables import batch_chunks, batch_lines, batches, blobs
from app.services.gateway import Gateway
from app.services.upkeep import sweep
from tests.support import stored


def assert_clean(gateway: Gateway) -> None:
    """After leases have run out and a sweep: every row has its bytes, all bytes have their row, nothing is unused."""
    with gateway.database.write() as connection:
        connection.execute(update(blobs).where(blobs.c.state == "pending").values(lease_until=0))
    sweep.sweep(gateway)
    on_disk = stored.sizes(gateway)
    with gateway.database.read() as connection:
        name = func.coalesce(blobs.c.object, blobs.c.key)
        known = {row[0]: row[1] for row in connection.execute(select(name, blobs.c.bytes))}
        states = set(connection.execute(select(blobs.c.state)).scalars())
        orphans = blob_rows.count_orphans(connection)
    assert states <= {"live"}
    assert on_disk == known
    assert orphans == 0


def assert_lines_counted_once(gateway: Gateway) -> None:
    """The counters of every batch are what its lines say, and each line with a result has one place for it."""
    with gateway.database.read() as connection:
        for batch in connection.execute(select(batches)).all():
            states = select(batch_lines.c.state, func.count().label("lines")).group_by(batch_lines.c.state)
            rows = connection.execute(states.where(batch_lines.c.batch_id == batch.id))
            counted = {row.state: row.lines for row in rows}
            assert counted.get("completed", 0) == batch.lines_completed
            assert counted.get("failed", 0) == batch.lines_failed
            chunked = connection.execute(
                select(func.coalesce(func.sum(batch_chunks.c.lines), 0)).where(batch_chunks.c.batch_id == batch.id)
            ).scalar_one()
            assert chunked == batch.lines_completed + batch.lines_failed
