"""As if minutes had passed since a provider first said that it does not have an object."""

from sqlalchemy import update

from app.data.store import absence
from app.data.tables import container_files, containers, native_objects
from app.services.gateway import Gateway

TABLES = (native_objects, containers, container_files)


def minutes_pass(gateway: Gateway) -> None:
    """All that is missing has been looked for often, and for long; the next look decides."""
    with gateway.database.write() as connection:
        for table in TABLES:
            missing = update(table).where(table.c.missing_at.is_not(None))
            since = table.c.missing_at - absence.SETTLED_MS
            connection.execute(missing.values(missing_at=since, missing_looks=absence.LOOKS - 1, look_at=1))


def next_look_is_due(gateway: Gateway) -> None:
    """As if the next look at what is missing counted."""
    with gateway.database.write() as connection:
        for table in TABLES:
            connection.execute(update(table).where(table.c.missing_at.is_not(None)).values(look_at=1))
