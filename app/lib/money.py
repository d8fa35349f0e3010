"""Converts money between whole picodollars (inside the gateway) and decimal dollars as text (outside)."""

from decimal import Decimal, InvalidOperation

PICODOLLARS = 10**12  # of a dollar
_EXACT = Decimal(1) / PICODOLLARS


def dollars(picodollars: int) -> str:
    """The exact amount as decimal dollars with at least two decimals: `3.00`, `0.000125`."""
    whole, part = divmod(abs(picodollars), PICODOLLARS)
    sign = "-" if picodollars < 0 else ""
    return f"{sign}{whole}.{f'{part:012}'.rstrip('0'):0<2}"


def picodollars(text: str) -> int:
    """Parse decimal dollars such as `12.50`, from 0 to below a trillion.

    Raises ValueError for any other text, and for fractions of a picodollar.
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not an amount of dollars such as 12.50") from error
    # The range is checked before multiplying, because 1e999999999 would take all memory.
    if not value.is_finite() or not 0 <= value < 10**12:
        raise ValueError(f"{text!r} is not an amount of dollars such as 12.50")
    if value != value.quantize(_EXACT):
        raise ValueError(f"{text!r} has more than 12 decimals; the smallest amount is a picodollar")
    return int(value * PICODOLLARS)
