"""Events as operators and admins read them: page by page, or as they come."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.data.audit import events
from app.data.audit.events import Filters as Filters
from app.data.store.database import AnyRow
from app.services.gateway import Gateway

# A transaction takes its event's id a while before it commits; so long one that is missing may still come.
PATIENCE_S = 120.0
# Ids are looked for so far back when a tail begins, and so many of them at once.
WINDOW = 1000
SLICE = 500


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `created_at` is Unix milliseconds; `actor` is who: a key, a subject of JWTs, the operator."""

    id: int
    created_at: int
    project: str | None
    virtual_key: str | None
    actor: str | None
    address: str | None
    source: str
    operation: str
    object_id: str | None
    outcome: str
    status_code: int | None
    latency_ms: int | None
    request_id: str
    detail: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of a list, and whether more follow."""

    items: list[Event]
    has_more: bool


def list_(
    gateway: Gateway, filters: Filters, *, limit: int, after: int | None = None, descending: bool = True
) -> EventPage:
    """Events by id beyond `after`, newest first unless told otherwise."""
    with gateway.database.read() as connection:
        rows = events.page(connection, filters, after=after, descending=descending, limit=limit + 1)
    return EventPage([_event(row) for row in rows[:limit]], has_more=len(rows) > limit)


class Tail:
    """Events as they come, each once, none left out: also those that commit after others with larger ids.

    Ids that are missing below the newest one seen are looked for again for PATIENCE_S; those of a transaction that was
    rolled back never come.
    """

    def __init__(self, gateway: Gateway, filters: Filters, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gateway = gateway
        self._filters = filters
        self._monotonic = monotonic
        self._newest = 0
        self._missing: dict[int, float] = {}  # id: when it is given up

    def begin(self, lines: int) -> list[Event]:
        """The newest `lines` events that fit, oldest first; those after them come with `poll`."""
        with self._gateway.database.read() as connection:
            ids = events.newest_ids(connection, WINDOW)
            self._newest = ids[0] - 1 if ids else 0
            self._note(ids)
            rows = events.page(connection, self._filters, after=self._newest + 1, descending=True, limit=lines)
        for row in rows:
            self._missing.pop(row.id, None)
        return [_event(row) for row in reversed(rows)]

    def poll(self) -> list[Event]:
        """What was committed since the last time, oldest first; some of it may be older than what came before."""
        found: list[Event] = []
        with self._gateway.database.read() as connection:
            ids = events.ids_among(connection, list(self._missing)) if self._missing else []
            while True:
                newer = events.ids_beyond(connection, self._newest, limit=SLICE)
                self._note(newer)
                ids += newer
                found += [_event(row) for row in events.of_ids(connection, self._filters, ids)] if ids else []
                for id_ in ids:
                    self._missing.pop(id_, None)
                if len(newer) < SLICE:
                    break
                ids = []
        self._give_up()
        return found

    @property
    def waiting(self) -> int:
        """How many ids are looked for again."""
        return len(self._missing)

    def _note(self, ids: list[int]) -> None:
        """Ids between those seen are missing; of a hole that no transactions in flight can make, the newest."""
        until = self._monotonic() + PATIENCE_S
        for id_ in ids:
            for missing in range(max(self._newest + 1, id_ - WINDOW), id_):
                self._missing[missing] = until
            self._newest = id_
        for missing in sorted(self._missing)[:-WINDOW]:
            del self._missing[missing]

    def _give_up(self) -> None:
        now = self._monotonic()
        self._missing = {id_: until for id_, until in self._missing.items() if until > now}


def _event(row: AnyRow) -> Event:
    names = Event.__dataclass_fields__
    return Event(**{name: row._mapping[name] for name in names})
