"""Seeded damage to JSON: what providers and callers send when they are broken, old, or mean."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

import orjson

NONSENSE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**64 - 1,
    -(2**63),
    0.5,
    1e300,
    "",
    "\0",
    "a\0b\0",
    "x" * 200,
    "y" * 3000,
    "\u202e\u2028\x1b[31m",
    "9" * 30,
    "bg-9999999999999999999",
    [],
    {},
    [[]],
    [None],
    {"a": []},
    {"\0": {"\0": "\0"}},
    ["text"] * 50,
    [{}],
    {"type": "text"},
    {"message": {"message": []}},
)
SPLICES = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\\u0000",
    b"\r\n",
    b"}{",
    b",",
    b"[" * 300,
    b"1e999",
    b"\xef\xbb\xbf",
)


def mutated(random: Random, value: Any, *, most: int = 3) -> Any:
    """A copy of JSON with 1 to `most` of its values, members or elements changed, removed, repeated or renamed."""
    copy = orjson.loads(orjson.dumps(value))
    for _ in range(random.randint(1, most)):
        places = [place for place in _places(copy) if place]
        if not places:
            return deepcopy(random.choice(NONSENSE))
        *path, last = random.choice(places)
        holder = copy
        for step in path:
            holder = holder[step]
        random.choice(CHANGES)(random, holder, last)
    return copy


def planted(random: Random, value: Any, names: Sequence[str], *, most: int = 2) -> Any:
    """A copy of JSON with up to `most` odd values put in at any place, below one of `names` where it is an object."""
    copy = orjson.loads(orjson.dumps(value))
    for _ in range(random.randint(0, most)):
        holder = copy
        for step in random.choice(_places(copy)):
            holder = holder[step]
        odd = deepcopy(random.choice(NONSENSE))
        if isinstance(holder, dict):
            holder[random.choice(names)] = random.choice((odd, [odd], {random.choice(names): odd}))
        elif isinstance(holder, list):
            holder.append(odd)
    return copy


def damaged(random: Random, data: bytes) -> bytes:
    """`data` with a piece cut off, put in, or overwritten."""
    at = random.randrange(len(data) + 1)
    until = min(len(data), at + random.randint(1, 20))
    return random.choice((data[:at], data[:at] + random.choice(SPLICES) + data[at:], data[:at] + data[until:]))


def mutant(random: Random, data: bytes) -> bytes:
    """`data`, which is JSON or lines of it, mutated or damaged."""
    if random.random() < 0.15:
        return damaged(random, data)
    try:
        return orjson.dumps(mutated(random, orjson.loads(data)))
    except orjson.JSONDecodeError:
        return b"".join(mutant(random, line) + b"\n" for line in data.splitlines() if line)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for name, inner in value.items():
            found += _places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += _places(inner, (*path, number))
    return found


def _replace(random: Random, holder: Any, last: Any) -> None:
    holder[last] = deepcopy(random.choice(NONSENSE))


def _remove(_: Random, holder: Any, last: Any) -> None:
    del holder[last]


def _repeat(random: Random, holder: Any, last: Any) -> None:
    if isinstance(holder, list):
        holder[last:last] = [deepcopy(holder[last]) for _ in range(random.randint(1, 30))]
    else:
        holder[f"{last}\0"] = deepcopy(holder[last])


def _rename(random: Random, holder: Any, last: Any) -> None:
    if isinstance(holder, dict):
        holder[random.choice(("", "\0", "id", "type", "error", "x" * 300))] = holder.pop(last)


def _swap(_: Random, holder: Any, last: Any) -> None:
    holder[last] = {"value": holder[last]} if isinstance(holder[last], list) else [holder[last]]


CHANGES: tuple[Callable[[Random, Any, Any], None], ...] = (
    _replace,
    _replace,
    _replace,
    _remove,
    _repeat,
    _rename,
    _swap,
)
