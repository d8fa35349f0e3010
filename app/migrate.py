"""Run the numbered scripts of migrations/ with Alembic on the configured database."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table

from app.data.store.database import Connection, Database
from app.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

VERSIONS = "alembic_version"
REVISION = re.compile(r'^revision(?:: str)? = "(\w+)"', re.MULTILINE)
SCRIPTS = Path(__file__).resolve().parent.parent / "migrations"


def upgrade(settings: Settings) -> None:
    """Migrate the database to the newest revision. Concurrent runs are safe: the second does nothing."""
    from alembic import command

    database = Database(settings.database_url)
    try:
        with database.writers.connect() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.dispose()


def pending(settings: Settings) -> bool:
    """Return True if the database is not at the newest revision."""
    database = Database(settings.database_url)
    try:
        with database.read() as connection:
            current = current_revision(connection)
    finally:
        database.dispose()
    return current != newest_revision()


def newest_revision() -> str:
    """Return the revision of the last script; scripts are numbered, and each follows the one before."""
    last = max(SCRIPTS.glob("versions/[0-9]*.py"))
    found = REVISION.search(last.read_text("utf-8"))
    if found is None:
        raise ValueError(f"{last} has no revision.")
    return found[1]


def current_revision(connection: Connection) -> str | None:
    """The revision of the store, without Alembic: every command asks for it, and Alembic takes 0.15 s to import."""
    if not inspect(connection).has_table(VERSIONS):
        return None
    return connection.execute(select(column("version_num")).select_from(table(VERSIONS))).scalar()


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return config
