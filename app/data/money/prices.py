"""Rows of prices: never edited, but for the end that a newer one gives them."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from app.data.store.database import AnyRow, inserted_id, now_ms
from app.data.tables import batches, prices

RATES = ("input_picodollars", "cached_picodollars", "output_picodollars", "batch_percent")


def valid(connection: Connection, *, provider: str, names: Collection[str], at_ms: int) -> Sequence[AnyRow]:
    """The prices that are valid at `at_ms` of the models and patterns in `names`; at most one for each."""
    where = (
        prices.c.provider == provider,
        prices.c.model.in_(list(names)),
        prices.c.valid_from <= at_ms,
        or_(prices.c.valid_until.is_(None), prices.c.valid_until > at_ms),
    )
    return connection.execute(select(prices).where(*where)).all()


def freeze(connection: Connection, batch_id: int, price_id: int | None) -> None:
    """The price of the batch's own model, from now on whatever comes."""
    connection.execute(update(batches).where(batches.c.id == batch_id).values(price_id=price_id))


def of_batch(connection: Connection, batch_id: int) -> AnyRow:
    """(provider, model, created_at) of a batch."""
    columns = (batches.c.provider, batches.c.model, batches.c.created_at)
    return connection.execute(select(*columns).where(batches.c.id == batch_id)).one()


def clock(connection: Connection) -> int:
    """Now by the database's clock, Unix milliseconds."""
    return int(connection.execute(select(now_ms())).scalar_one())


def any_there(connection: Connection) -> bool:
    """False before the first price is there."""
    return connection.execute(select(prices.c.id).limit(1)).first() is not None


def around(connection: Connection, *, provider: str, model: str, at_ms: int) -> tuple[AnyRow | None, AnyRow | None]:
    """The last price of exactly this name that begins at or before `at_ms`, and the first that begins later."""
    mine = select(prices).where(prices.c.provider == provider, prices.c.model == model)
    before = mine.where(prices.c.valid_from <= at_ms).order_by(prices.c.valid_from.desc()).limit(1)
    later = mine.where(prices.c.valid_from > at_ms).order_by(prices.c.valid_from).limit(1)
    return connection.execute(before).first(), connection.execute(later).first()


def put(connection: Connection, *, valid_from: int, ends: int | None, **values: Any) -> AnyRow:
    """A new price, valid from `valid_from`, when the one whose id is `ends` ends."""
    if ends is not None:
        connection.execute(update(prices).where(prices.c.id == ends).values(valid_until=valid_from))
    price_id = inserted_id(connection, insert(prices).values(valid_from=valid_from, created_at=now_ms(), **values))
    return connection.execute(select(prices).where(prices.c.id == price_id)).one()


def lock(connection: Connection) -> None:
    """Writers of prices go one by one; on SQLite they do anyway. Readers do not wait."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE prices IN SHARE ROW EXCLUSIVE MODE")


def listed(
    connection: Connection, *, provider: str | None, model: str | None, at_ms: int | None, after: int, limit: int
) -> Sequence[AnyRow]:
    """At most `limit` prices behind id `after`, by id: all, or those valid at `at_ms` or later."""
    statement = select(prices).where(prices.c.id > after)
    if provider is not None:
        statement = statement.where(prices.c.provider == provider)
    if model is not None:
        statement = statement.where(prices.c.model == model)
    if at_ms is not None:
        statement = statement.where(or_(prices.c.valid_until.is_(None), prices.c.valid_until > at_ms))
    return connection.execute(statement.order_by(prices.c.id).limit(limit)).all()
