"""Rows of accounts."""

from sqlalchemy import Connection, insert, select, update

from app.data.database import inserted_id, now_ms
from app.data.tables import accounts


def ensure(connection: Connection, *, provider: str, name: str, base_url: str) -> int:
    """The row of an account of the environment, made or brought up to date; returns its id."""
    row = connection.execute(
        select(accounts.c.id, accounts.c.base_url).where(accounts.c.provider == provider, accounts.c.name == name)
    ).first()
    if row is None:
        values = {"provider": provider, "name": name, "source": "environment", "base_url": base_url}
        return inserted_id(connection, insert(accounts).values(created_at=now_ms(), **values))
    if row.base_url != base_url:
        connection.execute(update(accounts).where(accounts.c.id == row.id).values(base_url=base_url))
    return int(row.id)
