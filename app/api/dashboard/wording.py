"""How numbers, instants and money are written for people."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from app.lib import json

NOTHING = "-"
DOLLAR = 10**12
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def instant(ms: int | None) -> str:
    """An instant in UTC; scripts replace it by how long ago it was."""
    return NOTHING if ms is None else f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def machine(ms: int) -> str:
    """An instant as `datetime` attributes have it."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def duration(ms: int | None) -> str:
    """A length of time, in its two largest units."""
    if ms is None:
        return NOTHING
    if ms < 0:
        return f"-{duration(-ms)}"
    for unit, name, part, part_name in (
        (DAY, "d", HOUR, "h"),
        (HOUR, "h", MINUTE, "min"),
        (MINUTE, "min", SECOND, "s"),
    ):
        if ms >= unit:
            rest = ms % unit // part
            return f"{ms // unit} {name} {rest} {part_name}" if rest else f"{ms // unit} {name}"
    if ms < SECOND:
        return f"{ms} ms"
    return f"{ms / SECOND:.1f} s" if ms < 10 * SECOND else f"{ms // SECOND} s"


def number(count: int | None) -> str:
    """A count with thin spaces between thousands."""
    return NOTHING if count is None else f"{count:,}".replace(",", "\u202f")


def size(count: int | None) -> str:
    """Bytes in the unit that fits."""
    if count is None:
        return NOTHING
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{amount:.1f} {UNITS[unit]}"


def money(picodollars: int | None) -> str:
    """Dollars, with as many digits as small amounts need."""
    if picodollars is None:
        return "unknown"
    if picodollars == 0:
        return "$0"
    dollars = picodollars / DOLLAR
    if abs(dollars) >= 100:
        return f"${dollars:,.0f}"
    return f"${dollars:.2f}" if abs(dollars) >= 1 else f"${dollars:.4f}" if abs(dollars) >= 0.001 else "< $0.001"


def percent(part: int, whole: int) -> str:
    """A share, rounded down: 100 % is only what is whole."""
    return f"{part * 100 // whole} %" if whole else NOTHING


FILTERS: dict[str, Callable[..., Any]] = {
    "instant": instant,
    "machine": machine,
    "duration": duration,
    "number": number,
    "size": size,
    "money": money,
    "percent": percent,
    "pretty": json.pretty,
}
