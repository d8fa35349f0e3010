"""Which line is sent next: earliest deadline first, projects in turn, within permits and a byte budget."""

import sys
import threading

from app.engine.outcomes import Line
from app.engine.room import Room
from app.engine.run import SegmentRun

# A line is in memory three times: as text, as parsed values, and as the body that is sent.
COPIES = 3


class Scheduler:
    """The runs of this process and the lines that its threads take from them.

    `room` is for their answers, of which it has half of the budget for itself: lines that wait for room could otherwise
    keep it all.
    """

    def __init__(self, *, budget_bytes: int, most_per_project: int | None = None) -> None:
        self._changed = threading.Condition()
        self._runs: list[SegmentRun] = []
        self._budget = budget_bytes
        # Some threads are left for the others, however many accounts and models a project uses at once.
        self._most_per_project = most_per_project or sys.maxsize
        self._held = 0
        self._taken: dict[int, int] = {}
        self._taken_by: dict[tuple[int, int], int] = {}  # by gate and project
        self._closed = self._short = False
        self.room = Room(limit_bytes=budget_bytes // 2, unwritten=self._unwritten)

    def add(self, run: SegmentRun) -> None:
        """Offer the lines of `run`."""
        with self._changed:
            self._runs.append(run)
            self._changed.notify_all()

    def remove(self, run: SegmentRun) -> None:
        """Remove a run that has ended."""
        with self._changed:
            self._runs.remove(run)

    def runs(self) -> list[SegmentRun]:
        """The current runs."""
        with self._changed:
            return list(self._runs)

    def wake(self) -> None:
        """Let waiting threads look again, since permits or pauses changed."""
        with self._changed:
            self._changed.notify_all()

    def freed(self) -> None:
        """Let waiting threads look again if they wait for memory, of which written results have freed some.

        Waking all of them for nothing would cost as much as sending a line.
        """
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

    def take(self, *, timeout_s: float) -> tuple[SegmentRun, Line] | None:
        """The best line that may run now, waiting up to `timeout_s` for one."""
        with self._changed:
            picked = self._pick()
            if picked is None and not self._closed:
                self._changed.wait(timeout_s)
                picked = self._pick()
            return picked

    def done(self, run: SegmentRun, line: Line) -> None:
        """The line is no longer held in memory. The thread that had it takes the next one itself."""
        with self._changed:
            self._held -= self._cost(line)
            self._taken[id(run.gate)] -= 1
            key = (id(run.gate), run.segment.project_id)
            self._taken_by[key] -= 1
            if not self._taken_by[key]:
                del self._taken_by[key]
            if self._short:
                self._changed.notify_all()  # a large line makes room for several
            else:
                self._changed.notify()  # its project may send another line

    def _pick(self) -> tuple[SegmentRun, Line] | None:
        if self._closed:
            return None
        busy: dict[int, int] = {}
        for run in self._runs:
            busy[run.segment.project_id] = busy.get(run.segment.project_id, 0) + run.out
        for run in sorted(self._runs, key=lambda run: (busy[run.segment.project_id], run.deadline)):
            if busy[run.segment.project_id] >= self._most_per_project or not self._has_room(run):
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
            key = (id(run.gate), run.segment.project_id)
            self._taken[id(run.gate)] = self._taken.get(id(run.gate), 0) + 1
            self._taken_by[key] = self._taken_by.get(key, 0) + 1
            return run, line
        return None

    def _unwritten(self) -> int:
        return sum(run.unwritten_bytes for run in self._runs)

    def _has_room(self, run: SegmentRun) -> bool:
        gate, project_id = run.gate, run.segment.project_id
        if not run.waiting or self._taken.get(id(gate), 0) >= gate.room:
            return False
        return self._taken_by.get((id(gate), project_id), 0) < gate.room_for(project_id, age_s=run.age_s)

    def _cost(self, line: Line) -> int:
        return line.length * COPIES
