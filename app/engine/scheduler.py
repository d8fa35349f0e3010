"""Which line is sent next: earliest deadline first, projects in turn, within permits and a byte budget."""

import sys
import threading
from bisect import insort
from collections import Counter
from operator import attrgetter

from app.engine.outcomes import Line
from app.engine.room import Room
from app.engine.run import SegmentRun

# A line is in memory three times: as text, as parsed values, and as the body that is sent.
COPIES = 3
# How soon a line is found whose time to wait is over, when no thread comes by meanwhile.
LOOK_S = 0.05
Taken = tuple[SegmentRun, Line]
_deadline = attrgetter("deadline")


class Scheduler:
    """The runs of this process and the lines that its threads take from them.

    `room` is for their answers, of which it has half of the budget for itself: lines that wait for room could otherwise
    keep it all.
    """

    def __init__(self, *, budget_bytes: int, most_per_project: int | None = None) -> None:
        self._changed = threading.Condition()
        self._runs: list[SegmentRun] = []  # the earliest deadline first
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
            insort(self._runs, run, key=_deadline)
            self._projects[run.segment.project_id] += 1
            self._changed.notify()

    def remove(self, run: SegmentRun) -> None:
        """Remove a run that has ended."""
        with self._changed:
            self._runs.remove(run)
            self._projects -= Counter([run.segment.project_id])  # drops what falls to zero

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
        gate, project_id = run.gate, run.segment.project_id
        self._taken[id(gate)] -= 1
        key = (id(gate), project_id)
        self._taken_by[key] -= 1
        if not self._taken_by[key]:
            del self._taken_by[key]
        self._busy[project_id] -= 1
        if not self._busy[project_id]:
            del self._busy[project_id]
        return self._short or run.segment.solo or not gate.is_open(project_id)

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
            key = (id(run.gate), project_id)
            self._taken[id(run.gate)] = self._taken.get(id(run.gate), 0) + 1
            self._taken_by[key] = self._taken_by.get(key, 0) + 1
            busy[project_id] = busy.get(project_id, 0) + 1
            return run, line
        return None

    def _in_turn(self) -> list[SegmentRun]:
        """The runs, those of projects with the fewest lines out first, then by deadline."""
        if len(self._projects) == 1:
            return self._runs
        return sorted(self._runs, key=lambda run: self._busy.get(run.segment.project_id, 0))

    def _unwritten(self) -> int:
        return sum([run.unwritten_bytes for run in self._runs])

    def _has_room(self, run: SegmentRun) -> bool:
        gate, project_id = run.gate, run.segment.project_id
        if self._taken.get(id(gate), 0) >= gate.room:
            return False
        return self._taken_by.get((id(gate), project_id), 0) < gate.room_for(project_id, age_s=run.age_s)

    def _cost(self, line: Line) -> int:
        return line.length * COPIES
