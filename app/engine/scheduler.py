"""Which line is sent next: projects in turn, each with its highest priority and then its earliest deadline first,
within permits, the limits of batches, and a byte budget.
"""

import sys
import threading
from bisect import insort
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter

from app.engine.outcomes import Line
from app.engine.room import Room
from app.engine.run import SegmentRun
from app.engine.shares import Quotas
from app.engine.work import SAME_DEADLINE_S, Bar, Capacity, Lane, Orders

# A line is in memory three times: as text, as parsed values, and as the body that is sent.
COPIES = 3
# Of a lane with lines enough, batches that come first are claimed while there are fewer runs of it.
MAX_LANE_RUNS = 8
# How soon a line is found whose time to wait is over, when no thread comes by meanwhile.
LOOK_S = 0.05
Taken = tuple[SegmentRun, Line]
_rank = attrgetter("rank")


class Scheduler:
    """The runs of this process and the lines that its threads take from them.

    `room` is for their answers, of which it has half of the budget for itself: lines that wait for room could otherwise
    keep it all.
    """

    def __init__(self, *, budget_bytes: int, most_per_project: int | None = None) -> None:
        self._changed = threading.Condition()
        self._runs: list[SegmentRun] = []  # by rank
        self._first: dict[int, float] = {}  # by project: its earliest deadline
        self._budget = budget_bytes
        # Some threads are left for the others, however many accounts and models a project uses at once.
        self._most_per_project = most_per_project or sys.maxsize
        self._held = 0
        self._taken: dict[int, int] = {}
        self._taken_by: dict[tuple[int, int], int] = {}  # by gate and project
        self._busy: dict[int, int] = {}  # by project
        self._projects: Counter[int] = Counter()  # how many runs each has
        self._closed = self._short = self._is_watched = False
        self.room = Room(limit_bytes=budget_bytes // 2, unwritten=self._unwritten)

    def add(self, run: SegmentRun) -> None:
        """Offer the lines of `run`."""
        with self._changed:
            insort(self._runs, run, key=_rank)
            self._projects[run.segment.project_id] += 1
            self._note_first()
            self._changed.notify()

    def remove(self, run: SegmentRun) -> None:
        """Remove a run that has ended."""
        with self._changed:
            self._runs.remove(run)
            self._projects -= Counter([run.segment.project_id])  # drops what falls to zero
            self._note_first()

    def follow(self, orders: Mapping[int, Orders], quotas: Quotas, *, now: float) -> None:
        """Run batches as they are to be run now: others may have changed that since they were claimed."""
        with self._changed:
            has_moved = False
            for run in self._runs:
                order = orders.get(run.segment.batch_id)
                if order is None:
                    continue
                quotas.limited(run.segment.batch_id, is_limited=order.is_limited)
                if order.priority != run.priority or abs(now + order.left_s - run.deadline) > SAME_DEADLINE_S:
                    run.priority, run.deadline, has_moved = order.priority, now + order.left_s, True
            if has_moved:
                self._runs.sort(key=_rank)
                self._note_first()
                self._changed.notify()

    def runs(self) -> list[SegmentRun]:
        """The current runs."""
        with self._changed:
            return list(self._runs)

    def wake(self) -> None:
        """Let waiting threads look again, since permits or pauses changed."""
        with self._changed:
            self._changed.notify()

    def freed(self) -> None:
        """Let waiting threads look again if they wait for memory, of which written results have freed some."""
        if self._short:
            self.wake()

    def close(self) -> None:
        """Hand out no more lines; waiting threads get None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def take(self, *, timeout_s: float) -> Taken | None:
        """The best line that may run now, waiting for one; None after about `timeout_s`, or when there are no more."""
        with self._changed:
            return self._pick() or self._await(timeout_s)

    def swap(self, run: SegmentRun, line: Line, *, timeout_s: float) -> Taken | None:
        """As `take`, for a thread that is done with a line: it is no longer held in memory.

        The thread goes on by itself: to wake another for each line would cost as much as sending it.
        """
        with self._changed:
            changes = self._let_go(run, line)
            picked = self._pick()
            if picked is None:
                return self._await(timeout_s)
            if changes or picked[0].gate is not run.gate or picked[0].segment.project_id != run.segment.project_id:
                self._changed.notify()  # another line may go besides
            return picked

    def done(self, run: SegmentRun, line: Line) -> None:
        """As `swap`, for a thread that takes no other line."""
        with self._changed:
            self._let_go(run, line)
            self._changed.notify()

    def _await(self, timeout_s: float) -> Taken | None:
        """Wait for a line. Whoever finds one wakes the next, so that as many wake as there are lines.

        One thread looks again by itself, for lines whose time to wait is over; the others sleep until they are woken.
        """
        if self._closed or timeout_s <= 0:
            return None
        if self._is_watched:
            self._changed.wait()
        else:
            self._is_watched = True
            waits = any(run.waiting for run in self._runs)
            self._changed.wait(min(LOOK_S, timeout_s) if waits else timeout_s)
            self._is_watched = False
        picked = self._pick()
        if picked is not None:
            self._changed.notify()
        return picked

    def _let_go(self, run: SegmentRun, line: Line) -> bool:
        """Forget a line that was taken. True when more than the next one may go now."""
        self._held -= self._cost(line)
        run.quota.taken -= 1
        gate, project_id = run.gate, run.segment.project_id
        self._taken[id(gate)] -= 1
        key = (id(gate), project_id)
        self._taken_by[key] -= 1
        if not self._taken_by[key]:
            del self._taken_by[key]
        self._busy[project_id] -= 1
        if not self._busy[project_id]:
            del self._busy[project_id]
        return self._short or run.segment.solo or run.quota.limit is not None or not gate.is_open(project_id)

    def _pick(self) -> Taken | None:
        if self._closed:
            return None
        busy = self._busy
        for run in self._in_turn():
            project_id = run.segment.project_id
            if not run.waiting or busy.get(project_id, 0) >= self._most_per_project or not self._has_room(run):
                continue
            line = run.take()
            if line is None:
                continue
            held = self._held + self._unwritten() + self.room.held
            if held and held + self._cost(line) > self._budget:
                run.give_back(line)
                self._short = True
                return None  # wait for room: smaller lines that overtake it would starve it
            self._short = False
            self._held += self._cost(line)
            run.quota.taken += 1
            key = (id(run.gate), project_id)
            self._taken[id(run.gate)] = self._taken.get(id(run.gate), 0) + 1
            self._taken_by[key] = self._taken_by.get(key, 0) + 1
            busy[project_id] = busy.get(project_id, 0) + 1
            return run, line
        return None

    def _in_turn(self) -> list[SegmentRun]:
        """The runs, those of projects with the fewest lines out first, then of those with the earliest deadline.

        Priorities count within a project only: in another's, they would let whoever asks for most go first.
        """
        if len(self._projects) == 1:
            return self._runs
        busy, first = self._busy, self._first
        turns = {project_id: (busy.get(project_id, 0), first[project_id], project_id) for project_id in self._projects}
        return sorted(self._runs, key=lambda run: turns[run.segment.project_id])

    def _note_first(self) -> None:
        self._first = {}
        for run in self._runs:
            project_id = run.segment.project_id
            self._first[project_id] = min(run.deadline, self._first.get(project_id, run.deadline))

    def _unwritten(self) -> int:
        return sum([run.unwritten_bytes for run in self._runs])

    def _has_room(self, run: SegmentRun) -> bool:
        gate, project_id = run.gate, run.segment.project_id
        if not run.quota.is_open or self._taken.get(id(gate), 0) >= gate.room:
            return False
        return self._taken_by.get((id(gate), project_id), 0) < gate.room_for(project_id, age_s=run.age_s)

    def _cost(self, line: Line) -> int:
        return line.length * COPIES


def is_held(run: SegmentRun) -> bool:
    """True of a run none of whose lines can be sent now: they wait for another try, or their project or batch does."""
    if not run.waiting:
        return False
    return not run.ready or not run.quota.is_open or run.gate.holds_back(run.segment.project_id)


def saturated(runs: Sequence[tuple[SegmentRun, Capacity]], *, most: int, now: float) -> list[Bar]:
    """Lanes with enough lines waiting here, each with the run that makes up so many; `runs` are in their order.

    Other workers may take the rest. Each project counts for itself: the lines of a large segment must not keep out
    those of another project.
    """
    ready: Counter[Lane] = Counter()
    count: Counter[Lane] = Counter()
    last: dict[Lane, SegmentRun] = {}
    for run, capacity in runs:
        lane = Lane(run.segment.project_id, capacity)
        count[lane] += 1
        if is_held(run):
            continue
        ready[lane] += _ready(run)
        if lane not in last and ready[lane] >= max(1, min(run.gate.room, most)):
            last[lane] = run
    bars = []
    for lane, run in last.items():
        left_s = run.deadline - now if count[lane] < MAX_LANE_RUNS else None
        bars.append(Bar(lane, run.priority, left_s))
    return bars


def _ready(run: SegmentRun) -> int:
    limit = run.quota.limit
    return run.ready if limit is None else min(run.ready, limit - run.quota.taken)
