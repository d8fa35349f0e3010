"""Compiled SQL that the engines of a process share.

Each test makes a gateway, whose engines know no statement yet: compiling them again took a third of the CPU of a test.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any

from app.services.gateway import Gateway

Key = tuple[Any, ...]


class Statements(MutableMapping[Key, Any]):
    """SQLAlchemy's keys start with the dialect, of which each engine has one of its own; here with its name."""

    def __init__(self) -> None:
        self._compiled: dict[Key, Any] = {}

    def __getitem__(self, key: Key) -> Any:
        return self._compiled[(key[0].name, *key[1:])]

    def __setitem__(self, key: Key, compiled: Any) -> None:
        self._compiled[(key[0].name, *key[1:])] = compiled

    def __delitem__(self, key: Key) -> None:
        del self._compiled[(key[0].name, *key[1:])]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._compiled)

    def __len__(self) -> int:
        return len(self._compiled)


_ALL = Statements()


def sharing(gateway: Gateway) -> Gateway:
    """The same gateway, whose engines use what others have compiled."""
    for engine in (gateway.database.readers, gateway.database.writers):
        engine.update_execution_options(compiled_cache=_ALL)
    return gateway
