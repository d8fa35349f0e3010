"""What may enter from callers and providers: one table of limits, and what becomes of values beyond them.

Texts and numbers pass through here once, where they become one of the gateway's own objects; behind that line code may
store, join and print them. PostgreSQL stores no NUL, no database a lone surrogate or an integer of more than 64 bits,
and a sum of counts must stay far below that.
"""

from collections.abc import Iterable
from typing import Any, Final

# Characters, by what a text is.
MAX_CHARS: Final = {
    "code": 128,
    "param": 256,
    "message": 4096,
    "request_id": 256,
    "status": 64,
    "id": 512,
    "custom_id": 1024,
    "filename": 255,
    "path": 1024,
    "endpoint": 64,
    "model": 256,
    "window": 16,
    "memory": 8,
    "field": 128,
    "key": 64,
    "value": 512,
}
# Names of fields that one line can show as dropped.
MAX_FIELDS: Final = 64
MAX_PAIRS: Final = 16
# Tokens of one answer: a thousand times the longest context that any model has.
MAX_TOKENS: Final = 10**10
# Lines or records of one job.
MAX_LINES: Final = 10**9
# Bytes of one object: more than JSON numbers can tell apart.
MAX_BYTES: Final = 2**53
# Unix milliseconds, until the year 10680.
MAX_INSTANT_MS: Final = 2**38 * 1000
MAX_MINUTES: Final = 10**6
STATUSES: Final = range(100, 600)

UNFIT: Final = "\ufffd"


def clean(value: Any) -> str:
    """`value` as text that can be stored, whole: without NUL and lone surrogates."""
    text = value if isinstance(value, str) else str(value)
    if text.isascii():
        return text.replace("\0", UNFIT) if "\0" in text else text
    return text.encode("utf-8", "replace").decode().replace("\0", UNFIT)


def text(value: Any, kind: str) -> str:
    """`value` as clean text of at most the characters that its `kind` may have."""
    return clean(value[: MAX_CHARS[kind]] if isinstance(value, str) else value)[: MAX_CHARS[kind]]


def word(value: Any, kind: str) -> str:
    """As `text`, on one line and without control characters, so that it can be printed anywhere."""
    found = text(value, kind)
    if found.isprintable():
        return found
    return "".join(char if char.isprintable() else UNFIT for char in found)


def optional_word(value: Any, kind: str) -> str | None:
    """As `word`; None stays None."""
    return None if value is None else word(value, kind)


def is_id(value: Any) -> bool:
    """True of a text that can be an object's id in SQL and in a path. An id cannot be cut."""
    return isinstance(value, str) and 0 < len(value) <= MAX_CHARS["id"] and value.isprintable()


def is_status(value: Any) -> bool:
    """True of an HTTP status."""
    return type(value) is int and value in STATUSES


def count(value: Any, most: int) -> int | None:
    """`value` as a whole number from 0 to `most`; None when it is anything else."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= most else None


def fields(names: Iterable[Any]) -> tuple[str, ...]:
    """The first MAX_FIELDS names of fields, each as a word."""
    return tuple(word(name, "field") for name, _ in zip(names, range(MAX_FIELDS), strict=False))


def pairs(given: Any) -> dict[str, str]:
    """Metadata: at most MAX_PAIRS pairs of words and texts."""
    return {word(key, "key"): text(value, "value") for key, value in list(dict(given).items())[:MAX_PAIRS]}
