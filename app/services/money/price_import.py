"""Prices as people write them: decimal dollars for a million tokens, in a JSON file or as words."""

import re
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from typing import Any

from app.errors import InvalidRequestError
from app.lib import json, money
from app.services.money.price_book import ListedPrice, NewPrice

SHIPPED = "shipped"
TOKENS = 1_000_000
MOST_PRICES = 10_000
MOST_TOLD = 20
MOST_DOLLARS = 1_000_000
PROVIDER = re.compile(r"[a-z][a-z0-9-]{0,63}")
MOST_PERCENT = 1000
MODEL_LENGTH = 256
SUCH = "must be dollars for a million tokens, such as 0.25"
RATES = ("input", "cached", "output")
FIELDS = ("provider", "model", *RATES, "batch_percent")


def shipped() -> list[NewPrice]:
    """The prices of app/prices.json."""
    return read(resources.files("app").joinpath("prices.json").read_bytes())


def read(data: bytes) -> list[NewPrice]:
    """The prices in a file: a JSON array of objects, or an object that has it as `prices`.

    Raises InvalidRequestError that names row and field of each of the first mistakes.
    """
    try:
        told = json.loads(data)
    except json.JSONDecodeError as error:
        raise InvalidRequestError(f"This is not JSON: {error}.") from error
    told = told.get("prices") if isinstance(told, dict) else told
    if not isinstance(told, list) or not 1 <= len(told) <= MOST_PRICES:
        raise InvalidRequestError(f"There must be an array of 1 to {MOST_PRICES} prices, or an object with it.")
    wrong: list[str] = []
    found: dict[tuple[str, str], NewPrice] = {}
    for number, row in enumerate(told, start=1):
        try:
            price = of(row)
        except InvalidRequestError as error:
            wrong.append(f"row {number}: {error.message}")
        else:
            if found.setdefault((price.provider, price.model), price) is not price:
                wrong.append(f"row {number}: {price.provider} {price.model!r:.100} is in an earlier row, too.")
    if wrong:
        more = f"\nand {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
        raise InvalidRequestError("\n".join(wrong[:MOST_TOLD]) + more)
    return list(found.values())


def of(row: Any) -> NewPrice:
    """A price of its fields, rates as decimal text or JSON numbers. Raises InvalidRequestError that names the field."""
    if not isinstance(row, Mapping):
        raise InvalidRequestError("must be an object.")
    for name in row:
        if name not in FIELDS:
            raise _wrong(str(name)[:100], f"is no field; there are {', '.join(FIELDS)}")
    provider, model = row.get("provider"), row.get("model")
    if not isinstance(provider, str) or not PROVIDER.fullmatch(provider):
        raise _wrong("provider", "must be the name of a provider, such as openai")
    if not isinstance(model, str) or not 1 <= len(model) <= MODEL_LENGTH or not model.isprintable():
        raise _wrong("model", f"must be 1 to {MODEL_LENGTH} printable characters")
    if "*" in model[:-1]:
        raise _wrong("model", "may have a * at its end only")
    if "input" not in row:
        raise _wrong("input", "is missing: dollars for a million tokens, such as 0.25")
    rates = {name: None if row.get(name) is None else rate(row[name], name) for name in RATES}
    percent = row.get("batch_percent", 100)
    if type(percent) is not int or not 0 <= percent <= MOST_PERCENT:
        raise _wrong("batch_percent", f"must be a whole number from 0 to {MOST_PERCENT}")
    return NewPrice(provider, model, batch_percent=percent, **rates)


def rate(value: Any, name: str) -> int:
    """Picodollars of a token, of dollars for a million: `"0.25"`, or a JSON number. Raises InvalidRequestError."""
    text = repr(value) if type(value) in (int, float) else value
    if not isinstance(text, str):
        raise _wrong(name, SUCH)
    try:
        whole, rest = divmod(money.picodollars(text), TOKENS)
    except ValueError as error:
        raise _wrong(name, SUCH) from error
    if rest:
        raise _wrong(name, "may have six decimals at most")
    if whole > MOST_DOLLARS * money.PICODOLLARS // TOKENS:
        raise _wrong(name, f"must be at most {MOST_DOLLARS} dollars for a million tokens")
    return whole


def dollars(picodollars: int | None) -> str | None:
    """Dollars for a million tokens as text; None stays None."""
    return None if picodollars is None else format(Decimal(picodollars) / (money.PICODOLLARS // TOKENS), "f")


def as_dict(price: ListedPrice) -> dict[str, Any]:
    """A price for the wire: dollars for a million tokens as text, instants as Unix seconds."""
    return {
        "id": price.id,
        "provider": price.provider,
        "model": price.model,
        **{name: dollars(getattr(price, name)) for name in RATES},
        "batch_percent": price.batch_percent,
        "valid_from": price.valid_from // 1000,
        "valid_until": None if price.valid_until is None else price.valid_until // 1000,
        "source": price.source,
    }


def _wrong(name: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: {what}.", param=name)
