"""Money: whole picodollars inside, decimal dollars as text outside."""

from decimal import Decimal, InvalidOperation

PICODOLLARS = 10**12  # of a dollar
_EXACT = Decimal(1) / PICODOLLARS


def dollars(picodollars: int) -> str:
    """Exact dollars as decimal text, with two decimals at least: `3.00`, `0.000125`."""
    whole, part = divmod(abs(picodollars), PICODOLLARS)
    sign = "-" if picodollars < 0 else ""
    return f"{sign}{whole}.{f'{part:012}'.rstrip('0'):0<2}"


def picodollars(text: str) -> int:
    """Picodollars of decimal dollars such as `12.50`. Raises ValueError on anything else, or what is finer than one."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no amount of dollars such as 12.50") from error
    # Compared before it is multiplied: 1e999999999 would fill the memory.
    if not value.is_finite() or not 0 <= value < 10**12:
        raise ValueError(f"{text!r} is no amount of dollars such as 12.50")
    if value != value.quantize(_EXACT):
        raise ValueError(f"{text!r} is finer than a picodollar, which is as fine as money is kept")
    return int(value * PICODOLLARS)
