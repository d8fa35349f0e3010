"""Rows for tests of copies, and what became of them."""

from typing import Any

from sqlalchemy import Table, select, update

from app.data.files import files
from app.data.tables import native_objects
from app.lib import ids
from app.services.blobs import incoming
from app.services.gateway import Caller, Gateway


def a_file(gateway: Gateway, caller: Caller, data: bytes, *, purpose: str = "batch", home: str = "openai") -> int:
    """The row id of a file of the gateway's own store."""
    with incoming(gateway) as blob:
        blob.write(data)
        blob.seal()
        with gateway.database.write() as connection:
            blob.settle(connection)
            return files.insert(
                connection,
                public_id=ids.new(ids.FILE),
                project_id=caller.project_id,
                key_id=caller.key_id,
                home=home,
                purpose=purpose,
                filename="input.jsonl",
                origin="upload",
                blob_id=blob.id,
                size=len(data),
                sha256=blob.sha256,
                lines=None,
                expires_after_s=None,
            )


def all_rows(gateway: Gateway, table: Table) -> list[Any]:
    """Every row of a table, oldest first."""
    with gateway.database.read() as connection:
        return list(connection.execute(select(table).order_by(table.c.id)))


def states(gateway: Gateway) -> list[str]:
    """The states of all native objects, oldest first."""
    return [row.state for row in all_rows(gateway, native_objects)]


def backdate(gateway: Gateway) -> None:
    """As if every lease had run out, and whatever waits had waited long enough."""
    with gateway.database.write() as connection:
        connection.execute(update(native_objects).values(lease_until=None))
        connection.execute(update(native_objects).where(native_objects.c.next_at.is_not(None)).values(next_at=1))
