"""JSON for the whole application; no other module imports the JSON library."""

from typing import Any

import orjson

JSONDecodeError = orjson.JSONDecodeError
JSONEncodeError = orjson.JSONEncodeError
# `loads` accepts 1,024 levels of nesting, but `dumps` raises JSONEncodeError above this one.
MAX_WRITE_DEPTH = 254


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """Parse strict JSON (UTF-8, no NaN). Raises JSONDecodeError, a ValueError."""
    return orjson.loads(data)


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON. Raises JSONEncodeError."""
    return orjson.dumps(value)


def dumps_line(value: Any) -> bytes:
    """One line of JSONL: compact UTF-8 JSON and a newline. Raises JSONEncodeError."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
