"""JSON for the whole application; no other module imports the JSON library."""

import json
from collections.abc import Callable
from typing import Any

import orjson

# Of what parses: another one may take other texts for JSON.
VERSION = orjson.__version__
JSONDecodeError = orjson.JSONDecodeError
JSONEncodeError = orjson.JSONEncodeError
# `loads` accepts 1,024 levels of nesting, but `dumps` raises JSONEncodeError above this one.
MAX_WRITE_DEPTH = 254
_QUOTE = b'"'
_ESCAPE = b"\\u00"


# Parse strict JSON (UTF-8, no NaN). Raises JSONDecodeError, a ValueError.
loads: Callable[[bytes | bytearray | memoryview | str], Any] = orjson.loads


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON. Raises JSONEncodeError."""
    return orjson.dumps(value)


def dumps_line(value: Any) -> bytes:
    """One line of JSONL: compact UTF-8 JSON and a newline. Raises JSONEncodeError."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def pretty(value: Any) -> str:
    """JSON for people: each member on a line of its own. Raises JSONEncodeError."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def repeats_member(data: bytes) -> bool:
    """True when an object in this JSON text has a member twice: of these, parsers take the first or the last.

    Raises JSONDecodeError, and JSONEncodeError when it is nested deeper than MAX_WRITE_DEPTH.
    """
    # What is parsed lacks the name of a repeated member, and so has fewer quotation marks than the text. But a mark may
    # be written as an escape, too: then members are looked at one by one, which takes some thirty times as long.
    has_escape = b"\\" in data and _ESCAPE in data  # the first is searched a hundred times as fast
    if not has_escape and data.count(_QUOTE) == orjson.dumps(orjson.loads(data)).count(_QUOTE):
        return False
    try:
        json.loads(data, object_pairs_hook=_once)
    except _RepeatedError:
        return True
    return False


class _RepeatedError(Exception):
    """An object has a member twice."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _RepeatedError
