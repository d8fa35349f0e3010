"""Reads JSON of providers: missing values become None, invalid ones raise UpstreamServerError."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from app.connectors.contract.errors import UpstreamServerError
from app.lib import json

# No counter and no clock of a provider can be beyond these.
MAX_INTEGER = 2**63 - 1
LAST_SECOND = 2**38


def bad_answer(what: str) -> UpstreamServerError:
    """The error for an answer that makes no sense; `what` quotes at most one word of it."""
    return UpstreamServerError(f"The provider's answer makes no sense: {what}.", code="bad_answer")


def fields(value: Any, what: str) -> Mapping[str, Any]:
    """`value`, which must be an object."""
    if not isinstance(value, dict):
        raise bad_answer(f"{what} is not an object")
    return value


def part(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under `name`; an empty one when there is none."""
    value = holder.get(name)
    return {} if value is None else fields(value, name)


def items(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The objects of the list under `name`; none when there is not a list."""
    value = holder.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad_answer(f"{name} is not a list")
    return [fields(item, f"an item of {name}") for item in value]


def text(holder: Mapping[str, Any], name: str) -> str | None:
    """The text under `name`; None when it is missing or empty."""
    value = holder.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise bad_answer(f"{name} is not a string")
    return value


def required(holder: Mapping[str, Any], name: str) -> str:
    """The text under `name`, which must be there."""
    value = text(holder, name)
    if value is None:
        raise bad_answer(f"{name} is missing")
    return value


def url(holder: Mapping[str, Any], name: str) -> str:
    """The URL under `name`, which must be there. Whether it may be called is for the caller to check."""
    value = required(holder, name)
    try:
        valid = urlsplit(value).port != 0 and value.isascii() and not any(character <= " " for character in value)
    except ValueError:
        valid = False
    if not valid:
        raise bad_answer(f"{name} is not a URL")
    return value


def count(holder: Mapping[str, Any], name: str) -> int | None:
    """The number under `name`, 0 or more; it may be a string of digits, as 64-bit integers often are."""
    value = holder.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_INTEGER:
        raise bad_answer(f"{name} is not a count")
    return value


def instant(holder: Mapping[str, Any], name: str) -> int | None:
    """The instant under `name` in Unix milliseconds, from Unix seconds or RFC 3339; None for the year 1."""
    value = holder.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError) as error:
            raise bad_answer(f"{name} is not a point in time") from error
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    else:
        raise bad_answer(f"{name} is not a point in time")
    if not seconds < LAST_SECOND:
        raise bad_answer(f"{name} is not a point in time")
    return int(seconds * 1000) if seconds > 0 else None


def check_next_page(cursor: str | None, current: str | None) -> None:
    """Raise if the cursor of the next page is the one that led to this page: the list would never end."""
    if cursor is not None and cursor == current:
        raise bad_answer("a page leads to itself")


def written(value: Any) -> bytes:
    """`value` as JSON on one line."""
    try:
        return json.dumps(value)
    except json.JSONEncodeError as error:  # very deep nesting can be parsed, but not serialised
        raise bad_answer("a result is nested too deep") from error


def one_of(words: Mapping[str, str], word: str) -> str:
    """The gateway's status for the provider's status `word`."""
    if word not in words:
        raise bad_answer(f"the status {word[:60]!r} is not known")
    return words[word]
