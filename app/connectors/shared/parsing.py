"""Reads JSON of providers. What is needed raises UpstreamServerError; anything else that is odd is None, and noted.

An answer with an id is an object, whatever else it holds: without its id, the object would be lost.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import Page
from app.lib import bounds, json

T = TypeVar("T")

# No counter and no clock of a provider can be beyond these.
MAX_INTEGER = 2**63 - 1
LAST_SECOND = 2**38
# A word of a status that nobody knows yet: whatever is "...ing" is not over.
STILL = "ing"


class Fields(dict[str, Any]):
    """An object of a provider.

    `odd` are the names of members, also of those within, that were asked for and make no sense. `doubts` are the
    reasons why it is unclear how far a job is.
    """

    __slots__ = ("doubts", "odd")

    def __init__(self, value: Mapping[str, Any], outer: "Fields | None" = None) -> None:
        super().__init__(value)
        self.odd: list[str] = [] if outer is None else outer.odd
        self.doubts: list[str] = [] if outer is None else outer.doubts


def bad_answer(what: str) -> UpstreamServerError:
    """The error for an answer that makes no sense; `what` quotes at most one word of it."""
    return UpstreamServerError(f"The provider's answer makes no sense: {what}.", code="bad_answer")


def fields(value: Any, what: str) -> Fields:
    """`value`, which must be an object."""
    if not isinstance(value, dict):
        raise bad_answer(f"{what} is not an object")
    return Fields(value)


def part(holder: Mapping[str, Any], name: str) -> Fields:
    """The object under `name`; an empty one when there is none."""
    value = holder.get(name)
    if value is not None and not isinstance(value, dict):
        _odd(holder, name)
        value = None
    return Fields(value or {}, holder if isinstance(holder, Fields) else None)


def items(holder: Mapping[str, Any], name: str) -> list[Fields]:
    """The objects of the list under `name`; none when there is not a list. All of them are needed."""
    return [fields(item, f"an item of {name}") for item in _rows(holder, name)]


def notes(holder: Mapping[str, Any], name: str) -> list[Fields]:
    """The objects of the list under `name` that can be read; a text counts as an object with that `message`."""
    value = holder.get(name)
    if value is None:
        return []
    given = value if isinstance(value, list) else [value]
    read = [{"message": item} if isinstance(item, str) else item for item in given]
    found = [Fields(item) for item in read if isinstance(item, dict)]
    if len(found) < len(given) or not isinstance(value, list):
        _odd(holder, name)
    return found


def page(holder: Mapping[str, Any], name: str, read: Callable[[Any], T], after: str | None) -> Page[T]:
    """A page of what `read` makes of the list under `name`. A row that cannot be read is left out, and counted."""
    found: list[T] = []
    unread = 0
    for row in _rows(holder, name):
        try:
            found.append(read(row))
        except UpstreamServerError:
            unread += 1
    if unread > 1 and not found:
        raise bad_answer(f"no row of {name} can be read")
    return Page(found, after, unread)


def text(holder: Mapping[str, Any], name: str) -> str | None:
    """The text under `name`; None when it is missing or empty."""
    value = holder.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        _odd(holder, name)
        return None
    return value


def cursor(holder: Mapping[str, Any], name: str) -> str | None:
    """The cursor of the next page; None when there is none. A list that ended too early would hide what it has."""
    if holder.get(name) is None:
        return None
    value = text(holder, name)
    if value is None and holder[name] != "":
        raise bad_answer(f"{name} is not a string")
    return value


def native_id(holder: Mapping[str, Any], name: str) -> str:
    """The id under `name`, which must be there; some servers number their objects."""
    value = holder.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER:
        return str(value)
    return required(holder, name)


def result_id(holder: Mapping[str, Any], name: str) -> str | None:
    """The id under `name` of what a job made; an odd one makes it unclear whether the job is over."""
    value = text(holder, name)
    if (value is None and holder.get(name)) or (value is not None and not bounds.is_id(value)):
        _doubt(holder, f"its {name} is not an id")
        return None
    return value


def status(
    holder: Mapping[str, Any], name: str, words: Mapping[str, str], *, reword: Callable[[str], str] = str
) -> tuple[str, str]:
    """The gateway's word for a job's status under `name`, and the provider's; `reword` makes it one of `words`.

    A word that nobody knows counts as running.
    """
    native = text(holder, name) or ""
    known = words.get(reword(native))
    if known is None:
        _odd(holder, name)
        _doubt(holder, f"its {name} is {native[:60]!r}, which the gateway does not know")
    return known or "in_progress", native


def file_status(words: Mapping[str, str], word: str) -> str:
    """The gateway's word for the status `word` of a file. What nobody knows counts as ready, except for `...ing`."""
    return words.get(word) or ("processing" if word.lower().endswith(STILL) else "processed")


def unclear(holder: Fields) -> str:
    """Why it is unclear how far a job is, as a sentence; empty when it is clear."""
    return f"The provider's answer makes no sense: {'; '.join(holder.doubts)}." if holder.doubts else ""


def required(holder: Mapping[str, Any], name: str) -> str:
    """The text under `name`, which must be there."""
    value = text(holder, name)
    if value is None:
        raise bad_answer(f"{name} is {'not a string' if holder.get(name) else 'missing'}")
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
        _odd(holder, name)
        return None
    return value


def whole_count(holder: Fields, name: str) -> int | None:
    """As `count`; an odd one raises."""
    value = count(holder, name)
    if name in holder.odd:
        raise bad_answer(f"{name} is not a count")
    return value


def expected(holder: Mapping[str, Any], name: str) -> int | None:
    """As `count`, of what tells how far a job is: an odd one makes that unclear."""
    value = count(holder, name)
    if value is None and holder.get(name) not in (None, ""):
        _doubt(holder, f"its {name} is not a count")
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
        except (ValueError, OverflowError):
            seconds = LAST_SECOND
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    else:
        seconds = LAST_SECOND
    if not seconds < LAST_SECOND:
        _odd(holder, name)
        return None
    return int(seconds * 1000) if seconds > 0 else None


def unquoted(value: Any) -> Any:
    """The object in a text of JSON, as some servers write bodies; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        inner = json.loads(value)
    except json.JSONDecodeError:
        return value
    return inner if isinstance(inner, dict) else value


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


def _rows(holder: Mapping[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    if value is not None and not isinstance(value, list):
        raise bad_answer(f"{name} is not a list")
    return value or []


def _odd(holder: Mapping[str, Any], name: str) -> None:
    """Note that the member `name` makes no sense; it counts as missing."""
    if isinstance(holder, Fields) and name not in holder.odd:
        holder.odd.append(name)


def _doubt(holder: Mapping[str, Any], why: str) -> None:
    if isinstance(holder, Fields):
        holder.doubts.append(why)
