"""A JSON object read piece by piece: its members, and one long array element by element.

Memory holds one piece at a time, whatever the size of the body and the order of its members.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import ijson  # type: ignore[import-untyped]

BUFFER_BYTES = 256 * 1024
# Deeper than any real request, and well below what serialising again can take.
MAX_DEPTH = 100

_OPENING = ("start_map", "start_array")
_CLOSING = ("end_map", "end_array")


class Source(Protocol):
    """Whatever bytes can be read from."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the object, or with an `index` one element of the long array.

    The array's beginning is announced by a member without `index` whose value is an empty list.
    """

    name: str
    value: Any
    index: int | None = None


class JsonStreamError(ValueError):
    """Not an object, not JSON, or beyond a limit. `member` and `index` tell where, as far as known."""

    def __init__(self, message: str, *, member: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.member = member
        self.index = index


class PieceTooLargeError(JsonStreamError):
    """One piece is over its limit of bytes."""


def members(source: Source, *, array: str, element_bytes: int, other_bytes: int) -> Iterator[Member]:
    """The object's members in their order, those of the array named `array` one by one.

    `element_bytes` bounds an element of the array as it is written in the body, `other_bytes` all that comes
    before the array, and again all that comes after it. Raises JsonStreamError or PieceTooLargeError.
    """
    reader = _Bounded(source, other_bytes)
    walk = _Walk(array)
    try:
        # Floats, as integers of thousands of digits make ijson's C parser hand out broken values otherwise.
        for event, value in ijson.basic_parse(reader, buf_size=BUFFER_BYTES, use_float=True):
            found = walk.take(event, value)
            if walk.at_border:
                reader.restart(element_bytes if walk.in_array else other_bytes)
            if found is not None:
                yield found
    except ijson.JSONError as error:
        raise JsonStreamError(_first_line(error), member=walk.name, index=walk.index) from error
    except UnicodeDecodeError as error:  # the parser lets surrogates pass, the step from it to Python does not
        raise JsonStreamError("is not valid UTF-8.", member=walk.name, index=walk.index) from error
    except _OverLimitError as error:
        raise PieceTooLargeError(f"is longer than {error.limit} bytes.", member=walk.name, index=walk.index) from error


def nested_members(
    source: Source, *, arrays: Collection[tuple[str, ...]], element_bytes: int, other_bytes: int
) -> Iterator[Member]:
    """The elements of arrays deep within an object one by one; at the end the object itself, without these.

    `arrays` are the names that lead to each, empty ones for what is in a list. An element's name is its array's, with
    dots; the object is a member without name. `element_bytes` and `other_bytes` as in `members`, and what is raised.
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
    """Reads no further than `limit` bytes (and a buffer) beyond the last restart."""

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._limit = limit
        self._since = 0

    def read(self, size: int = -1, /) -> bytes:
        if size == 0:
            return b""  # ijson asks whether it gets bytes or text; Werkzeug's stream takes it for the end
        if self._since > self._limit:
            raise _OverLimitError(self._limit)
        data = self._source.read(size)
        self._since += len(data)
        return data

    def restart(self, limit: int) -> None:
        """What comes from here may take `limit`."""
        self._limit = limit
        self._since = 0


class _Builder:
    """One value out of events, then the next one."""

    def __init__(self) -> None:
        self.value: Any = None
        self._stack: list[Any] = []
        self._keys: list[str] = []

    @property
    def is_closed(self) -> bool:
        """True between values."""
        return not self._stack

    @property
    def path(self) -> tuple[str, ...]:
        """The names that lead to what comes next; empty ones within lists."""
        return tuple(self._keys)

    def take(self, event: str, value: Any) -> bool:
        """True when `event` completes the value."""
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
    """Builds values out of events and tells where in the object they stand."""

    def __init__(self, array: str) -> None:
        self.name: str | None = None
        self.index: int | None = None
        self.at_border = False  # the array or one of its elements begins or ends here
        self._array = array
        self._open = False
        self._seen_array = False
        self._piece = _Builder()

    @property
    def in_array(self) -> bool:
        return self.index is not None

    def take(self, event: str, value: Any) -> Member | None:
        """The piece that `event` completes, if it does."""
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
            raise JsonStreamError("is there twice.", member=self._array)
        self.at_border = self._seen_array = True
        self.index = 0
        return Member(self._array, [])

    def _build(self, event: str, value: Any) -> Member | None:
        try:
            return self._complete(self._piece.value) if self._piece.take(event, value) else None
        except JsonStreamError as error:
            raise JsonStreamError(error.message, member=self.name, index=self.index) from error

    def _complete(self, value: Any) -> Member:
        found = Member(self.name or "", value, self.index)
        if self.index is not None:
            self.index += 1
            self.at_border = True
        return found


def _first_line(error: Exception) -> str:
    # The parser adds a picture of the place, with bytes of the request in it.
    text = error.args[0] if error.args else ""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return f"is not valid JSON: {str(text).splitlines()[0].strip().rstrip('.')}." if text else "is not valid JSON."
