"""Queries on all sealed values of the store: read in pages, replaced one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Table, inspect, select, update

from app.data.tables import accounts, sealed_secrets, webhook_endpoints


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values. Each value is bound to its table, its column and the row's `bound_to` column."""

    table: Table
    name: str
    bound_to: str

    @property
    def label(self) -> str:
        """Table and column, joined by a dot."""
        return f"{self.table.name}.{self.name}"

    @property
    def sealed(self) -> Column[bytes]:
        """The SQL column."""
        return self.table.c[self.name]


@dataclass(frozen=True, slots=True)
class SealedValue:
    """One sealed value. `bound_to` is what the row has in the column that the value is bound to."""

    id: int
    sealed: bytes
    bound_to: int | str


COLUMNS = (
    SealedColumn(accounts, "sealed_credential", bound_to="id"),
    SealedColumn(accounts, "sealed_webhook_secret", bound_to="id"),
    SealedColumn(sealed_secrets, "sealed", bound_to="name"),
    SealedColumn(webhook_endpoints, "sealed_secret", bound_to="public_id"),
    SealedColumn(webhook_endpoints, "sealed_old_secret", bound_to="public_id"),
)


def any_stored(connection: Connection) -> bool:
    """Returns True when the store has a sealed value. A store that is not migrated has none."""
    existing = set(inspect(connection).get_table_names())
    columns = [column for column in COLUMNS if column.table.name in existing]
    looks = (select(column.table.c.id).where(column.sealed.is_not(None)).limit(1) for column in columns)
    return any(connection.execute(look).first() is not None for look in looks)


def page(connection: Connection, column: SealedColumn, *, after: int, limit: int) -> Sequence[SealedValue]:
    """Returns the next values in order of row id, after the row `after`."""
    table = column.table
    statement = select(table.c.id, column.sealed.label("sealed"), table.c[column.bound_to].label("bound_to"))
    where = (table.c.id > after, column.sealed.is_not(None))
    rows = connection.execute(statement.where(*where).order_by(table.c.id).limit(limit))
    return [SealedValue(**row._mapping) for row in rows]


def replace(connection: Connection, column: SealedColumn, row_id: int, *, old: bytes, new: bytes) -> bool:
    """Replaces `old` by `new`. Returns False when another process has changed the value in the meantime."""
    statement = update(column.table).where(column.table.c.id == row_id, column.sealed == old)
    return connection.execute(statement.values({column.name: new})).rowcount == 1
