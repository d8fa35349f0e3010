"""Parses times as people type them: `90m`, `24h`, `30d`, a date, or an instant with its UTC offset."""

import re
import time
from datetime import UTC, datetime

import click

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration_s(text: str) -> int | None:
    """Converts `30s`, `90m`, `24h` or `30d` to seconds. Returns None for anything else."""
    match = _DURATION.fullmatch(text.strip())
    return int(match[1]) * _UNIT_S[match[2]] if match else None


def instant_ms(text: str, *, now_ms: int) -> int | None:
    """Converts a date (its midnight UTC), an ISO instant or a duration from now to Unix milliseconds, else None."""
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
    """A click callback that converts a duration to seconds."""
    if value is None:
        return None
    seconds = duration_s(value)
    if seconds is None:
        raise click.BadParameter(f"{value!r:.40} is not a duration such as 90m, 24h or 7d.")
    return seconds


def past(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """A click callback that converts a date, an ISO instant or a duration ago to Unix milliseconds."""
    if value is None:
        return None
    now_ms, seconds = time.time_ns() // 1_000_000, duration_s(value)
    at_ms = instant_ms(value, now_ms=now_ms) if seconds is None else now_ms - seconds * 1000
    if at_ms is None:
        raise click.BadParameter(f"{value!r:.40} is neither a date such as 2027-01-31 nor a duration such as 24h.")
    return at_ms


def shown(at_ms: int | None) -> str:
    """Formats an instant for lists, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M") if at_ms else ""
