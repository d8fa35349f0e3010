"""The embedded engine: one process that claims segments from SQL and runs them, without a broker."""

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from app.engine.executor import Executor
from app.engine.gate import Gate
from app.engine.looking import Look, News, NoNews
from app.engine.parts import ALL, DELIVER, FINALISE, JOB, JOBS, LINES, PLAN, UPKEEP
from app.engine.patience import Patience
from app.engine.run import ChunkRule, SegmentRun
from app.engine.scheduler import Scheduler, is_held, saturated
from app.engine.shares import Quotas
from app.engine.steps import STORE_AWAY_S, Steps
from app.engine.work import Bar, Capacity, Due, StoreAwayError, Work
from app.lib.clock import Clock

EXCHANGE_S = 1.0
NOTE_EVERY_S = 1.0
MAX_NOTES = 500
MAX_RUNS = 64
# Runs whose lines all wait (refused, paused) are held besides, but of one project only so many.
MAX_IDLE_RUNS = 8
MAX_ALL_RUNS = 4 * MAX_RUNS
CLAIMS_PER_TICK = 8
# Threads that plan, and as many that finalise: one that waits for the store leaves the others to another.
STEP_THREADS = 2
DELIVERY_THREADS = 4
# How long lines of a batch that was cancelled may still be sent.
LOOK_FOR_ENDED_S = 0.25


@dataclass(frozen=True, slots=True)
class Options:
    """How one worker process works. Times in seconds, sizes in bytes."""

    concurrency: int
    budget_bytes: int
    chunk_bytes: int
    chunk_ms: int
    lease_s: float
    heartbeat_s: float
    poll_s: float
    sweep_s: float
    drain_s: float
    job_threads: int = 1
    patience: Patience = Patience()
    parts: frozenset[str] = ALL


def no_hint(_part: str) -> None:
    """Nobody else has to know."""


class Embedded:
    """`run` works until `stop`, with at most `options.concurrency` lines in flight."""

    def __init__(
        self,
        work: Work,
        options: Options,
        *,
        clock: Clock,
        log: Any,
        hint: Callable[[str], None] = no_hint,
        news: News | None = None,
    ) -> None:
        self._hint = hint
        self._is_called = True  # to claim lines
        self._work = work
        self._options = options
        self._clock = clock
        self._log = log
        # A quarter more threads than permits, so that some parse answers while the others send.
        threads = options.concurrency + max(4, options.concurrency // 4)
        most = threads - max(2, options.concurrency // 8)
        self._scheduler = Scheduler(budget_bytes=options.budget_bytes, most_per_project=most)
        chunk = ChunkRule(max_bytes=options.chunk_bytes, max_wait_ms=options.chunk_ms)
        self._executor = Executor(work, self._scheduler, clock=clock, threads=threads, chunk=chunk, log=log)
        self._gates: dict[Capacity, Gate] = {}
        self._next_exchange: dict[Capacity, float] = {}
        self._quotas = Quotas(every_s=min(EXCHANGE_S, options.heartbeat_s))
        self._next_heartbeat = self._next_note = self._next_look = self._next_claim = 0.0
        self._found_nothing = self._is_held_back = False
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._looked_at = self._claimed_at = 0.0
        self._steps = self._kinds()
        self._looks = Look(self._find_due, news or NoNews(), poll_s=options.poll_s, clock=clock, log=log)

    def stop(self) -> None:
        """Claim no more segments, and end when the lines in flight have."""
        self._stopping.set()
        self._news.set()
        for steps in self._steps.values():
            steps.stop()
        self._looks.stop()

    def look(self) -> None:
        """Look for work now, since there may be some."""
        self._is_held_back = False
        self._looked_at = self._clock.monotonic()
        self._found_nothing = False
        self._look_for_lines()
        for steps in self._steps.values():
            steps.wake()

    def hold_back(self) -> None:
        """Take up nothing new until the next `look`; what was begun goes on."""
        self._is_held_back = True

    @property
    def is_idle(self) -> bool:
        """True when everything was looked for since the last `look`, nothing was found, and nothing is under way."""
        is_idle = all(steps.is_idle(since=self._looked_at) for steps in self._steps.values())
        return is_idle and not self.is_running and self._has_no_lines()

    @property
    def is_running(self) -> bool:
        """True while lines of this process wait or are out."""
        return bool(self._scheduler.runs())

    def _has_no_lines(self) -> bool:
        return LINES not in self._options.parts or (self._found_nothing and self._claimed_at >= self._looked_at)

    def run(self) -> None:
        """Work until `stop`; returns when all results are written, or the time to drain has passed."""
        self._executor.start()
        for steps in self._steps.values():
            steps.start()
        self._looks.start()
        while not self._stopping.is_set():
            if not self._guarded(self._tick):
                self._await_news()
        self._drain()

    def _guarded(self, act: Callable[[], bool]) -> bool:
        try:
            return act()
        except StoreAwayError as error:
            self._log.error("worker.store_away", reason=str(error))
        except Exception:  # noqa: BLE001
            # The worker must survive any single batch; the trace shows which one failed.
            self._log.exception("worker.loop_failed", loop=act.__name__)
        self._stopping.wait(STORE_AWAY_S)
        return True

    def _kinds(self) -> dict[str, Steps]:
        options, found = self._options, {}
        if JOBS in options.parts:
            found[PLAN] = self._of_kind(self._plan, PLAN, STEP_THREADS)
            found[FINALISE] = self._of_kind(self._finalise, FINALISE, STEP_THREADS)
            found[JOB] = self._of_kind(self._job, JOB, options.job_threads)
        if UPKEEP in options.parts:
            found[UPKEEP] = self._of_kind(self._sweep, UPKEEP, 1, every_s=options.sweep_s)
            found[DELIVER] = self._of_kind(self._work.deliver, DELIVER, DELIVERY_THREADS)
        return found

    def _of_kind(self, act: Callable[[], bool], name: str, threads: int, *, every_s: float | None = None) -> Steps:
        return Steps(act, name, threads=threads, clock=self._clock, log=self._log, every_s=every_s)

    def _find_due(self, heard: Collection[str]) -> Due:
        """Wake whatever has something to do. While lines run here, the claims go on by themselves."""
        kinds = set(self._steps) - {UPKEEP}
        if LINES in self._options.parts and not self._is_held_back and (LINES in heard or not self.is_running):
            kinds.add(LINES)
        due = self._work.due(kinds)
        self._wake(*due.kinds)
        if LINES in due.kinds:
            self._look_for_lines()
        return due

    def _wake(self, *kinds: str) -> None:
        """Let steps of these kinds be looked for, as far as this process takes them."""
        for kind in kinds:
            if kind in self._steps:
                self._steps[kind].wake()

    def _look_for_lines(self) -> None:
        self._is_called = True
        self._news.set()

    def _await_news(self) -> None:
        """Wait for segments, but not longer than may be: leases are renewed, and permits exchanged."""
        left_s = self._next_heartbeat - self._clock.monotonic()
        self._news.wait(max(0.0, min(self._options.poll_s, left_s) if self._gates else left_s))
        self._news.clear()

    def _plan(self) -> bool:
        if self._is_held_back:
            return False
        is_planned = self._work.plan()
        if is_planned:  # there may be new segments or jobs, or it failed
            self._look_for_lines()
            self._wake(JOB, DELIVER)
            self._hint(LINES)
        return is_planned

    def _finalise(self) -> bool:
        if self._is_held_back or not self._work.finalise():
            return False
        self._wake(DELIVER)
        return True

    def _job(self) -> bool:
        if self._is_held_back or not self._work.job():
            return False
        self._wake(FINALISE, DELIVER)  # it may have been the last of its batch
        return True

    def _sweep(self) -> bool:
        self._work.sweep()
        return False

    def _tick(self) -> bool:
        self._heartbeat()
        self._stop_ended()
        self._note_waits()
        self._retire()
        claimed = self._claim_due() and self._claim()
        for capacity, gate in list(self._gates.items()):
            self._exchange(capacity, gate)
        self._agree()
        # While lines run, look often enough to have the next segment before the last one runs dry.
        if not claimed and self._scheduler.runs():
            self._stopping.wait(min(0.05, self._options.poll_s))
            return True
        return claimed

    def _heartbeat(self) -> None:
        now = self._clock.monotonic()
        if now < self._next_heartbeat:
            return
        self._next_heartbeat = now + self._options.heartbeat_s
        runs = self._scheduler.runs()
        lost = self._work.renew([run.segment for run in runs])
        for run in runs:
            if run.segment.id in lost:
                run.lose()
            else:
                run.renew(now + self._options.lease_s)

    def _stop_ended(self) -> None:
        runs, now = self._scheduler.runs(), self._clock.monotonic()
        for run in runs:
            if now >= run.deadline:
                run.stop()
        if not runs or now < self._next_look:
            return
        self._next_look = now + min(LOOK_FOR_ENDED_S, self._options.poll_s)
        stops = self._work.stops([run.segment for run in runs])
        for run in runs:
            if run.segment.id in stops.over:
                run.stop()
            elif run.segment.id in stops.halted:
                run.halt()
        self._scheduler.follow(stops.orders, self._quotas, now=now)

    def _note_waits(self) -> None:
        """Record which lines run for long or wait to be sent again, about once a second."""
        now = self._clock.monotonic()
        if now < self._next_note:
            return
        self._next_note = now + NOTE_EVERY_S
        news = [run.news(limit=MAX_NOTES) for run in self._scheduler.runs() if not run.lost]
        if changed := [each for each in news if each is not None]:
            self._work.note(changed)

    def _retire(self) -> None:
        for run in self._scheduler.runs():
            if run.idle and not run.flushing and (run.lost or not run.unwritten):
                over = None if run.lost else run.news(limit=MAX_NOTES)
                if over is not None:
                    self._work.note([over])
                self._scheduler.remove(run)
                if not run.lost:
                    self._work.release(run.segment)
                self._note_end()
        runs = self._scheduler.runs()
        self._quotas.keep(self._work, {run.segment.batch_id for run in runs})
        busy = {id(run.gate) for run in runs}
        for capacity, gate in list(self._gates.items()):
            if id(gate) not in busy and not gate.in_flight:
                self._work.leave(capacity)
                del self._gates[capacity]
                self._next_exchange.pop(capacity, None)

    def _note_end(self) -> None:
        """A segment has ended: it may have been the last of its batch."""
        if FINALISE in self._steps:
            self._steps[FINALISE].wake()
        else:
            self._hint(JOBS)

    def _claim_due(self) -> bool:
        """True when it is time to ask for segments: lines run out here, or nobody has asked for a while.

        An answer that there are none holds until then, however hungry this process is.
        """
        if self._is_held_back or LINES not in self._options.parts:
            return False
        if self._is_called or self._clock.monotonic() >= self._next_claim:
            self._is_called = False  # before the claim, so that no later call is missed
            return True
        return not self._found_nothing and self._is_hungry()

    def _is_hungry(self) -> bool:
        return not self._gates or len({bar.lane.capacity for bar in self._saturated()}) < len(self._gates)

    def _claim(self) -> bool:
        for claimed in range(CLAIMS_PER_TICK):
            runs = self._scheduler.runs()
            idle = Counter(run.segment.project_id for run in runs if is_held(run))
            if self._stopping.is_set() or len(runs) - idle.total() >= MAX_RUNS or len(runs) >= MAX_ALL_RUNS:
                return claimed > 0
            full = [project_id for project_id, count in idle.items() if count >= MAX_IDLE_RUNS]
            at, hungry = self._clock.monotonic(), self._is_hungry()
            leased = self._work.claim(skip=self._saturated(), full=full, used_up=self._quotas.used_up(runs))
            if leased is None:
                self._found_nothing, self._next_claim = hungry, at + self._options.poll_s
                self._claimed_at = at
                return claimed > 0
            capacity, segment = leased
            gate = self._gates.get(capacity)
            run = SegmentRun(
                segment,
                gate=gate or Gate(self._clock, self._options.patience),
                clock=self._clock,
                lease_s=self._options.lease_s,
                claimed_at=at,
                quota=self._quotas.of(segment.batch_id),
            )
            self._gates[capacity] = run.gate
            self._quotas.limited(segment.batch_id, is_limited=segment.is_limited)
            self._scheduler.add(run)
            if gate is None:
                self._exchange(capacity, run.gate)
            self._agree()
        self._hint(LINES)  # there are more than this process takes at once
        return True

    def _saturated(self) -> list[Bar]:
        keys = {id(gate): key for key, gate in self._gates.items()}
        runs = [(run, keys[id(run.gate)]) for run in self._scheduler.runs()]
        return saturated(runs, most=self._options.concurrency, now=self._clock.monotonic())

    def _agree(self) -> None:
        now, most = self._clock.monotonic(), self._options.concurrency
        if self._quotas.agree(self._work, self._scheduler.runs(), now=now, most=most):
            self._scheduler.wake()

    def _exchange(self, capacity: Capacity, gate: Gate) -> None:
        now = self._clock.monotonic()
        if now < self._next_exchange.get(capacity, 0.0) and not gate.has_news:
            return
        self._next_exchange[capacity] = now + min(EXCHANGE_S, self._options.heartbeat_s)
        runs = [run for run in self._scheduler.runs() if run.gate is gate]
        waiting = sum(run.out + (1 if is_held(run) else run.waiting) for run in runs)
        grant = self._work.exchange(
            capacity, held=gate.in_flight, wanted=min(self._options.concurrency, waiting), signals=gate.drain_signals()
        )
        gate.granted(grant.limit, grant.pauses, is_shared=grant.is_shared, version=grant.version)
        self._scheduler.wake()

    def _drain(self) -> None:
        self._log.info("worker.draining", out=sum(run.out for run in self._scheduler.runs()))
        self._scheduler.close()
        drained_or_cut = threading.Event()
        keeper = threading.Thread(target=self._keep_leases, args=(drained_or_cut,), name="keeper", daemon=True)
        keeper.start()
        drained = self._executor.stop(timeout_s=self._options.drain_s)
        ends = self._clock.monotonic() + self._options.drain_s
        for steps in self._steps.values():
            steps.join(ends - self._clock.monotonic())
        self._looks.join(max(STORE_AWAY_S, ends - self._clock.monotonic()))  # it asks one short query
        drained_or_cut.set()
        keeper.join()
        try:
            for run in self._scheduler.runs():
                if run.out == 0 and not run.lost and not run.unwritten:
                    self._work.release(run.segment)
            for capacity in self._gates:
                self._work.leave(capacity)
            self._work.close()
        except StoreAwayError as error:
            self._log.error("worker.store_away", reason=str(error))
        self._log.info("worker.stopped", drained=drained)

    def _keep_leases(self, over: threading.Event) -> None:
        while not over.wait(self._options.heartbeat_s / 2):
            try:
                self._heartbeat()
            except StoreAwayError as error:
                self._log.error("worker.store_away", reason=str(error))
