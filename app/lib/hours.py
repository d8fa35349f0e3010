"""Hours that come back each day or on some days of the week, in a time zone: off-peak hours of an account."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAILY = ",".join(DAYS)
FULL = 100
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class Hours:
    """From `begins` to `ends` minutes after midnight in `zone`, on the days that they begin on.

    Those that end at the minute at which they begin, or before, do so on the next day. `percent` is what is paid then.
    """

    begins: int
    ends: int
    zone: str
    days: str = DAILY
    percent: int = 100


def parsed(*, begins: str, ends: str, zone: str, days: str = DAILY, percent: int = 100) -> Hours:
    """Hours as people write them: `16:30`, `00:30`, `Asia/Shanghai`, `mon,tue`. Raises ValueError, which says why."""
    names = [name.strip().lower() for name in days.split(",")]
    if not names or not set(names) <= set(DAYS):
        raise ValueError(f"days: {days!r:.40} must be some of {DAILY}.")
    if not 0 <= percent <= 100:
        raise ValueError("percent: must be 0 to 100.")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"zone: {zone!r:.40} is no time zone such as UTC or Asia/Shanghai.") from error
    chosen = ",".join(name for name in DAYS if name in names)
    return Hours(_minute(begins, "begins"), _minute(ends, "ends"), zone, chosen, percent)


def shown(minute: int) -> str:
    """A minute of the day as `16:30`."""
    return f"{minute // 60:02}:{minute % 60:02}"


def span(hours: Iterable[Hours], at_ms: int) -> tuple[int, int] | None:
    """When the hours that `at_ms` is in began, or the next ones begin, and when they end; None where there are none."""
    spans = [found for each in hours for found in _spans(each, at_ms) if found[1] > at_ms]
    current = [found for found in spans if found[0] <= at_ms]
    return max(current, key=lambda found: found[1]) if current else min(spans, default=None)


def percent(hours: Collection[Hours], at_ms: int) -> int:
    """What is paid at `at_ms`, of 100."""
    return min((each.percent for each in hours if _is_in(each, at_ms)), default=FULL)


def _is_in(hours: Hours, at_ms: int) -> bool:
    return any(begins <= at_ms < ends for begins, ends in _spans(hours, at_ms))


def _spans(hours: Hours, at_ms: int) -> list[tuple[int, int]]:
    """The spans that begin from the day before `at_ms` to a week later."""
    today = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(hours.zone)).date()
    dates = [today + timedelta(days=offset) for offset in range(-1, 9)]
    length = 1 if hours.ends <= hours.begins else 0
    return [
        (_at_ms(day, hours.begins, hours.zone), _at_ms(day + timedelta(days=length), hours.ends, hours.zone))
        for day in dates
        if DAYS[day.weekday()] in hours.days.split(",")
    ]


def _at_ms(day: date, minute: int, zone: str) -> int:
    local = datetime.combine(day, time(minute // 60, minute % 60), ZoneInfo(zone))
    return int(local.timestamp()) * 1000


def _minute(text: str, name: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{name}: {text!r:.40} is no time of the day such as 16:30.")
    return int(match[1]) * 60 + int(match[2])
