"""Routes of prices, in dollars for a million tokens. A price is never changed; a new price ends the previous one."""

from flask import Blueprint, Response

from app.api.context import gateway
from app.api.management.request import actor, body, query
from app.api.management.wire import price_wire
from app.api.operation import answer, list_answer, operation
from app.schemas.management import ListPrices, SetPrice
from app.services.money import price_book, price_import

blueprint = Blueprint("prices", __name__)


@blueprint.get("/prices")
@operation("price_list", ListPrices)
def list_() -> Response:
    """Current and future prices by id; `ended` includes those that have ended."""
    filters = query(ListPrices)
    limit = filters.pop("limit")
    page = price_book.list_(gateway(), limit=limit + 1, **filters)
    return list_answer([price_wire(price) for price in page[:limit]], has_more=len(page) > limit)


@blueprint.post("/prices")
@operation("price_set")
def set_() -> Response:
    """Set the price of batches created from now on, or from `valid_from` on."""
    fields = body(SetPrice)
    valid_from = fields.pop("valid_from")
    return answer(price_wire(price_book.set_(gateway(), price_import.of(fields), valid_from=valid_from, actor=actor())))
