"""The rows of a whole store: copied into another one, on either database, and compared with it.

Values pass as the databases hold them: JSON as its text, instants and money as integers. So the copy is equal to the
last byte, and a checksum over the rows is the same on both. PostgreSQL streams rows only within a transaction.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, Connection, Table, Text, cast, exists, func, inspect, select, text
from sqlalchemy.engine import Row

from app.data.tables import metadata

SLICE_ROWS = 1000
# Who runs or is signed in at the moment, and the state of the store itself: nothing that a copy may take over.
LEFT_BEHIND = ("workers", "periodic_leases", "store_state", "ui_sessions")
# What an empty store may have rows of already, because a release or a first start puts them there.
OF_A_NEW_STORE = (*LEFT_BEHIND, "prices", "sealed_secrets")


@dataclass(frozen=True, slots=True)
class Sum:
    """How many rows a table has, and a checksum over all of them in the order of their keys."""

    rows: int
    sha256: str


def tables() -> list[Table]:
    """The tables of a copy; each comes after those that it refers to."""
    return [table for table in metadata.sorted_tables if table.name not in LEFT_BEHIND]


def occupied(connection: Connection) -> str | None:
    """The name of a table with rows of its own, or None for a store that nobody has used, at whatever revision."""
    present = set(inspect(connection).get_table_names())
    for table in metadata.sorted_tables:
        if table.name in OF_A_NEW_STORE or table.name not in present:
            continue
        if connection.execute(select(exists().select_from(table))).scalar():
            return table.name
    return None


def clear(connection: Connection) -> None:
    """Delete what a new store has rows of."""
    for table in reversed(metadata.sorted_tables):
        if table.name in OF_A_NEW_STORE:
            connection.execute(table.delete())


def forget_processes(connection: Connection) -> None:
    """Delete who runs at the moment: in a copy, nobody does."""
    for name in LEFT_BEHIND:
        connection.execute(metadata.tables[name].delete())


def count(connection: Connection, table: Table) -> int:
    """How many rows a table has."""
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def lock(connection: Connection) -> None:
    """Let nobody else write until this transaction ends, but everybody read. On SQLite that is so anyway."""
    if connection.dialect.name == "postgresql":
        names = ", ".join(_quoted(connection, table.name) for table in metadata.sorted_tables)
        connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))


def copy(source: Connection, target: Connection, table: Table, on_rows: Callable[[int], None]) -> Sum:
    """Copy all rows of `table`. `on_rows` gets the number of rows after each slice."""
    write = _copy_in if target.dialect.name == "postgresql" else _insert_all
    counted = _Summing(_slices(source, table), on_rows)
    write(target, table, counted)
    return counted.result()


def checksum(connection: Connection, table: Table) -> Sum:
    """The sum of the rows that `table` has now."""
    counted = _Summing(_slices(connection, table), lambda _: None)
    for _ in counted:
        pass
    return counted.result()


def next_ids(connection: Connection) -> dict[str, int]:
    """For each table with generated ids, the last id that it gave: deleted ids are never given again."""
    if connection.dialect.name == "sqlite":
        return {row.name: row.seq for row in connection.execute(text("SELECT name, seq FROM sqlite_sequence"))}
    found = {}
    for table in tables():
        if sequence := _sequence(connection, table):
            statement = f"SELECT last_value FROM {sequence} WHERE is_called"  # noqa: S608 - a name from the catalogue
            if last := connection.execute(text(statement)).scalar():
                found[table.name] = int(last)
    return found


def set_next_ids(connection: Connection, last_ids: dict[str, int]) -> None:
    """Let each table give ids after those in `last_ids` and after those that it has."""
    for table in tables():
        if "id" not in table.columns:
            continue
        last = max(last_ids.get(table.name, 0), connection.execute(select(func.max(table.c.id))).scalar() or 0)
        if not last:
            continue
        values = {"name": table.name, "last": last}
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)"), values)
            continue
        changed = connection.execute(text("UPDATE sqlite_sequence SET seq = :last WHERE name = :name"), values)
        if not changed.rowcount:
            connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)


class _Summing:
    """Slices of rows, counted and hashed as they pass."""

    def __init__(self, slices: Iterator[Sequence[Row[Any]]], on_rows: Callable[[int], None]) -> None:
        self._slices = slices
        self._on_rows = on_rows
        self._rows = 0
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[list[tuple[Any, ...]]]:
        for rows in self._slices:
            plain = [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in rows]
            for row in plain:
                self._hash.update(repr(row).encode())
            self._rows += len(plain)
            yield plain
            self._on_rows(len(plain))

    def result(self) -> Sum:
        return Sum(self._rows, self._hash.hexdigest())


def _slices(connection: Connection, table: Table) -> Iterator[Sequence[Row[Any]]]:
    statement = select(*[_plain(column) for column in table.columns]).order_by(*table.primary_key.columns)
    streamed = statement.execution_options(stream_results=True, yield_per=SLICE_ROWS)
    yield from connection.execute(streamed).partitions()


def _plain(column: Column[Any]) -> Any:
    return cast(column, Text).label(column.name) if isinstance(column.type, JSON) else column


def _insert_all(connection: Connection, table: Table, slices: _Summing) -> None:
    names = [column.name for column in table.columns]
    listed, marks = ", ".join(names), ", ".join("?" * len(names))
    statement = f"INSERT INTO {table.name} ({listed}) VALUES ({marks})"  # noqa: S608 - names of our tables
    for rows in slices:
        connection.exec_driver_sql(statement, rows)


def _copy_in(connection: Connection, table: Table, slices: _Summing) -> None:
    names = ", ".join(_quoted(connection, column.name) for column in table.columns)
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY {_quoted(connection, table.name)} ({names}) FROM STDIN") as copied:
        for rows in slices:
            for row in rows:
                copied.write_row(row)


def _sequence(connection: Connection, table: Table) -> str | None:
    if "id" not in table.columns:
        return None
    found = connection.execute(text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": table.name})
    return found.scalar()


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)
