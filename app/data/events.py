"""Rows of events: written once, never edited."""

from typing import Any

from sqlalchemy import Connection, insert

from app.data.database import now_ms
from app.data.tables import events

# Built once: every write of the API runs it.
_INSERT = insert(events).values(created_at=now_ms())


def insert_event(connection: Connection, **values: Any) -> None:
    """One event; `values` are its columns but `id` and `created_at`."""
    connection.execute(_INSERT.values(**values))
