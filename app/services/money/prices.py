"""What a token costs: the price that a batch has, and what tokens come to at it.

Money is whole picodollars. What nobody knows is None, and never zero.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from app.data.money import prices
from app.data.store.database import AnyRow
from app.engine.outcomes import Tokens

PATTERN = "*"
FULL_PERCENT = 100
PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Price:
    """Picodollars of a token. `cached` is None where cached input costs what other input does.

    `batch_percent` is what a token costs in the provider's own batches, in percent of that.
    """

    id: int
    input: int | None
    cached: int | None
    output: int | None
    batch_percent: int = FULL_PERCENT

    @property
    def is_free(self) -> bool:
        """True when no number of tokens costs anything."""
        return self.input == 0 and self.output == 0 and not self.cached


def find(connection: Connection, *, provider: str, model: str, at_ms: int) -> Price | None:
    """The price at the instant `at_ms`: of this model, else of the longest pattern that it fits. None: unknown."""
    patterns = [model[:length] + PATTERN for length in range(len(model) + 1)]
    rows = {
        row.model: row for row in prices.valid(connection, provider=provider, names=[model, *patterns], at_ms=at_ms)
    }
    row = rows.get(model) or max(rows.values(), key=lambda row: len(row.model), default=None)
    return None if row is None else of_row(row)


def of_row(row: AnyRow) -> Price:
    """A row of prices as a Price."""
    return Price(row.id, row.input_picodollars, row.cached_picodollars, row.output_picodollars, row.batch_percent)


def cost_of(price: Price | None, tokens: Tokens | None, *, execution: str) -> int | None:
    """Picodollars, rounded up, of `tokens` in a batch of this `execution`; None when nobody knows.

    `tokens` is None when nobody knows them either. What a total has beyond input and output was made by the model:
    some providers leave what it thought out of the output.
    """
    if price is None:
        return None
    if tokens is None:
        return 0 if price.is_free else None
    cached = min(tokens.cached, tokens.input)
    made = max(tokens.output, tokens.total - tokens.input)
    cost = 0
    for count, rate in (
        (tokens.input - cached, price.input),
        (cached, price.input if price.cached is None else price.cached),
        (made, price.output),
    ):
        if count and rate is None:
            return None
        cost += count * (rate or 0)
    percent = price.batch_percent if execution == PROVIDER else FULL_PERCENT
    return -(-cost * percent // FULL_PERCENT)


def freeze(connection: Connection, batch_id: int) -> None:
    """Note the price of a batch whose plan is just made: the one of the instant when it was created."""
    batch = prices.of_batch(connection, batch_id)
    price = find(connection, provider=batch.provider, model=batch.model or "", at_ms=batch.created_at)
    prices.freeze(connection, batch_id, None if price is None else price.id)
