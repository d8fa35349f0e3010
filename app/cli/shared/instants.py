"""Times as people type them: `90m`, `24h`, `30d`, a date, or an instant with its offset."""

import re
import time
from datetime import UTC, datetime

import click

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration_s(text: str) -> int | None:
    """Seconds of `30s`, `90m`, `24h` or `30d`; None for anything else."""
    match = _DURATION.fullmatch(text.strip())
    return int(match[1]) * _UNIT_S[match[2]] if match else None


def instant_ms(text: str, *, now_ms: int) -> int | None:
    """Unix milliseconds of a date (its first moment in UTC), of an ISO instant, or of a duration from now."""
    seconds = duration_s(text)
    if seconds is not None:
        return now_ms + seconds * 1000
    try:
        parsed = datetime.fromisoformat(text.strip())
        at = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """A callback of click: seconds."""
    if value is None:
        return None
    found = duration_s(value)
    if found is None:
        raise click.BadParameter(f"{value!r:.40} is no time such as 90m, 24h or 7d.")
    return found


def past(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """A callback of click: Unix milliseconds of a date, an ISO instant, or of a duration ago."""
    if value is None:
        return None
    now_ms, seconds = time.time_ns() // 1_000_000, duration_s(value)
    found = instant_ms(value, now_ms=now_ms) if seconds is None else now_ms - seconds * 1000
    if found is None:
        raise click.BadParameter(f"{value!r:.40} is neither a date such as 2027-01-31 nor a time ago such as 24h.")
    return found


def shown(at_ms: int | None) -> str:
    """An instant as lists have it, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") if at_ms else ""
