"""Alembic's entry: runs the scripts in one transaction on the connection it is given."""

from alembic import context
from sqlalchemy import text

from app.data.tables import metadata

LOCK = 7_266_428  # any number, the same in every process

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
with connection.begin():
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    with context.begin_transaction():
        context.run_migrations()
