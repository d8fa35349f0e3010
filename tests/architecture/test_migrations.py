"""Migrations are numbered, linear, and end at the tables that the code knows."""

import re
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.data.store import views
from app.data.store.database import Database
from app.data.tables import metadata
from app.migrate import SCRIPTS


def test_migrations_are_numbered_and_linear() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    directory = ScriptDirectory.from_config(config)
    revisions = [script.revision for script in directory.walk_revisions()][::-1]
    assert revisions == [f"{number:04d}" for number in range(1, len(revisions) + 1)]
    names = sorted(path.name for path in (SCRIPTS / "versions").glob("*.py"))
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.py", name) for name in names)


def test_migrated_store_has_the_tables_that_the_code_knows(database_url: str) -> None:
    database = Database(database_url)
    with database.readers.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    database.dispose()
    assert differences == []


def test_views_answer(database_url: str) -> None:
    database = Database(database_url)
    with database.read() as connection:
        for name in views.NAMES:
            assert connection.exec_driver_sql(f"SELECT * FROM {name}").fetchall() == []
    database.dispose()


def test_schema_document_is_current(database_url: str) -> None:
    from tools.docs import schema as schema_document

    document = Path(SCRIPTS.parent / "docs" / "schema.md")
    assert document.read_text() == schema_document.render(), "run `make docs`"
