"""Work without a store or a provider: segments in a list, answers from a function."""

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from app.engine.gate import Signals
from app.engine.outcomes import Line, Outcome, Overloaded, Result, Words
from app.engine.parts import LINES
from app.engine.run import LineWait, Segment, WaitNews
from app.engine.shares import Pause
from app.engine.work import Bar, Capacity, Due, Grant, Lane, Orders, Stops
from app.lib.threads.cuts import Cut

CAPACITY = Capacity(account_id=1, model="m")


def segment(number: int, lines: int, *, deadline_s: float = 60.0, solo: bool = False, project: int = 1) -> Segment:
    first = number * 1000
    rows = tuple(Line(first + n, f"c{first + n}", offset=0, length=10) for n in range(lines))
    return Segment(number, number, project, epoch=1, deadline_s=deadline_s, solo=solo, lines=rows)


def done(line: Line) -> Result:
    return Result(line=line, succeeded=True, data=f"{line.number}\n".encode(), status_code=200)


def refused(line: Line, retry_after_s: float | None = None, *, kind: str = "busy") -> Overloaded:
    result = Result(line=line, succeeded=False, data=f"{line.number} 429\n".encode(), status_code=429)
    return Overloaded(retry_after_s, result, Words(kind, 429, "rate_limit_exceeded", "Slow down."))


class FakeWork:
    """Serves `segments`; `answer(line, attempt)` says what sending comes to."""

    def __init__(
        self, segments: Sequence[Segment], answer: Callable[[Line, int], Outcome], *, ceiling: int = 8
    ) -> None:
        self.open = list(segments)
        self.answer = answer
        self.ceiling = ceiling
        self.pauses: list[Pause] = []
        self.signals: list[Signals] = []
        self.waits: dict[int, LineWait] = {}
        self.cuts: dict[int, Cut] = {}
        self.lock = threading.Lock()
        self.sent: list[int] = []
        self.out = self.most_out = 0
        self.flushed: list[Result] = []
        self.retried: list[Line] = []
        self.released: list[int] = []
        self.lost: set[int] = set()
        self.over: set[int] = set()
        self.halted: set[int] = set()
        self.orders: dict[int, Orders] = {}
        self.quota: int | None = None
        self.shares_given_back: list[int] = []
        self.probed: list[int] = []
        self.refuse_flush = False
        self.flush_errors: dict[int, Exception] = {}  # by the segment whose flush raises it
        self.flushes: list[int] = []

    def due(self, kinds: Collection[str]) -> Due:
        with self.lock:
            return Due(frozenset({LINES} & set(kinds) if self.open else ()))

    def claim(
        self, *, skip: Collection[Bar], full: Collection[int] = (), used_up: Collection[int] = ()
    ) -> tuple[Capacity, Segment] | None:
        bars = {bar.lane: bar for bar in skip}
        with self.lock:
            for found in self.open:
                bar = bars.get(Lane(found.project_id, CAPACITY))
                comes_first = bar is not None and bar.left_s is not None and found.priority > bar.priority
                if (bar is None or comes_first) and found.project_id not in full and found.batch_id not in used_up:
                    self.open.remove(found)
                    return CAPACITY, found
            return None

    def renew(self, segments: Sequence[Segment]) -> set[int]:
        return self.lost

    def stops(self, segments: Sequence[Segment]) -> Stops:
        return Stops(self.over, self.halted, self.orders)

    def release(self, segment: Segment) -> None:
        self.released.append(segment.id)

    def exchange(self, capacity: Capacity, *, held: int, wanted: int, signals: Signals) -> Grant:
        self.signals.append(signals)
        return Grant(limit=min(wanted, self.ceiling), pauses=self.pauses)

    def leave(self, capacity: Capacity) -> None:
        pass

    def share(self, batch_id: int, *, held: int, wanted: int) -> int | None:
        return None if self.quota is None else min(wanted, self.quota)

    def give_back_share(self, batch_id: int) -> None:
        self.shares_given_back.append(batch_id)

    def prepare(self, segment: Segment, line: Line) -> Any:
        return line

    def broken(self, segment: Segment, line: Line) -> Result:
        return Result(line=line, succeeded=False, data=b"broken\n", error_code="gateway_error")

    def probe(self, segment: Segment, line: Line) -> None:
        self.probed.append(line.number)

    def given_up(self, segment: Segment, line: Line, words: Words) -> Result:
        return Result(line=line, succeeded=False, data=b"given up\n", error_code=words.code)

    def note(self, news: Sequence[WaitNews]) -> None:
        for each in news:
            self.waits.update({wait.line.number: wait for wait in each.waits})
            for number in each.over:
                del self.waits[number]

    def send(
        self,
        request: Line,
        *,
        timeout_s: float,
        room: Callable[[int, float], bool],
        borrow: Callable[[int], bool],
        cut: Cut | None = None,
    ) -> Outcome:
        with self.lock:
            if cut is not None:
                self.cuts[request.number] = cut
            self.sent.append(request.number)
            self.out += 1
            self.most_out = max(self.most_out, self.out)
        try:
            return self.answer(request, self.sent.count(request.number))
        finally:
            with self.lock:
                self.out -= 1

    def flush(self, segment: Segment, results: Sequence[Result], retried: Sequence[Line], *, last: bool) -> bool:
        with self.lock:
            self.flushes.append(segment.id)
            if segment.id in self.flush_errors:
                raise self.flush_errors[segment.id]
            if self.refuse_flush:
                return False
            self.flushed += results
            self.retried += retried
        return True

    def plan(self) -> bool:
        return False

    def finalise(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def job(self) -> bool:
        return False

    def deliver(self) -> bool:
        return False

    def sweep(self) -> None:
        pass
