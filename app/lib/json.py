"""The one place that knows which JSON library is in use."""

from typing import Any

import orjson

JSONDecodeError = orjson.JSONDecodeError
# What is nested deeper can be read, to 1024, but not written: that is a JSONEncodeError.
DEEPEST = 254
JSONEncodeError = orjson.JSONEncodeError


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """Strict JSON (UTF-8, no NaN) to Python. Raises JSONDecodeError, a ValueError."""
    return orjson.loads(data)


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return orjson.dumps(value)


def dumps_line(value: Any) -> bytes:
    """Compact UTF-8 JSON with the newline that ends a JSONL line."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
