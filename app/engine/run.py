"""One leased segment in this process: its lines, their results, and how long the lease holds."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.gate import Gate
from app.engine.outcomes import Line, Result, Words
from app.engine.shares import Quota
from app.lib.clock import Clock
from app.lib.threads.cuts import Cut

# What lasts for less is not worth a row.
SHOWN_AFTER_S = 1.0

FIRST_PAUSE_S = 0.5
MAX_MISSES = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """A claimed run of lines. `deadline_s` is seconds of window left at the claim; `solo` runs one line at a time.

    `age_s` is how long the batch had been running at the claim. `batch` and `account` are the names for the log.
    `is_limited`: the batch has a limit of its own to how many of its lines may be in flight.
    """

    id: int
    batch_id: int
    project_id: int
    epoch: int
    deadline_s: float
    solo: bool
    lines: tuple[Line, ...]
    age_s: float = 0.0
    priority: int = 0
    is_limited: bool = False
    batch: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True)
class LineWait:
    """A line that has run for `age_s`, or waits for `left_s` to be sent again, for the reason in `words`."""

    line: Line
    state: str
    age_s: float
    left_s: float = 0.0
    refused_s: float = 0.0
    words: Words | None = None


@dataclass(frozen=True, slots=True)
class WaitNews:
    """Lines of a segment that now wait, and the numbers of those that no longer do."""

    segment: Segment
    waits: Sequence[LineWait]
    over: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Call:
    line: Line
    since: float
    cut: Cut


@dataclass(frozen=True, slots=True)
class ChunkRule:
    """When results are written: at so many bytes, or when the oldest has waited so long."""

    max_bytes: int
    max_wait_ms: int


class SegmentRun:
    """Waiting lines, lines in flight, results that are not written yet. Safe to use from many threads."""

    def __init__(
        self,
        segment: Segment,
        *,
        gate: Gate,
        clock: Clock,
        lease_s: float,
        claimed_at: float,
        quota: Quota | None = None,
    ) -> None:
        self.segment = segment
        self.gate = gate
        self.quota = quota or Quota()
        self.deadline = claimed_at + segment.deadline_s
        self.priority = segment.priority
        self._clock = clock
        self._lock = threading.Lock()
        self._lease_ends = claimed_at + lease_s
        self._waiting: deque[Line] = deque(segment.lines)
        self._delayed: list[tuple[float, float, Line]] = []  # from when, until when
        self._out = 0
        self._results: list[Result] = []
        self._result_bytes = self._drained_bytes = 0
        self._oldest = 0.0
        self._retried: dict[int, Line] = {}
        self._write_after = 0.0
        self._misses = 0
        self._calls: dict[int, _Call] = {}
        self._waits: dict[int, tuple[float, float, Line, Words]] = {}  # lines to be sent again: from when, until when
        self._shown: dict[int, str] = {}  # lines that have a row, and its state
        self._began = claimed_at - segment.age_s
        self._halted = self._stopped = False
        self._lost = False
        self.flushing = False

    @property
    def rank(self) -> tuple[int, float]:
        """What comes first among the runs of one project: the highest priority, then the earliest deadline."""
        return -self.priority, self.deadline

    @property
    def lost(self) -> bool:
        """True when another worker may have the segment: nothing may be sent or written any more."""
        return self._lost or self._clock.monotonic() >= self._lease_ends

    @property
    def sendable(self) -> bool:
        """False when lines that were already taken must not be sent any more."""
        return not self._halted and not self.lost

    @property
    def stopped(self) -> bool:
        """True when the batch has ended."""
        return self._stopped

    @property
    def waiting(self) -> int:
        """How many lines could be sent, now or after a pause."""
        return 0 if self._halted else len(self._waiting) + len(self._delayed)

    @property
    def hopeless(self) -> bool:
        """True when writing failed several times in a row and the batch is over: then nobody waits for the results."""
        over = self._stopped or self._clock.monotonic() >= self.deadline
        return over and self._misses >= MAX_MISSES

    @property
    def ready(self) -> int:
        """How many lines could be sent now."""
        return 0 if self._halted else len(self._waiting)

    @property
    def age_s(self) -> float:
        """How long the batch has been running."""
        return self._clock.monotonic() - self._began

    @property
    def out(self) -> int:
        """How many lines are between `take` and their end."""
        return self._out

    @property
    def idle(self) -> bool:
        """True when no line is in flight and none will be sent."""
        return self._out == 0 and (self.waiting == 0 or self.lost)

    @property
    def unwritten(self) -> bool:
        """True when results or attempts wait to be written."""
        return bool(self._results or self._retried)

    @property
    def unwritten_bytes(self) -> int:
        """Bytes of the results that wait to be written, or are being written."""
        return self._result_bytes + self._drained_bytes

    def renew(self, ends: float) -> None:
        """Note that the lease holds until `ends` on the monotonic clock."""
        self._lease_ends = max(self._lease_ends, ends)

    def lose(self) -> None:
        """Note that the lease is lost."""
        self._lost = True

    def halt(self) -> None:
        """Send no more lines; those that are out come to their end."""
        self._halted = True

    def stop(self) -> None:
        """Send no more lines, and cut the calls that are out: nobody waits for their answers any more."""
        self._halted = self._stopped = True
        with self._lock:
            calls = list(self._calls.values())
        for call in calls:
            call.cut.cut()

    def begin_call(self, line: Line) -> Cut:
        """Note that the line is being sent; returns what ends its call."""
        call = _Call(line, self._clock.monotonic(), Cut())
        with self._lock:
            self._calls[line.number] = call
            self._waits.pop(line.number, None)
        return call.cut

    def end_call(self, line: Line) -> None:
        """Note that the line is no longer being sent."""
        with self._lock:
            self._calls.pop(line.number, None)

    def take(self) -> Line | None:
        """The next line to send, or None."""
        with self._lock:
            if self._halted or self.lost or (self.segment.solo and self._out):
                return None
            if self._clock.monotonic() >= self.deadline:
                return None
            self._ripen()
            if not self._waiting:
                return None
            self._out += 1
            return self._waiting.popleft()

    def give_back(self, line: Line, *, delay_s: float = 0.0, retried: bool = False, words: Words | None = None) -> None:
        """Let the line be sent again, after `delay_s` at the earliest; `retried` has its attempts written."""
        now = self._clock.monotonic()
        with self._lock:
            self._out -= 1
            if words is not None:
                self._waits[line.number] = (now, now + delay_s, line, words)
            if retried:
                self._note_oldest()
                self._retried[line.number] = line
            if delay_s > 0:
                self._delayed.append((now, now + delay_s, line))
            else:
                self._waiting.appendleft(line)

    def finish(self, result: Result) -> None:
        """End the line; its result waits to be written."""
        with self._lock:
            self._out -= 1
            self._note_oldest()
            self._results.append(result)
            self._result_bytes += len(result.data)
            self._retried.pop(result.line.number, None)
            self._waits.pop(result.line.number, None)

    def news(self, *, limit: int) -> WaitNews | None:
        """What changed since the last call: lines that run for long or wait to be sent again; at most `limit` each."""
        now = self._clock.monotonic()
        with self._lock:
            if not (self._calls or self._waits or self._shown):
                return None
            current = {
                number: LineWait(call.line, "running", now - call.since)
                for number, call in self._calls.items()
                if now - call.since >= SHOWN_AFTER_S
            } | {
                number: LineWait(line, "retry", now - since, until - now, _refused_s(line, now), words)
                for number, (since, until, line, words) in self._waits.items()
                if until - since >= SHOWN_AFTER_S
            }
            marks = {
                number: f"{wait.state} {wait.line.attempts} {_times(wait.line)}" for number, wait in current.items()
            }
            fresh = [wait for number, wait in current.items() if self._shown.get(number) != marks[number]][:limit]
            over = [number for number in self._shown if number not in current][:limit]
            for wait in fresh:
                self._shown[wait.line.number] = marks[wait.line.number]
            for number in over:
                del self._shown[number]
        return WaitNews(self.segment, fresh, over) if fresh or over else None

    def ripe(self, rule: ChunkRule, *, at_once: bool = False) -> bool:
        """True when results should be written now; `at_once`: without waiting for more of them."""
        with self._lock:
            now = self._clock.monotonic()
            if not self.unwritten or now < self._write_after:
                return False
            full = at_once or self._result_bytes >= rule.max_bytes or self.idle or self.segment.solo
            return full or now - self._oldest >= rule.max_wait_ms / 1000

    def drain(self) -> tuple[list[Result], list[Line]]:
        """(results, retried lines that have not ended) since the last call."""
        with self._lock:
            results, self._results = self._results, []
            self._drained_bytes, self._result_bytes = self._result_bytes, 0
            retried, self._retried = list(self._retried.values()), {}
        return results, retried

    def written(self) -> None:
        """Note that the last flush was written, or is no longer wanted."""
        with self._lock:
            self._misses = self._drained_bytes = 0

    def restore(self, results: list[Result], retried: list[Line], *, most_s: float) -> None:
        """Take back what could not be written, for a while that grows up to `most_s`: no thread waits meanwhile."""
        with self._lock:
            self._write_after = self._clock.monotonic() + min(most_s, FIRST_PAUSE_S * 2.0**self._misses)
            self._misses = min(self._misses + 1, 16)
            self._note_oldest()
            self._results = results + self._results
            self._drained_bytes = 0
            self._result_bytes += sum(len(result.data) for result in results)
            self._retried = {line.number: line for line in retried} | self._retried

    def _note_oldest(self) -> None:
        if not self.unwritten:
            self._oldest = self._clock.monotonic()

    def _ripen(self) -> None:
        if not self._delayed:
            return
        now, resumed_at = self._clock.monotonic(), self.gate.resumed_at
        ripe = [line for since, until, line in self._delayed if until <= now or since <= resumed_at]
        if ripe:
            self._delayed = [entry for entry in self._delayed if entry[1] > now and entry[0] > resumed_at]
            self._waiting.extend(ripe)


def _times(line: Line) -> int:
    return line.refused.times if line.refused else 0


def _refused_s(line: Line, now: float) -> float:
    return now - line.refused.since if line.refused else 0.0
