"""Run the numbered scripts of migrations/ with Alembic on the configured database."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.data.store.database import Database
from app.settings import Settings

SCRIPTS = Path(__file__).resolve().parent.parent / "migrations"


def upgrade(settings: Settings) -> None:
    """Migrate the database to the newest revision. Concurrent runs are safe: the second does nothing."""
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
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        database.dispose()
    return current != ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return config
