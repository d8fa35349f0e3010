"""Parses prices as people write them: decimal dollars for a million tokens, in a JSON file or as options."""

import re
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources

from app.errors import InvalidRequestError
from app.lib import json, money
from app.services.money.price_book import NewPrice

SHIPPED = "shipped"
TOKENS = 1_000_000
MAX_PRICES = 10_000
MAX_SHOWN_ERRORS = 20
MAX_DOLLARS = 1_000_000
PROVIDER = re.compile(r"[a-z][a-z0-9-]{0,63}")
MAX_PERCENT = 1000
MODEL_LENGTH = 256
RATE_HINT = "must be dollars for a million tokens, such as 0.25"
RATES = ("input", "cached", "output")
FIELDS = ("provider", "model", *RATES, "batch_percent", "cached_batch_percent")


def shipped() -> list[NewPrice]:
    """Returns the prices of app/prices.json."""
    return read(resources.files("app").joinpath("prices.json").read_bytes())


def read(data: bytes) -> list[NewPrice]:
    """Parses the prices in a file: a JSON array of objects, or an object with that array as `prices`.

    Raises InvalidRequestError, which lists the first errors with their rows and fields.
    """
    try:
        rows = json.loads(data)
    except json.JSONDecodeError as error:
        raise InvalidRequestError(f"This is not JSON: {error}.") from error
    rows = rows.get("prices") if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_PRICES:
        text = f"The file must be an array of 1 to {MAX_PRICES} prices, or an object with that array as `prices`."
        raise InvalidRequestError(text)
    errors: list[str] = []
    prices: dict[tuple[str, str], NewPrice] = {}
    for number, row in enumerate(rows, start=1):
        try:
            price = of(row)
        except InvalidRequestError as error:
            errors.append(f"row {number}: {error.message}")
        else:
            if prices.setdefault((price.provider, price.model), price) is not price:
                errors.append(f"row {number}: {price.provider} {price.model!r:.100} is already in an earlier row.")
    if errors:
        more = f"\nand {len(errors) - MAX_SHOWN_ERRORS} more" if len(errors) > MAX_SHOWN_ERRORS else ""
        raise InvalidRequestError("\n".join(errors[:MAX_SHOWN_ERRORS]) + more)
    return list(prices.values())


def of(row: object) -> NewPrice:
    """Parses one price, with rates as decimal text or numbers. Raises InvalidRequestError, which names the field."""
    if not isinstance(row, Mapping):
        raise InvalidRequestError("must be an object.")
    for name in row:
        if name not in FIELDS:
            raise _invalid(str(name)[:100], f"is not a field of a price; the fields are {', '.join(FIELDS)}")
    provider, model = row.get("provider"), row.get("model")
    if not isinstance(provider, str) or not PROVIDER.fullmatch(provider):
        raise _invalid("provider", "must be the name of a provider, in lower case")
    if not isinstance(model, str) or not 1 <= len(model) <= MODEL_LENGTH or not model.isprintable():
        raise _invalid("model", f"must be 1 to {MODEL_LENGTH} printable characters")
    if "*" in model[:-1]:
        raise _invalid("model", "may have a * only at its end")
    if "input" not in row:
        raise _invalid("input", "is missing: dollars for a million tokens, such as 0.25")
    rates = {name: None if row.get(name) is None else rate(row[name], name) for name in RATES}
    percent = _percent(row.get("batch_percent", 100), "batch_percent")
    cached_percent = row.get("cached_batch_percent")
    if cached_percent is not None:
        _percent(cached_percent, "cached_batch_percent")
        whole = rates["input"] or 0
        cached = whole if rates["cached"] is None else rates["cached"]
        if cached * cached_percent > whole * percent:  # budgets reserve the price of other input
            raise _invalid("cached_batch_percent", "makes cached input dearer than other input in batches")
    return NewPrice(provider, model, batch_percent=percent, cached_batch_percent=cached_percent, **rates)


def _percent(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_PERCENT:
        raise _invalid(name, f"must be a whole number from 0 to {MAX_PERCENT}")
    return value


def rate(value: object, name: str) -> int:
    """Converts dollars for a million tokens (text or number) to picodollars for each. Raises InvalidRequestError."""
    text = repr(value) if type(value) in (int, float) else value
    if not isinstance(text, str):
        raise _invalid(name, RATE_HINT)
    try:
        whole, rest = divmod(money.picodollars(text), TOKENS)
    except ValueError as error:
        raise _invalid(name, RATE_HINT) from error
    if rest:
        raise _invalid(name, "may have at most six decimals")
    if whole > MAX_DOLLARS * money.PICODOLLARS // TOKENS:
        raise _invalid(name, f"must be at most {MAX_DOLLARS} dollars for a million tokens")
    return whole


def dollars(picodollars: int | None) -> str | None:
    """Converts picodollars for each token to dollars for a million, as text. None stays None."""
    return None if picodollars is None else format(Decimal(picodollars) / (money.PICODOLLARS // TOKENS), "f")


def _invalid(name: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: {what}.", param=name)
