"""Alembic's entry: runs the scripts in one transaction on the connection it is given."""

from alembic import context
from sqlalchemy import Connection, inspect, text

from app.data.store import views
from app.data.tables import metadata

LOCK = 7_266_428  # any number, the same in every process


def migrate(connection: Connection) -> None:
    """Views would stand in the way of their tables' changes, so they are made anew whenever a script has run."""
    before = context.get_context().get_current_revision()
    if before == context.get_head_revision():
        return
    # Views may read other views.
    also = " CASCADE" if connection.dialect.name == "postgresql" else ""
    for name in inspect(connection).get_view_names():
        if name.startswith("v_"):
            connection.execute(text(f"DROP VIEW IF EXISTS {name}{also}"))
    context.run_migrations()
    for statement in views.create_statements(connection.dialect.name):
        connection.execute(text(statement))


connection = context.config.attributes["connection"]
# SQLite can undo DDL, too: a migration that dies midway leaves nothing.
context.configure(
    connection=connection, target_metadata=metadata, transaction_per_migration=False, transactional_ddl=True
)
with connection.begin():
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    with context.begin_transaction():
        migrate(connection)
