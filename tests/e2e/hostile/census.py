"""How many rows and bytes there are: the same before and after a request that is refused."""

from sqlalchemy import func, select

from app.data.tables import metadata
from app.services.gateway import Gateway
from tests.support import stored

# A refusal is an event; keys and projects are made by tests.
UNCOUNTED = {"events"}


def census(gateway: Gateway) -> tuple[dict[str, int], list[str]]:
    """Rows by table, of every table that a request can write to, and the names of the files on disk."""
    on_disk = sorted(stored.sizes(gateway))
    with gateway.database.read() as connection:
        counts = {
            table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in metadata.sorted_tables
            if table.name not in UNCOUNTED
        }
    return counts, on_disk
