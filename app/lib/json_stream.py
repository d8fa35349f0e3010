"""Reads a JSON object piece by piece: its members, and long arrays element by element.

Only one piece is in memory at a time, whatever the size of the body and the order of its members.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import ijson  # type: ignore[import-untyped]

BUFFER_BYTES = 256 * 1024
# Deeper than any real request, and well below json.MAX_WRITE_DEPTH.
MAX_DEPTH = 100

_OPENING = ("start_map", "start_array")
_CLOSING = ("end_map", "end_array")


class Source(Protocol):
    """Anything with a `read` that returns bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the object, or one element of the long array if it has an `index`.

    A member without `index` and with an empty list as its value announces the start of the array.
    """

    name: str
    value: Any
    index: int | None = None


class JsonStreamError(ValueError):
    """The body is not JSON, not an object, or over a limit. `member` and `index` say where, as far as known."""

    def __init__(self, message: str, *, member: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.member = member
        self.index = index


class PieceTooLargeError(JsonStreamError):
    """A piece is longer than its limit."""


def members(source: Source, *, array: str, element_bytes: int, other_bytes: int) -> Iterator[Member]:
    """Yield the object's members in their order, and the elements of the array named `array` one by one.

    `element_bytes` limits each element of the array as written in the body; `other_bytes` limits everything before the
    array, and again everything after it. Raises JsonStreamError or PieceTooLargeError.
    """
    reader = _Bounded(source, other_bytes)
    walk = _Walk(array)
    try:
        # `use_float`, because ijson's C parser returns broken values for integers of thousands of digits.
        for event, value in ijson.basic_parse(reader, buf_size=BUFFER_BYTES, use_float=True):
            member = walk.take(event, value)
            if walk.at_border:
                reader.restart(element_bytes if walk.in_array else other_bytes)
            if member is not None:
                yield member
    except ijson.JSONError as error:
        raise JsonStreamError(_first_line(error), member=walk.name, index=walk.index) from error
    except UnicodeDecodeError as error:  # the parser accepts surrogates, but converting them to Python fails
        raise JsonStreamError("is not valid UTF-8.", member=walk.name, index=walk.index) from error
    except _OverLimitError as error:
        raise PieceTooLargeError(f"is longer than {error.limit} bytes.", member=walk.name, index=walk.index) from error


def nested_members(
    source: Source, *, arrays: Collection[tuple[str, ...]], element_bytes: int, other_bytes: int
) -> Iterator[Member]:
    """Yield the elements of nested arrays one by one, and at the end the object without these elements.

    `arrays` are paths of member names, with an empty name for each level of list. The name of an element is its array's
    path, joined by dots; the object comes as a member without a name. Limits and errors are those of `members`.
    """
    reader = _Bounded(source, other_bytes)
    whole, element = _Builder(), _Builder()
    name: str | None = None
    index = 0
    try:
        for event, value in ijson.basic_parse(reader, buf_size=BUFFER_BYTES, use_float=True):
            if name is not None and not (event == "end_array" and element.is_closed):
                if element.take(event, value):
                    yield Member(name, element.value, index)
                    index += 1
                    reader.restart(element_bytes)
                continue
            if event == "start_array" and whole.path in arrays:
                name, index = ".".join(whole.path), 0
                reader.restart(element_bytes)
            elif name is not None:
                name = None
                reader.restart(other_bytes)
            if whole.take(event, value):
                if not isinstance(whole.value, dict):
                    raise JsonStreamError("must be a JSON object.")
                yield Member("", whole.value)
    except ijson.JSONError as error:
        raise JsonStreamError(_first_line(error), member=name) from error
    except UnicodeDecodeError as error:
        raise JsonStreamError("is not valid UTF-8.", member=name) from error
    except _OverLimitError as error:
        raise PieceTooLargeError(f"is longer than {error.limit} bytes.", member=name) from error


class _OverLimitError(Exception):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class _Bounded:
    """Reads at most `limit` bytes, plus one buffer, after the last restart."""

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._limit = limit
        self._since = 0

    def read(self, size: int = -1, /) -> bytes:
        if size == 0:
            return b""  # ijson tests whether it gets bytes or text; Werkzeug's stream would take it for the end
        if self._since > self._limit:
            raise _OverLimitError(self._limit)
        data = self._source.read(size)
        self._since += len(data)
        return data

    def restart(self, limit: int) -> None:
        """Allow `limit` bytes from here."""
        self._limit = limit
        self._since = 0


class _Builder:
    """Builds one value after another from parser events."""

    def __init__(self) -> None:
        self.value: Any = None
        self._stack: list[Any] = []
        self._keys: list[str] = []

    @property
    def is_closed(self) -> bool:
        """True between two values."""
        return not self._stack

    @property
    def path(self) -> tuple[str, ...]:
        """The member names that lead to the next event, with an empty name for each list."""
        return tuple(self._keys)

    def take(self, event: str, value: Any) -> bool:
        """Add an event. Returns True if it completes the value."""
        if event == "map_key":
            self._keys[-1] = value
            return False
        if event in _OPENING:
            if len(self._stack) >= MAX_DEPTH:
                raise JsonStreamError(f"is nested deeper than {MAX_DEPTH} levels.")
            self._stack.append({} if event == "start_map" else [])
            self._keys.append("")
            return False
        if event in _CLOSING:
            value = self._stack.pop()
            self._keys.pop()
        if not self._stack:
            self.value = value
            return True
        parent = self._stack[-1]
        if isinstance(parent, list):
            parent.append(value)
        else:
            parent[self._keys[-1]] = value
        return False


class _Walk:
    """Builds the members and elements from parser events, and tracks the position in the object."""

    def __init__(self, array: str) -> None:
        self.name: str | None = None
        self.index: int | None = None
        self.at_border = False  # the array or one of its elements starts or ends here
        self._array = array
        self._open = False
        self._seen_array = False
        self._piece = _Builder()

    @property
    def in_array(self) -> bool:
        """True inside the long array."""
        return self.index is not None

    def take(self, event: str, value: Any) -> Member | None:
        """The member or element that `event` completes, if any."""
        self.at_border = False
        if not self._open:
            if event != "start_map":
                raise JsonStreamError("must be a JSON object.")
            self._open = True
        elif not self._piece.is_closed:
            return self._build(event, value)
        elif self.in_array:
            if event != "end_array":
                return self._build(event, value)
            self.index = None
            self.at_border = True
        elif event == "map_key":
            self.name = value
        elif event == "start_array" and self.name == self._array:
            return self._enter()
        elif event != "end_map":
            return self._build(event, value)
        return None

    def _enter(self) -> Member:
        if self._seen_array:
            raise JsonStreamError("occurs twice.", member=self._array)
        self.at_border = self._seen_array = True
        self.index = 0
        return Member(self._array, [])

    def _build(self, event: str, value: Any) -> Member | None:
        try:
            return self._complete(self._piece.value) if self._piece.take(event, value) else None
        except JsonStreamError as error:
            raise JsonStreamError(error.message, member=self.name, index=self.index) from error

    def _complete(self, value: Any) -> Member:
        member = Member(self.name or "", value, self.index)
        if self.index is not None:
            self.index += 1
            self.at_border = True
        return member


def _first_line(error: Exception) -> str:
    # The parser appends an excerpt of the request, which must not reach a message.
    text = error.args[0] if error.args else ""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return f"is not valid JSON: {str(text).splitlines()[0].strip().rstrip('.')}." if text else "is not valid JSON."
