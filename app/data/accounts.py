"""Rows of accounts."""

from sqlalchemy import Connection, select, update

from app.data.database import insert_absent, now_ms
from app.data.tables import accounts


def ensure(connection: Connection, *, provider: str, name: str, base_url: str) -> int:
    """The row of an account of the environment, made or brought up to date; returns its id."""
    where = (accounts.c.provider == provider, accounts.c.name == name)
    find = select(accounts.c.id, accounts.c.base_url).where(*where)
    row = connection.execute(find).first()
    if row is None:
        values = {"provider": provider, "name": name, "source": "environment", "base_url": base_url}
        insert_absent(connection, accounts, created_at=now_ms(), **values)
        row = connection.execute(find).one()
    if row.base_url != base_url:
        connection.execute(update(accounts).where(accounts.c.id == row.id).values(base_url=base_url))
    return int(row.id)
