"""Queries on prices. A price is never edited, except that a newer price sets its end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, insert, or_, select, update

from app.data.store.database import inserted_id, now_ms
from app.data.tables import batches, prices


@dataclass(frozen=True, slots=True)
class Rates:
    """What a token costs, in picodollars; None where unknown.

    `batch_percent` applies to the provider's own batches; there, `cached_batch_percent` applies to cached input unless
    it is None.
    """

    id: int
    input_picodollars: int | None
    cached_picodollars: int | None
    output_picodollars: int | None
    batch_percent: int
    cached_batch_percent: int | None


@dataclass(frozen=True, slots=True)
class PriceRow(Rates):
    """A price as stored. Instants are Unix milliseconds; `valid_until` is None until a newer price follows."""

    provider: str
    model: str
    valid_from: int
    valid_until: int | None
    source: str


@dataclass(frozen=True, slots=True)
class PricedBatch:
    """What decides which price a batch gets."""

    provider: str
    model: str | None
    created_at: int


_ROWS = select(*(prices.c[column.name] for column in fields(PriceRow)))


def valid(connection: Connection, *, provider: str, names: Collection[str], at_ms: int) -> Sequence[PriceRow]:
    """Returns the prices valid at `at_ms` for the models and patterns in `names`, at most one for each name."""
    where = (
        prices.c.provider == provider,
        prices.c.model.in_(list(names)),
        prices.c.valid_from <= at_ms,
        or_(prices.c.valid_until.is_(None), prices.c.valid_until > at_ms),
    )
    return [PriceRow(**row._mapping) for row in connection.execute(_ROWS.where(*where))]


def rates(connection: Connection, price_id: int) -> Rates:
    """Returns a price that exists, by its integer id."""
    columns = (prices.c[column.name] for column in fields(Rates))
    return Rates(*connection.execute(select(*columns).where(prices.c.id == price_id)).one())


def freeze(connection: Connection, batch_id: int, price_id: int | None) -> None:
    """Fixes the price of a batch; later prices do not affect it."""
    connection.execute(update(batches).where(batches.c.id == batch_id).values(price_id=price_id))


def priced_batch(connection: Connection, batch_id: int) -> PricedBatch:
    """Returns what decides the price of a batch."""
    columns = (batches.c.provider, batches.c.model, batches.c.created_at)
    return PricedBatch(**connection.execute(select(*columns).where(batches.c.id == batch_id)).one()._mapping)


def clock(connection: Connection) -> int:
    """Returns the time of the database's clock in Unix milliseconds."""
    return int(connection.execute(select(now_ms())).scalar_one())


def any_there(connection: Connection) -> bool:
    """Returns False while there is no price at all."""
    return connection.execute(select(prices.c.id).limit(1)).first() is not None


def around(connection: Connection, *, provider: str, model: str, at_ms: int) -> tuple[PriceRow | None, PriceRow | None]:
    """Returns the last price of exactly this name that begins at or before `at_ms`, and the first that begins later."""
    mine = _ROWS.where(prices.c.provider == provider, prices.c.model == model)
    before = mine.where(prices.c.valid_from <= at_ms).order_by(prices.c.valid_from.desc()).limit(1)
    later = mine.where(prices.c.valid_from > at_ms).order_by(prices.c.valid_from).limit(1)
    rows = [connection.execute(statement).first() for statement in (before, later)]
    last, following = (None if row is None else PriceRow(**row._mapping) for row in rows)
    return last, following


def put(
    connection: Connection,
    *,
    provider: str,
    model: str,
    input_picodollars: int | None,
    cached_picodollars: int | None,
    output_picodollars: int | None,
    batch_percent: int,
    cached_batch_percent: int | None,
    valid_from: int,
    valid_until: int | None,
    source: str,
    ends: int | None,
) -> PriceRow:
    """Inserts a price and returns it. The price with the id `ends` becomes valid only until `valid_from`."""
    if ends is not None:
        connection.execute(update(prices).where(prices.c.id == ends).values(valid_until=valid_from))
    values = {
        "provider": provider,
        "model": model,
        "input_picodollars": input_picodollars,
        "cached_picodollars": cached_picodollars,
        "output_picodollars": output_picodollars,
        "batch_percent": batch_percent,
        "cached_batch_percent": cached_batch_percent,
        "valid_from": valid_from,
        "valid_until": valid_until,
        "source": source,
    }
    price_id = inserted_id(connection, insert(prices).values(created_at=now_ms(), **values))
    return PriceRow(**connection.execute(_ROWS.where(prices.c.id == price_id)).one()._mapping)


def lock(connection: Connection) -> None:
    """Serializes writers of prices, as SQLite does anyway. Readers do not wait."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE prices IN SHARE ROW EXCLUSIVE MODE")


def listed(
    connection: Connection, *, provider: str | None, model: str | None, at_ms: int | None, after: int, limit: int
) -> Sequence[PriceRow]:
    """Returns at most `limit` prices after the id `after`, in order of their ids.

    With `at_ms` (Unix ms), leaves out those that ended at or before it.
    """
    statement = _ROWS.where(prices.c.id > after)
    if provider is not None:
        statement = statement.where(prices.c.provider == provider)
    if model is not None:
        statement = statement.where(prices.c.model == model)
    if at_ms is not None:
        statement = statement.where(or_(prices.c.valid_until.is_(None), prices.c.valid_until > at_ms))
    return [PriceRow(**row._mapping) for row in connection.execute(statement.order_by(prices.c.id).limit(limit))]
