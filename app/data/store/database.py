"""The two ways to use the database: `read` (autocommit, never waits) and `write` (one serial transaction)."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from app.data.store.commits import Commits
from app.lib import private

BUSY_TIMEOUT_S = 30
MAX_WRITE_ATTEMPTS = 5

T = TypeVar("T")

_NO_BITMAPS = "SET LOCAL enable_bitmapscan = off"
POSTGRESQL_DISK_FULL = "53100"
SQLITE_DISK_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


class StoreReplacedError(sqlite3.OperationalError):
    """The SQLite file is not the one that this process opened, so what the process knows may be wrong."""


class DatabaseUrlError(ValueError):
    """DATABASE_URL names no database that can be used here; the message says why."""


# The two dialects share the syntax of ON CONFLICT, but SQLAlchemy has no common name for it.
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


# Primary result codes of SQLite: busy, locked, out of memory, read-only, interrupted, I/O error, corrupt, full, cannot
# open, locking protocol, schema changed, not a database.
_SQLITE_OUTAGES = frozenset({5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 17, 26})


class now_ms(FunctionElement[int]):  # noqa: N801 - named as the SQL function that it is
    """The database's own clock in Unix milliseconds: it times leases, whatever the clocks of hosts say."""

    inherit_cache = True
    type = BigInteger()


@compiles(now_ms, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


class Database:
    """Engines on one URL. Connections open at first use, so it may be built before a fork."""

    def __init__(self, url: str, *, pool_size: int = 16, max_overflow: int = 0) -> None:
        self.url = url
        self.dialect = dialect_of(url)
        self._file: Path | None = None
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": max_overflow, "pool_timeout": 30}
        options["hide_parameters"] = True  # what callers wrote has no place in tracebacks and logs
        if self.dialect == "sqlite":
            database = make_url(url).database
            if not database or database == ":memory:":
                raise DatabaseUrlError(
                    "DATABASE_URL must name an SQLite file, because web and worker processes share it."
                )
            self._file = None if database.startswith("file:") else Path(database).absolute()
            if self._file:
                private.make_folder(self._file.parent)
            options["connect_args"] = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
        else:
            options["pool_pre_ping"] = True
        self._identity: tuple[int, int] | None = None
        self._generation = 0
        self._commits = Commits(self._file) if self._file else None
        # Two engines, because resetting a pooled SQLite connection from autocommit puts the driver back into its
        # legacy mode, which silently loses updates.
        try:
            self.readers = create_engine(url, isolation_level="AUTOCOMMIT", **options)
            self.writers = create_engine(url, **options)
        except (ModuleNotFoundError, ArgumentError) as error:
            hint = "install the driver with `pip install 'batchgate[postgres]'`"
            raise DatabaseUrlError(f"DATABASE_URL cannot be used ({error}): {hint}, or correct the URL.") from error
        self._set_up_engines()

    @property
    def is_created(self) -> bool:
        """False for an SQLite file that does not exist yet; using the database would create it."""
        return self._file is None or self._file.exists()

    def read(self) -> AbstractContextManager[Connection]:
        """A connection in autocommit: each statement sees the newest committed state."""
        return self.readers.connect()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed and durable when the block ends, rolled back on an exception."""
        with self.writers.begin() as connection:
            yield connection

    def run(self, unit: Callable[[Connection], T]) -> T:
        """Run `unit` in a write transaction; retried when the database reports a deadlock or serialisation failure."""
        for attempt in range(MAX_WRITE_ATTEMPTS):
            try:
                with self.write() as connection:
                    return unit(connection)
            except OperationalError as error:
                if attempt == MAX_WRITE_ATTEMPTS - 1 or not _is_transient(error):
                    raise
                time.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    def newest_commit(self) -> int | None:
        """A number that is another one after each commit to an SQLite file; None for a server, or if unknown."""
        return None if self._commits is None else self._commits.newest()

    def free_bytes(self) -> int | None:
        """Free space on the disk of the SQLite file; None for a server, which looks after its own, or if unknown."""
        if self._file is None:
            return None
        try:
            disk = os.statvfs(self._file.parent)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize

    def is_replaced(self) -> bool:
        """True once another file lies where the SQLite file was when this process opened it first."""
        found = self._found()
        return None not in (self._identity, found) and found != self._identity

    def dispose(self) -> None:
        """Close all pooled connections; the next use opens new ones."""
        self._generation += 1
        self.readers.dispose()
        self.writers.dispose()
        if self._commits is not None:
            self._commits.close()

    def _set_up_engines(self) -> None:
        for engine in (self.readers, self.writers):
            if self.dialect == "sqlite":
                # Before either could make an empty file in the place of one that is gone.
                event.listen(engine, "do_connect", self._check_file)
                event.listen(engine, "do_connect", self._keep_private)
                event.listen(engine, "connect", self._open_sqlite)
                event.listen(engine, "checkout", self._check_file)
            else:
                event.listen(engine, "connect", _open_postgresql)
                event.listen(engine, "handle_error", _hide_rows)
                event.listen(engine, "connect", self._note_generation)
                event.listen(engine, "checkin", self._close_if_outlived)
        if self.dialect == "sqlite":
            event.listen(self.writers, "begin", _begin_immediate)

    def _note_generation(self, _connection: Any, record: Any) -> None:
        record.info["generation"] = self._generation

    def _close_if_outlived(self, connection: Any, record: Any) -> None:
        """Closes a connection that a thread still used when its pool was disposed of: nobody else would."""
        if connection is not None and record.info.get("generation") != self._generation:
            connection.close()

    def _open_sqlite(self, connection: Any, _record: Any) -> None:
        _set_up(connection)
        if self._identity is None:
            self._identity = self._found()

    def _found(self) -> tuple[int, int] | None:
        """What identifies the SQLite file, whatever its name; None if there is none."""
        if self._file is None:
            return None
        try:
            found = os.stat(self._file)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _check_file(self, *_: Any) -> None:
        """Raises StoreReplacedError when the file was deleted or replaced.

        Connections that are open would write into the deleted file. New ones would mix what this process remembers
        of one store, such as the ids of its leases, with the rows of another.
        """
        if self._identity is None or (found := self._found()) == self._identity:
            return
        if found is None:
            raise StoreReplacedError(f"The database file {self._file} is gone; put it back, then restart this process.")
        raise StoreReplacedError(f"The database file {self._file} was replaced; restart this process.")

    def _keep_private(self, *_: Any) -> None:
        """Creates the file with the mode that SQLite would not give it; SQLite's own files beside it get the same."""
        if self._file:
            with suppress(OSError):  # SQLite says what is wrong with the file, as the database's error
                private.make_file(self._file)


def dialect_of(url: str, *, name: str = "DATABASE_URL", known: Sequence[str] = ("sqlite", "postgresql")) -> str:
    """The dialect that the URL in the variable `name` is of. Raises DatabaseUrlError, which does not repeat the URL."""
    try:
        dialect = make_url(url).get_backend_name()
    except (ArgumentError, ValueError) as error:  # ValueError: its port is no number
        raise DatabaseUrlError(f"{name} must be a URL such as postgresql://user:password@host/name.") from error
    if dialect not in known:
        raise DatabaseUrlError(f"{name} must be {' or '.join(known)}, not {dialect}.")
    return dialect


def is_pooled(connection: Any) -> bool:
    """True when a pooler is between this connection of psycopg and the server: it gives out process ids of its own."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return bool(row[0] != connection.info.backend_pid)


@contextmanager
def in_index_order(connection: Connection) -> Iterator[None]:
    """Let PostgreSQL read what the block asks for in the order of an index, however few rows it expects.

    Without statistics it takes a batch for a two-hundredth of the table. Then it collects all lines of a large batch
    in a bitmap and sorts them, again for each page. A setting of the session would be lost in a pooler.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    driver: Any = connection.connection.driver_connection
    if not driver.autocommit:
        connection.exec_driver_sql(_NO_BITMAPS)
        yield
        return
    connection.exec_driver_sql(f"BEGIN; {_NO_BITMAPS}")
    try:
        yield
    except BaseException:
        if not driver.broken:
            connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def inserted_id(connection: Connection, statement: Insert) -> int:
    """Run the INSERT of one row; returns its integer primary key."""
    key = connection.execute(statement).inserted_primary_key
    if key is None:
        raise TypeError("not an INSERT of one row")
    return int(key[0])


def insert_absent(connection: Connection, table: Table, **values: Any) -> None:
    """Insert a row unless a unique index has it already, even if another transaction is about to commit it."""
    connection.execute(_INSERT[connection.dialect.name](table).values(**values).on_conflict_do_nothing())


def insert_ignoring(dialect: str, table: Table, *unique: str) -> Any:
    """An INSERT for `dialect` that skips rows whose `unique` columns exist already."""
    return _INSERT[dialect](table).on_conflict_do_nothing(index_elements=list(unique))


def insert_new(connection: Connection, table: Table, **values: Any) -> bool:
    """As `insert_absent`; False when a unique index had the row already."""
    statement = _INSERT[connection.dialect.name](table).values(**values).on_conflict_do_nothing()
    return connection.execute(statement.returning(table.c.id)).first() is not None


def is_outage(error: DBAPIError) -> bool:
    """True when the database is busy, full, absent or not available, so that the same statement may succeed later.

    False when it refuses the statement or its values, which no time will change.
    """
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE_OUTAGES or "no such table" in str(error.orig)
    if isinstance(error, OperationalError):
        # "Program limit exceeded" is an operational error for the driver, but one of the values.
        return not str(getattr(error.orig, "sqlstate", None) or "").startswith("54")
    return False


def is_full(error: BaseException) -> bool:
    """True when the database has no disk space for what was to be written."""
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.Error):
        return getattr(original, "sqlite_errorcode", None) in SQLITE_DISK_FULL
    return getattr(original, "sqlstate", None) == POSTGRESQL_DISK_FULL


def _is_transient(error: OperationalError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state in ("40001", "40P01") or "database is locked" in str(error.orig)


def _set_up(connection: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a committed intent, result or sum survives a power failure
        "foreign_keys=ON",
        "journal_size_limit=67108864",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _open_postgresql(connection: Any, _record: Any) -> None:
    """Prepare no statements where there is a pooler between: the next one may go over another connection."""
    is_autocommit, connection.autocommit = connection.autocommit, True
    if is_pooled(connection):
        connection.prepare_threshold = None
    connection.autocommit = is_autocommit


def _hide_rows(context: ExceptionContext) -> None:
    """Leave only what is wrong of PostgreSQL's error, which goes on with the row that was to be written."""
    original, shown = context.original_exception, context.sqlalchemy_exception
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    if primary is None or shown is None:
        return
    original.args = (primary,)
    shown.args = (f"({type(original).__module__}.{type(original).__name__}) {primary}",)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


__all__ = [
    "Connection",
    "Database",
    "Engine",
    "insert_absent",
    "insert_ignoring",
    "inserted_id",
    "is_full",
    "is_outage",
    "now_ms",
]
