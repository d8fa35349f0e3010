"""Finds the price of a batch, and computes what tokens cost at a price.

Money is whole picodollars. What is unknown is None, never zero.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from app.data.money import prices
from app.data.money.prices import Rates
from app.engine.outcomes import Tokens

PATTERN = "*"
FULL_PERCENT = 100
PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Price:
    """Picodollars for each token. `cached` is None where cached input costs the same as other input.

    In batches that the provider runs, a token costs `batch_percent` percent of that, and a token of cached input
    `cached_batch_percent` percent, unless that is None: not every provider gives both discounts at once.
    """

    id: int
    input: int | None
    cached: int | None
    output: int | None
    batch_percent: int = FULL_PERCENT
    cached_batch_percent: int | None = None

    @property
    def is_free(self) -> bool:
        """True when tokens cost nothing."""
        return self.input == 0 and self.output == 0 and not self.cached

    def covers(self, other: "Price", execution: str) -> bool:
        """True when no token costs more at the price `other`."""
        pairs = zip(self.rates(execution), other.rates(execution), strict=True)
        return all(
            theirs == 0 or (ours is not None and theirs is not None and theirs <= ours) for ours, theirs in pairs
        )

    def rates(self, execution: str) -> tuple[int | None, int | None, int | None]:
        """What a token of input, of cached input and of output costs, in hundredths of picodollars."""
        percent = self.batch_percent if execution == PROVIDER else FULL_PERCENT
        cached_percent = percent
        if execution == PROVIDER and self.cached_batch_percent is not None:
            cached_percent = self.cached_batch_percent
        cached = self.input if self.cached is None else self.cached
        rates = ((self.input, percent), (cached, cached_percent), (self.output, percent))
        given, cached, made = (None if rate is None else rate * share for rate, share in rates)
        return given, cached, made

    def is_free_for(self, execution: str) -> bool:
        """True when batches of this `execution` cost nothing."""
        return self.is_free or (execution == PROVIDER and self.batch_percent == 0)


def find(connection: Connection, *, provider: str, model: str, at_ms: int) -> Price | None:
    """Returns the price of a model at `at_ms` (Unix ms), else of the longest pattern that matches it, else None."""
    patterns = [model[:length] + PATTERN for length in range(len(model) + 1)]
    rows = {
        row.model: row for row in prices.valid(connection, provider=provider, names=[model, *patterns], at_ms=at_ms)
    }
    row = rows.get(model) or max(rows.values(), key=lambda row: len(row.model), default=None)
    return None if row is None else of_rates(row)


def of_rates(rates: Rates) -> Price:
    """Returns stored rates as a Price."""
    return Price(
        id=rates.id,
        input=rates.input_picodollars,
        cached=rates.cached_picodollars,
        output=rates.output_picodollars,
        batch_percent=rates.batch_percent,
        cached_batch_percent=rates.cached_batch_percent,
    )


def cost_of(price: Price | None, tokens: Tokens | None, *, execution: str, percent: int = FULL_PERCENT) -> int | None:
    """Returns what `tokens` cost in a batch of this `execution`, in picodollars, rounded up; None when unknown.

    `percent` of it is paid at this hour.

    `tokens` is None when they are unknown. A total above input plus output counts as output: some providers leave
    reasoning tokens out of the output.
    """
    if price is None:
        return None
    if tokens is None:
        return 0 if price.is_free else None
    cached = min(tokens.cached, tokens.input)
    output = max(tokens.output, tokens.total - tokens.input)
    cost = 0
    for count, rate in zip((tokens.input - cached, cached, output), price.rates(execution), strict=True):
        if count and rate is None:
            return None
        cost += count * (rate or 0)
    return -(-cost * percent // (FULL_PERCENT * FULL_PERCENT))


def freeze(connection: Connection, batch_id: int) -> None:
    """Fixes the price of a newly planned batch: the one that was valid when the batch was created."""
    batch = prices.priced_batch(connection, batch_id)
    price = find(connection, provider=batch.provider, model=batch.model or "", at_ms=batch.created_at)
    prices.freeze(connection, batch_id, None if price is None else price.id)
