"""Prices as operators set, import and list them. None is ever changed: a new one ends the one before."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.data.money import prices as rows
from app.data.store.database import AnyRow
from app.errors import ConflictError, InvalidRequestError
from app.services.events import record
from app.services.gateway import Actor, Gateway

OPERATOR = "operator"
SOURCE_LENGTH = 64
MOST_LISTED = 1000


@dataclass(frozen=True, slots=True)
class NewPrice:
    """Picodollars of a token, of one model at a provider or of all that fit a pattern ending in `*`.

    `cached` is None where cached input costs what other input does; `input` and `output` where nobody knows.
    """

    provider: str
    model: str
    input: int | None
    cached: int | None = None
    output: int | None = None
    batch_percent: int = 100


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """A price and when it is valid, Unix milliseconds; `valid_until` is None while nothing follows it."""

    id: int
    provider: str
    model: str
    input: int | None
    cached: int | None
    output: int | None
    batch_percent: int
    valid_from: int
    valid_until: int | None
    source: str


def set_(
    gateway: Gateway,
    new: NewPrice,
    *,
    valid_from: int | None = None,
    source: str = OPERATOR,
    actor: Actor = record.OPERATOR,
) -> ListedPrice:
    """A price for batches created from now on, or from the instant `valid_from` (Unix ms) on.

    Raises InvalidRequestError for an instant that has passed, since what batches cost never changes afterwards, and
    ConflictError when there is a price from that very instant.
    """

    def unit(connection: Connection) -> ListedPrice:
        rows.lock(connection)
        now = rows.clock(connection)
        if valid_from is not None and valid_from < now:
            raise InvalidRequestError("A price cannot begin in the past: what ran is charged already.", param="from")
        if valid_from is None:
            price = _put_now(connection, new, now, source=source)
        else:
            price = _put(connection, new, at_ms=valid_from, source=source)
        record.record_act(
            connection,
            operation="price_set",
            object_id=f"{new.provider}/{new.model}",
            detail={"price": price.id, "valid_from": price.valid_from},
            actor=actor,
        )
        return price

    return gateway.database.run(unit)


def import_(
    gateway: Gateway, new: Sequence[NewPrice], *, source: str, actor: Actor = record.OPERATOR
) -> list[ListedPrice]:
    """All of `new` from now on, in one transaction; returns those that were not so already."""

    def unit(connection: Connection) -> list[ListedPrice]:
        rows.lock(connection)
        now = rows.clock(connection)
        put = [_put_now(connection, price, now, source=source) for price in new if _differs(connection, price, now)]
        detail = {"source": source, "prices": len(new), "new": len(put)}
        record.record_act(connection, operation="price_import", object_id=source, detail=detail, actor=actor)
        return put

    return gateway.database.run(unit)


def load(connection: Connection, new: Collection[NewPrice], *, source: str) -> int:
    """Prices that ship with the gateway; returns how many were new. A price that somebody set is left alone.

    Those of the first load are valid for all batches that there are, later ones from now on.
    """
    rows.lock(connection)
    now = rows.clock(connection)
    at_ms = now if rows.any_there(connection) else 0
    loaded = 0
    for price in new:
        before, _later = rows.around(connection, provider=price.provider, model=price.model, at_ms=now)
        if before is None or (before.source == source and not _same(before, price)):
            _put(connection, price, at_ms=at_ms, source=source)
            loaded += 1
    return loaded


def list_(
    gateway: Gateway,
    *,
    provider: str | None = None,
    model: str | None = None,
    ended: bool = False,
    after: int = 0,
    limit: int = MOST_LISTED,
) -> list[ListedPrice]:
    """At most `limit` prices behind id `after`, by id: those that are valid or will be, with `ended` all."""
    with gateway.database.read() as connection:
        at_ms = None if ended else rows.clock(connection)
        found = rows.listed(connection, provider=provider, model=model, at_ms=at_ms, after=after, limit=limit)
    return [_listed(row) for row in found]


def _put_now(connection: Connection, new: NewPrice, now: int, *, source: str) -> ListedPrice:
    """A price from now on; behind one that began in this very millisecond, from the next one on."""
    before, _later = rows.around(connection, provider=new.provider, model=new.model, at_ms=now)
    return _put(connection, new, at_ms=now + (before is not None and before.valid_from == now), source=source)


def _put(connection: Connection, new: NewPrice, *, at_ms: int, source: str) -> ListedPrice:
    before, later = rows.around(connection, provider=new.provider, model=new.model, at_ms=at_ms)
    if before is not None and before.valid_from == at_ms:
        raise ConflictError(
            f"{new.provider} has a price of {new.model!r:.100} from that very instant; prices are never changed.",
            param="from",
        )
    row = rows.put(
        connection,
        valid_from=at_ms,
        valid_until=None if later is None else later.valid_from,
        ends=None if before is None else before.id,
        provider=new.provider,
        model=new.model,
        input_picodollars=new.input,
        cached_picodollars=new.cached,
        output_picodollars=new.output,
        batch_percent=new.batch_percent,
        source=source,
    )
    return _listed(row)


def _differs(connection: Connection, new: NewPrice, at_ms: int) -> bool:
    before, _later = rows.around(connection, provider=new.provider, model=new.model, at_ms=at_ms)
    return before is None or not _same(before, new)


def _same(row: AnyRow, new: NewPrice) -> bool:
    told = (new.input, new.cached, new.output, new.batch_percent)
    return all(getattr(row, name) == value for name, value in zip(rows.RATES, told, strict=True))


def _listed(row: AnyRow) -> ListedPrice:
    return ListedPrice(
        id=row.id,
        provider=row.provider,
        model=row.model,
        input=row.input_picodollars,
        cached=row.cached_picodollars,
        output=row.output_picodollars,
        batch_percent=row.batch_percent,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        source=row.source,
    )
