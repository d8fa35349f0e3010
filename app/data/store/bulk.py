"""Statements that run for many rows at once, without what SQLAlchemy does for each of them."""

import threading
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.dml import UpdateBase

# Drivers take the values of a row as a tuple, in the order of these marks.
_MARKS = {"sqlite": "qmark", "postgresql": "format"}


class Bulk:
    """`statement` for rows that are tuples of its parameters' values, in the order of `names`.

    SQLAlchemy takes longer to prepare the values of a row than the database to write it. Here the statement is compiled
    once for each dialect, and the rows go to the driver as they are: numbers, texts and None.
    """

    def __init__(self, statement: UpdateBase, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = list(names)
        self._compiled: dict[str, tuple[str, tuple[Any, ...], Any]] = {}
        self._lock = threading.Lock()

    def run(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> int:
        """Run for each row; returns how many rows were written."""
        text, constants, in_order = self._for(connection)
        values = [in_order(row + constants) for row in rows]
        return connection.exec_driver_sql(text, values).rowcount if values else 0

    def _for(self, connection: Connection) -> tuple[str, tuple[Any, ...], Any]:
        name = connection.dialect.name
        found = self._compiled.get(name)
        if found is None:
            with self._lock:
                found = self._compiled[name] = self._compile(connection)
        return found

    def _compile(self, connection: Connection) -> tuple[str, tuple[Any, ...], Any]:
        dialect = type(connection.dialect)(paramstyle=_MARKS[connection.dialect.name])  # type: ignore[call-arg]
        compiled: Any = self._statement.compile(dialect=dialect, column_keys=[])
        fixed = [name for name in compiled.params if name not in self._names]
        order = {name: position for position, name in enumerate((*self._names, *fixed))}
        constants = tuple(compiled.params[name] for name in fixed)
        return compiled.string, constants, itemgetter(*(order[name] for name in compiled.positiontup))
