"""Drops what is old: events, and lines and chunks of batches that ended long ago, whose files hold the results."""

from app.data.audit import events
from app.data.batches import lines, named_files, retention
from app.services.each_due import each_due
from app.services.gateway import Gateway

DAY_MS = 24 * 3600 * 1000
SLICE_ROWS = 500


def drop_due(gateway: Gateway) -> int:
    """Drop what is older than `BATCHGATE_LINES_RETENTION_DAYS`, a slice at a time; returns of how many batches."""
    older_than_ms = gateway.settings.lines_retention_days * DAY_MS
    if not older_than_ms:
        return 0
    return each_due(
        gateway,
        lambda connection, limit: retention.due(connection, older_than_ms=older_than_ms, limit=limit),
        lambda batch_id: _drop(gateway, batch_id),
    )


def drop_events(gateway: Gateway) -> int:
    """Drop events older than `BATCHGATE_EVENTS_RETENTION_DAYS`, a slice at a time; returns how many."""
    older_than_ms = gateway.settings.events_retention_days * DAY_MS
    dropped = 0
    while older_than_ms:
        with gateway.database.write() as connection:
            count = events.drop(connection, older_than_ms=older_than_ms, limit=SLICE_ROWS)
        dropped += count
        if count < SLICE_ROWS:
            break
    return dropped


def _drop(gateway: Gateway, batch_id: int) -> bool:
    with gateway.database.write() as connection:
        retention.mark(connection, batch_id, "dropping")  # so that nobody reads what is deleted below
    for drop in (lines.delete_lines, named_files.drop, retention.drop_chunks, retention.drop_segments):
        while True:
            with gateway.database.write() as connection:
                if drop(connection, batch_id, limit=SLICE_ROWS) < SLICE_ROWS:
                    break
    with gateway.database.write() as connection:
        retention.mark(connection, batch_id, "dropped")
    return True
