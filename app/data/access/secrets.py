"""Sealed values, wherever they are kept: read in slices, replaced one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Table, select, update

from app.data.store.database import AnyRow
from app.data.tables import accounts, sealed_secrets


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values. Each is bound to its table, its column, and what its row has in `bound_to`."""

    table: Table
    name: str
    bound_to: str

    @property
    def label(self) -> str:
        """Table and column."""
        return f"{self.table.name}.{self.name}"

    @property
    def sealed(self) -> Column[bytes]:
        """The column itself."""
        return self.table.c[self.name]


COLUMNS = (
    SealedColumn(accounts, "sealed_credential", bound_to="id"),
    SealedColumn(sealed_secrets, "sealed", bound_to="name"),
)


def page(connection: Connection, column: SealedColumn, *, after: int, limit: int) -> Sequence[AnyRow]:
    """The next rows (id, sealed, bound_to) that have a value, by id."""
    table = column.table
    statement = select(table.c.id, column.sealed.label("sealed"), table.c[column.bound_to].label("bound_to"))
    where = (table.c.id > after, column.sealed.is_not(None))
    return connection.execute(statement.where(*where).order_by(table.c.id).limit(limit)).all()


def replace(connection: Connection, column: SealedColumn, row_id: int, *, old: bytes, new: bytes) -> bool:
    """Put `new` in place of `old`. False when the value is no longer `old`: somebody wrote it meanwhile."""
    statement = update(column.table).where(column.table.c.id == row_id, column.sealed == old)
    return connection.execute(statement.values({column.name: new})).rowcount == 1
