"""A store at one instant, while others write to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, text

from app.data.store.database import Database


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """A connection to PostgreSQL that sees the store as it was at its first statement, and holds up nobody."""
    with database.writers.connect() as connection:
        snapshot = connection.execution_options(isolation_level="REPEATABLE READ")
        with snapshot.begin():
            snapshot.execute(text("SET TRANSACTION READ ONLY"))
            yield snapshot


def copy_file(database: Database, target: Path) -> None:
    """Write an SQLite store, as it is at one instant, to the empty file `target`."""
    with database.read() as connection, closing(sqlite3.connect(target)) as copy:
        source = connection.connection.driver_connection
        if not isinstance(source, sqlite3.Connection):
            raise TypeError("not an SQLite store")
        source.backup(copy)


def close_file(file: Path) -> None:
    """Put what is in the journal of an SQLite file into the file itself, so that it can be moved alone."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
