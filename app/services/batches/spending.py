"""What batches have cost so far, and what the same tokens cost outside of batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.data.batches.batches import Batch
from app.data.money import prices as price_rows
from app.engine.outcomes import Tokens
from app.services.batches.create import GATEWAY
from app.services.gateway import Gateway
from app.services.money import prices


@dataclass(frozen=True, slots=True)
class Spending:
    """Picodollars, None where unknown: what the tokens of a batch cost, and what they cost at live prices."""

    cost: int | None
    live: int | None

    @property
    def saving(self) -> int | None:
        """How much less than at live prices."""
        return None if self.cost is None or self.live is None else self.live - self.cost


def of(gateway: Gateway, batches: Sequence[Batch]) -> dict[int, Spending]:
    """By the integer id of the batch: its tokens at the price that it was given, whose rows are few.

    The ledger has the sum to the last digit, one row for each line. Where a batch has several models, this price is
    that of the batch alone, if it has one.
    """
    with gateway.database.read() as connection:
        # Batches have few prices among them.
        given = {batch.price_id for batch in batches if batch.price_id is not None}
        rates = {price_id: price_rows.rates(connection, price_id) for price_id in given}
    return {batch.id: _spending(batch, rates.get(batch.price_id or 0)) for batch in batches}


def _spending(batch: Batch, rates: price_rows.Rates | None) -> Spending:
    tokens = Tokens(
        input=batch.input_tokens,
        cached=batch.cached_tokens,
        output=batch.output_tokens,
        reasoning=batch.reasoning_tokens,
        total=batch.total_tokens,
    )
    if rates is None:
        return Spending(None, None)
    price = prices.of_rates(rates)
    return Spending(
        cost=prices.cost_of(price, tokens, execution=batch.execution),
        live=prices.cost_of(price, tokens, execution=GATEWAY),
    )
