"""Sets, imports and lists prices. A price is never changed: a new price ends the previous one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.data.money import prices as rows
from app.data.money.prices import PriceRow
from app.errors import ConflictError, InvalidRequestError
from app.services.events import record
from app.services.gateway import Actor, Gateway

OPERATOR = "operator"
SOURCE_LENGTH = 64
MAX_LISTED = 1000


@dataclass(frozen=True, slots=True)
class NewPrice:
    """Picodollars for each token of one model at a provider, or of all models that match a pattern ending in `*`.

    `cached` is None where cached input costs the same as other input; `input` and `output` are None where unknown.
    `cached_batch_percent` is None where cached input has the same discount in batches as other tokens.
    """

    provider: str
    model: str
    input: int | None
    cached: int | None = None
    output: int | None = None
    batch_percent: int = 100
    cached_batch_percent: int | None = None


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """A price and when it is valid (Unix milliseconds); `valid_until` is None until a newer price follows."""

    id: int
    provider: str
    model: str
    input: int | None
    cached: int | None
    output: int | None
    batch_percent: int
    cached_batch_percent: int | None
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
    """Sets the price of batches created from now on, or from `valid_from` (Unix ms) on.

    Raises InvalidRequestError when `valid_from` has passed, since the cost of existing batches never changes, and
    ConflictError when another price begins at the same instant.
    """

    def unit(connection: Connection) -> ListedPrice:
        rows.lock(connection)
        now = rows.clock(connection)
        if valid_from is not None and valid_from < now:
            raise InvalidRequestError(
                "A price cannot begin in the past: batches have already been charged.", param="from"
            )
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
    """Sets all prices from now on, in one transaction; returns those that differ from the current ones."""

    def unit(connection: Connection) -> list[ListedPrice]:
        rows.lock(connection)
        now = rows.clock(connection)
        put = [_put_now(connection, price, now, source=source) for price in new if _differs(connection, price, now)]
        detail = {"source": source, "prices": len(new), "new": len(put)}
        record.record_act(connection, operation="price_import", object_id=source, detail=detail, actor=actor)
        return put

    return gateway.database.run(unit)


def load(connection: Connection, new: Collection[NewPrice], *, source: str) -> int:
    """Loads the prices that ship with the gateway, except where an operator has set one; returns how many were new.

    The first load applies to all existing batches, later loads to batches created from now on.
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
    limit: int = MAX_LISTED,
) -> list[ListedPrice]:
    """Returns at most `limit` prices after the id `after`: current and future ones, or all (`ended`)."""
    with gateway.database.read() as connection:
        at_ms = None if ended else rows.clock(connection)
        page = rows.listed(connection, provider=provider, model=model, at_ms=at_ms, after=after, limit=limit)
    return [_listed(row) for row in page]


def _put_now(connection: Connection, new: NewPrice, now: int, *, source: str) -> ListedPrice:
    """Inserts a price from now on, or from the next millisecond if another price begins in this one."""
    before, _later = rows.around(connection, provider=new.provider, model=new.model, at_ms=now)
    return _put(connection, new, at_ms=now + (before is not None and before.valid_from == now), source=source)


def _put(connection: Connection, new: NewPrice, *, at_ms: int, source: str) -> ListedPrice:
    before, later = rows.around(connection, provider=new.provider, model=new.model, at_ms=at_ms)
    if before is not None and before.valid_from == at_ms:
        raise ConflictError(
            f"{new.provider} already has a price of {new.model!r:.100} from that instant. Choose another instant.",
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
        cached_batch_percent=new.cached_batch_percent,
        source=source,
    )
    return _listed(row)


def _differs(connection: Connection, new: NewPrice, at_ms: int) -> bool:
    before, _later = rows.around(connection, provider=new.provider, model=new.model, at_ms=at_ms)
    return before is None or not _same(before, new)


def _same(row: PriceRow, new: NewPrice) -> bool:
    stored = (row.input_picodollars, row.cached_picodollars, row.output_picodollars)
    percents = (row.batch_percent, row.cached_batch_percent)
    return (stored, percents) == (
        (new.input, new.cached, new.output),
        (new.batch_percent, new.cached_batch_percent),
    )


def _listed(row: PriceRow) -> ListedPrice:
    return ListedPrice(
        id=row.id,
        provider=row.provider,
        model=row.model,
        input=row.input_picodollars,
        cached=row.cached_picodollars,
        output=row.output_picodollars,
        batch_percent=row.batch_percent,
        cached_batch_percent=row.cached_batch_percent,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        source=row.source,
    )
