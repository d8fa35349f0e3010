"""Time that passes from event to event, and servers that have only so many hands."""

from collections import Counter, defaultdict
from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace


class Loop:
    """The clock of everything that is simulated, in seconds; `at` plans an event, `run` lets them happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0

    def monotonic(self) -> float:
        """As app.lib.clock.Clock."""
        return self.now

    def now_ms(self) -> int:
        """As app.lib.clock.Clock."""
        return int(self.now * 1000)

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Plan an event; of those at one instant, the first planned happens first."""
        self._planned += 1
        heappush(self._events, (max(when, self.now), self._planned, act))

    def run(self, until: float) -> None:
        """Let everything happen up to an instant."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, act = heappop(events)
            act()
        self.now = until


class Database:
    """PostgreSQL with so many cores: a transaction waits for a core and for the row that it locks."""

    def __init__(self, loop: Loop, *, cores: int, held_ms: float) -> None:
        self._loop = loop
        self._cores = [0.0] * cores
        heapify(self._cores)
        self._held_s = held_ms / 1000
        self._rows: dict[object, float] = {}
        self.busy_s: Counter[str] = Counter()
        self.transactions: Counter[str] = Counter()
        self.row_held_s: defaultdict[object, float] = defaultdict(float)
        self.waited_s = 0.0

    def transact(self, kind: str, ms: float, *, row: object = None) -> float:
        """When a transaction that is sent now will be committed. `row` is what it locks meanwhile."""
        now, busy_s = self._loop.now, ms / 1000
        start = max(now, self._cores[0])
        if row is not None:
            start = max(start, self._rows.get(row, 0.0))
        heapreplace(self._cores, max(self._cores[0], now) + busy_s)  # who waits for a row takes no core
        ends = start + busy_s + self._held_s
        if row is not None:
            self._rows[row] = ends
            self.row_held_s[row] += busy_s + self._held_s
        self.busy_s[kind] += busy_s
        self.transactions[kind] += 1
        self.waited_s += start - now
        return ends
