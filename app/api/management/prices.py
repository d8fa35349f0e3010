"""Prices: dollars for a million tokens. None is ever changed; a new one ends the one before."""

from typing import Any

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.management.asking import actor, body, query, seconds
from app.api.operation import answer, list_answer, operation
from app.schemas.management import ListPrices, SetPrice
from app.services.money import price_book, price_import
from app.services.money.price_book import ListedPrice

blueprint = Blueprint("prices", __name__)


@blueprint.get("/prices")
@operation("price_list")
def list_() -> Response:
    """Prices that are valid or will be, with `ended` also those that were, by id."""
    asked = query(ListPrices)
    limit = asked.pop("limit")
    found = price_book.list_(gateway(), limit=limit + 1, **asked)
    return list_answer([_wire(price) for price in found[:limit]], has_more=len(found) > limit)


@blueprint.post("/prices")
@operation("price_set")
def set_() -> Response:
    """A price for batches that are made from now on, or from `valid_from` on."""
    asked = body(SetPrice)
    valid_from = asked.pop("valid_from")
    return answer(_wire(price_book.set_(gateway(), price_import.of(asked), valid_from=valid_from, actor=actor())))


def _wire(price: ListedPrice) -> dict[str, Any]:
    return {
        "id": price.id,
        "object": "price",
        "provider": price.provider,
        "model": price.model,
        "input": price_import.dollars(price.input),
        "cached": price_import.dollars(price.cached),
        "output": price_import.dollars(price.output),
        "batch_percent": price.batch_percent,
        "valid_from": seconds(price.valid_from),
        "valid_until": seconds(price.valid_until),
        "source": price.source,
    }
