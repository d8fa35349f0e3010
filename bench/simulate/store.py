"""The rows that workers share: batches with their segments, capacities with their permits, and what was written."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count

from app.data.batches.capacity import State
from app.engine.gate import Signals
from app.engine.outcomes import Line, Words
from app.engine.run import Segment
from app.engine.shares import Pause
from app.engine.work import Capacity, Grant, Lane
from app.services.running.capacity import adapted, fair_share
from app.services.running.plan import segments
from bench.simulate.figures import Figures
from bench.simulate.loop import Database, Loop
from bench.simulate.plan import DAY_S, Arrival

MODEL = "m"
LEASE_S = 30.0


@dataclass(slots=True)
class Batch:
    """A batch that runs; `free` are the segments that nobody has, the last first."""

    id: int
    project: int
    capacity: Capacity
    lines: int
    created: float
    free: list[tuple[int, int]] = field(default_factory=list)
    left: int = 0
    first_sent: float | None = None
    ended: float | None = None


@dataclass(slots=True)
class Row:
    """A row of account_capacity, with its permits by worker: (held, wanted, until); and of pauses, by project."""

    ceiling: int
    limit: float
    lowered_at: float = -100.0
    permits: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    pauses: dict[int | None, tuple[float, float, int, Words]] = field(default_factory=dict)


class Store:
    """SQL, as far as it decides something. What a transaction costs is charged to `database`."""

    def __init__(self, loop: Loop, database: Database, figures: Figures, ceilings: list[int]) -> None:
        self.loop, self.database, self.figures = loop, database, figures
        self.rows = {Capacity(number, MODEL): Row(ceiling, float(ceiling)) for number, ceiling in enumerate(ceilings)}
        self.batches: list[Batch] = []
        self.open: dict[int, list[Batch]] = {}  # by project, those with free segments, the earliest deadline first
        self.leased: Counter[int] = Counter()
        self.written: Counter[str] = Counter()
        self.planning = 0  # lines whose rows are being written
        self.ends: list[tuple[float, int]] = []  # when, how many lines
        self._ids = count(1)

    def arrive(self, arrival: Arrival) -> None:
        """Plan a batch: its rows are written, then its segments may be claimed."""
        capacity = Capacity(arrival.capacity, MODEL)
        batch = Batch(len(self.batches), arrival.project, capacity, arrival.lines, self.loop.now, left=arrival.lines)
        self.batches.append(batch)
        ends = self.database.transact("plan", self.figures.plan_ms_per_line * arrival.lines)
        cut = segments(1, arrival.lines, arrival.lines)
        self._note(lines_inserted=arrival.lines, segments=len(cut), objects=1)
        self.planning += arrival.lines
        self.loop.at(ends, lambda: self._offer(batch, cut))

    def _offer(self, batch: Batch, cut: list[tuple[int, int]]) -> None:
        self.planning -= batch.lines
        batch.free = cut[::-1]
        self.open.setdefault(batch.project, []).append(batch)

    def claim(self, *, skip: Collection[Lane], full: Collection[int]) -> tuple[float, tuple[Batch, Segment] | None]:
        """(when it is committed, the best segment): of the project with the fewest leased ones, then by deadline."""
        running = sum(map(len, self.open.values()))
        ends = self.database.transact("claim", self.figures.claim_ms + self.figures.claim_ms_per_batch * running)
        skipped, best = set(skip), None
        for project, batches in self.open.items():
            if project in full:
                continue
            batch = next((each for each in batches if Lane(project, each.capacity) not in skipped), None)
            if batch is not None and (best is None or (self.leased[project], batch.created) < best[0]):
                best = (self.leased[project], batch.created), batch
        return ends, None if best is None else self._lease(best[1])

    def _lease(self, batch: Batch) -> tuple[Batch, Segment]:
        first, last = batch.free.pop()
        if not batch.free:
            self.open[batch.project].remove(batch)
            if not self.open[batch.project]:
                del self.open[batch.project]
        self.leased[batch.project] += 1
        self._note(segments=1)
        lines = tuple([Line(number, "", 0, 400) for number in range(first, last + 1)])
        age_s = self.loop.now - batch.created
        return batch, Segment(next(self._ids), batch.id, batch.project, 1, DAY_S - age_s, False, lines, age_s)

    def release(self, segment: Segment) -> None:
        """A segment whose lines have all ended."""
        self.leased[segment.project_id] -= 1

    def flushed(self, batch: Batch, lines: int, size: int) -> float:
        """When a chunk of so many lines is committed."""
        figures = self.figures
        ms = figures.flush_ms + figures.flush_ms_per_line * lines
        self._note(chunks=1, objects=1, chunk_bytes=size)
        return self.database.transact("flush", ms, row=("batch", batch.id))

    def end(self, batch: Batch, lines: int) -> None:
        """The results of lines are committed; with the last of them the batch ends."""
        self._note(lines_ended=lines, ledger=lines)
        self.ends.append((self.loop.now, lines))
        batch.left -= lines
        if batch.left == 0:
            batch.ended = self.database.transact("finalise", self.figures.finalise_ms_per_line * batch.lines)
            self._note(objects=1)

    def exchange(self, key: Capacity, worker: int, *, held: int, wanted: int, signals: Signals) -> tuple[float, Grant]:
        """(when it is committed, the worker's permits and all pauses), by the rules of services/running/capacity.py."""
        row, now = self.rows[key], self.loop.now
        ends = self.database.transact("exchange", self.figures.exchange_ms, row=key)
        self._note(permits=1)
        others = [(h, w) for name, (h, w, until) in row.permits.items() if name != worker and until >= now]
        state = State(
            limit=row.limit,
            ceiling=row.ceiling,
            lowered_ms_ago=int((now - row.lowered_at) * 1000),
            others_held=sum(h for h, _ in others),
            others_wanting=sum(1 for _, w in others if w),
            others_short=any(h < w for h, w in others),
        )
        row.limit, lowered = adapted(state, signals)
        if lowered:
            row.lowered_at = now
        for project, _ in signals.lifted:
            row.pauses.pop(project, None)
        for new in signals.pauses:
            since, pauses = row.pauses[new.project_id][1:3] if new.project_id in row.pauses else (now, -1)
            row.pauses[new.project_id] = (now + new.pause_s, since, pauses + 1, new.words)
        share = fair_share(int(row.limit), state, wanted=wanted)
        row.permits[worker] = (max(share, held), wanted, now + LEASE_S)
        found = [
            Pause(project, False, max(0.0, until - now), now - since, pauses, words)
            for project, (until, since, pauses, words) in row.pauses.items()
        ]
        return ends, Grant(share, found, is_shared=True)

    def leave(self, key: Capacity, worker: int) -> None:
        """Return a worker's permits."""
        self.database.transact("leave", self.figures.renew_ms)
        self.rows[key].permits.pop(worker, None)

    def _note(self, **added: int) -> None:
        self.written.update(added)
