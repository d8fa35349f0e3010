"""A small SQL prompt for machines without psql or sqlite3."""

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import click

from app.cli.shared import context

MAX_ROWS = 1000
READ_ONLY = "-c default_transaction_read_only=on"
LEAVE = (".quit", ".exit", "exit", "quit", "\\q")
LIST = (".tables", "\\d", "\\dt")
TABLES = {
    "sqlite": "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY type DESC, name",
    "postgresql": "SELECT table_type, table_name FROM information_schema.tables "
    "WHERE table_schema = 'public' ORDER BY table_type DESC, table_name",
}


def plain_url(url: str) -> str:
    """Converts SQLAlchemy's URL of a PostgreSQL database to one that libpq accepts."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


@dataclass(frozen=True, slots=True)
class Session:
    """A DB-API connection in autocommit mode, its driver's base error, and the statement that lists tables."""

    connection: Any
    error: type[Exception]
    tables: str


@contextmanager
def connect(url: str, *, write: bool) -> Iterator[Session]:
    """Opens a session on the store. Raises Refused when the database is unavailable."""
    if url.startswith(context.SQLITE):
        path = quote(url.removeprefix(context.SQLITE))
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode={'rw' if write else 'ro'}", uri=True)) as connection:
            connection.isolation_level = None
            yield Session(connection, sqlite3.Error, TABLES["sqlite"])
        return
    try:
        import psycopg
    except ModuleNotFoundError as error:
        raise context.Refused("PostgreSQL needs the extra `postgres`: pip install 'batchgate[postgres]'.") from error
    try:
        opened = psycopg.connect(plain_url(url), autocommit=True, options="" if write else READ_ONLY)
    except psycopg.Error as error:
        raise context.Refused(f"The database is not available: {str(error).strip()}") from error
    with opened:
        yield Session(opened, psycopg.Error, TABLES["postgresql"])


def loop(session: Session) -> None:
    """Reads statements that end in `;` and runs them, until the end of input."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives `input` its history and editing
    click.echo("SQL, ended by `;`. `.tables` lists tables and views, Ctrl-D leaves.")
    statement = ""
    while True:
        try:
            line = input("   ...> " if statement else "batchgate> ")
        except (EOFError, KeyboardInterrupt):
            click.echo()
            return
        if not statement and line.strip() in LEAVE:
            return
        if not statement and line.strip() in LIST:
            line = session.tables + ";"
        statement += line + "\n"
        if statement.rstrip().endswith(";"):
            _run_shown(session, statement)
            statement = ""


def run(session: Session, statement: str) -> None:
    """Runs one statement and prints its rows. Raises Refused with the database's message."""
    try:
        cursor = session.connection.cursor()
        cursor.execute(statement)
        if cursor.description is None:
            click.echo(f"{max(0, cursor.rowcount)} rows changed")
            return
        rows = cursor.fetchmany(MAX_ROWS + 1)
    except session.error as error:
        raise context.Refused(str(error).strip()) from error
    click.echo(context.columns([column[0] for column in cursor.description], rows[:MAX_ROWS]))
    if len(rows) > MAX_ROWS:
        click.echo(f"(the first {MAX_ROWS} rows; add a LIMIT)", err=True)


def _run_shown(session: Session, statement: str) -> None:
    try:
        run(session, statement)
    except context.Refused as error:
        error.show()
