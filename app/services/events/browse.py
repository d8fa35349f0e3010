"""Lists events page by page, or follows them as they are committed."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.data.audit import events
from app.data.audit.events import Event as Event
from app.data.audit.events import Filters as Filters
from app.services.gateway import Gateway

# A transaction takes its event's id before it commits, so a missing id may still appear within this time.
PATIENCE_S = 120.0
# How many ids a tail looks back for missing ones when it begins, and how many it reads at once.
WINDOW = 1000
SLICE = 500


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of events, and whether more follow."""

    items: list[Event]
    has_more: bool


def list_(
    gateway: Gateway, filters: Filters, *, limit: int, after: int | None = None, descending: bool = True
) -> EventPage:
    """Returns events after the id `after`, newest first unless `descending` is False."""
    with gateway.database.read() as connection:
        rows = events.page(connection, filters, after=after, descending=descending, limit=limit + 1)
    return EventPage(list(rows[:limit]), has_more=len(rows) > limit)


class Tail:
    """Follows events and returns each exactly once, even if it commits after others with larger ids.

    Looks again for ids below the newest one that were missing, for PATIENCE_S; an id is missing for good when its
    transaction was rolled back.
    """

    def __init__(self, gateway: Gateway, filters: Filters, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gateway = gateway
        self._filters = filters
        self._monotonic = monotonic
        self._newest = 0
        self._missing: dict[int, float] = {}  # id: when to stop looking for it

    def begin(self, lines: int) -> list[Event]:
        """Returns the newest `lines` matching events, oldest first; `poll` returns later ones."""
        with self._gateway.database.read() as connection:
            ids = events.newest_ids(connection, WINDOW)
            self._newest = ids[0] - 1 if ids else 0
            self._note(ids)
            rows = events.page(connection, self._filters, after=self._newest + 1, descending=True, limit=lines)
        for row in rows:
            self._missing.pop(row.id, None)
        return list(reversed(rows))

    def poll(self) -> list[Event]:
        """Returns events committed since the last call, in order of their ids.

        Some ids may be smaller than those returned earlier.
        """
        committed: list[Event] = []
        with self._gateway.database.read() as connection:
            ids = events.ids_among(connection, list(self._missing)) if self._missing else []
            while True:
                newer = events.ids_beyond(connection, self._newest, limit=SLICE)
                self._note(newer)
                ids += newer
                committed += events.of_ids(connection, self._filters, ids) if ids else []
                for id_ in ids:
                    self._missing.pop(id_, None)
                if len(newer) < SLICE:
                    break
                ids = []
        self._give_up()
        return committed

    @property
    def waiting(self) -> int:
        """How many missing ids are still being looked for."""
        return len(self._missing)

    def _note(self, ids: list[int]) -> None:
        """Records ids between those seen as missing, at most WINDOW of them, the newest."""
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
