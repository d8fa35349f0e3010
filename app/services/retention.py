"""Lines and chunks of batches that ended long ago: dropped, since output and error file hold the answers."""

from app.data import retention
from app.services.gateway import Gateway

DAY_MS = 24 * 3600 * 1000
SLICE = 500


def drop_due(gateway: Gateway) -> int:
    """Drop what `BATCHGATE_LINES_RETENTION_DAYS` says is old, a slice at a time; returns how many batches."""
    days = gateway.settings.lines_retention_days
    if not days:
        return 0
    dropped = 0
    while True:
        with gateway.database.read() as connection:
            batch_ids = retention.due(connection, older_than_ms=days * DAY_MS, limit=SLICE)
        for batch_id in batch_ids:
            _drop(gateway, batch_id)
        dropped += len(batch_ids)
        if len(batch_ids) < SLICE:
            return dropped


def _drop(gateway: Gateway, batch_id: int) -> None:
    with gateway.database.write() as connection:
        retention.mark(connection, batch_id, "dropping")  # so that nobody reads what goes away below
    for drop in (retention.drop_lines, retention.drop_chunks, retention.drop_segments):
        while True:
            with gateway.database.write() as connection:
                if drop(connection, batch_id, limit=SLICE) < SLICE:
                    break
    with gateway.database.write() as connection:
        retention.mark(connection, batch_id, "dropped")
