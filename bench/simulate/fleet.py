"""Providers with limits of their own, and workers: the engine's real gates and schedulers, without its threads."""

import random
from collections import Counter, deque
from dataclasses import dataclass
from functools import partial

from app.engine.embedded import CLAIMS_PER_TICK, EXCHANGE_S, MAX_ALL_RUNS, MAX_IDLE_RUNS, MAX_RUNS
from app.engine.gate import Gate, Permit
from app.engine.outcomes import Line, Overloaded, Result, Words
from app.engine.run import ChunkRule, SegmentRun
from app.engine.scheduler import Scheduler
from app.engine.work import Capacity, Lane
from app.lib.clock import Clock
from bench.simulate.loop import Loop
from bench.simulate.plan import Plan
from bench.simulate.store import LEASE_S, Batch, Store

ANSWER = b"x" * 600
REFUSED_S = 0.05
TICK_S, IDLE_S = 0.1, 0.5
HEARTBEAT_S = 10.0
BUDGET_BYTES = 32 * 2**20


@dataclass(slots=True)
class Provider:
    """One model at one account, which takes `limit` lines at once and refuses more."""

    limit: int
    in_flight: int = 0
    most: int = 0
    answered: int = 0
    refused: int = 0
    line_s: float = 0.0


class Worker:
    """One worker process. A tick does what the engine's main loop does; each answer lets the next line go."""

    def __init__(self, number: int, plan: Plan, loop: Loop, store: Store, providers: list[Provider], seed: int) -> None:
        self.number, self.plan, self.loop, self.store, self.providers = number, plan, loop, store, providers
        self.dice = random.Random(seed)
        threads = plan.concurrency + max(4, plan.concurrency // 4)
        most = threads - max(2, plan.concurrency // 8)
        self.threads = threads
        self.scheduler = Scheduler(budget_bytes=BUDGET_BYTES, most_per_project=most)
        self.chunk = ChunkRule(max_bytes=2**20, max_wait_ms=plan.flush_ms)
        self.gates: dict[Capacity, Gate] = {}
        self.batches: dict[int, Batch] = {}  # by segment
        self.next_exchange: dict[Capacity, float] = {}
        self.next_heartbeat = HEARTBEAT_S
        self.next_claim = 0.0
        self.found_nothing = False
        self.waiting: deque[tuple[SegmentRun, Line]] = deque()  # taken, without a permit yet
        self.busy = 0  # threads that have a line
        self.cpu_free = 0.0
        self.cpu_s = self.line_s = 0.0

    def tick(self) -> None:
        """One turn of the main loop; the next comes when its transactions are through."""
        ends = max(self._retire(), self._claim(), self._exchange_all(), self._heartbeat())
        self._flush()
        self._pump()
        pause = TICK_S if self.scheduler.runs() else IDLE_S
        self.loop.at(max(ends, self.loop.now + pause), self.tick)

    def _heartbeat(self) -> float:
        now = self.loop.now
        runs = self.scheduler.runs()
        if now < self.next_heartbeat or not runs:
            return now
        self.next_heartbeat = now + HEARTBEAT_S
        for run in runs:
            run.renew(now + LEASE_S)
        return self.store.database.transact("renew", self.store.figures.renew_ms)

    def _retire(self) -> float:
        for run in self.scheduler.runs():
            if run.idle and not run.flushing and not run.unwritten:
                self.scheduler.remove(run)
                self.store.release(run.segment)
                del self.batches[run.segment.id]
        used = {id(run.gate) for run in self.scheduler.runs()}
        for key, gate in list(self.gates.items()):
            if id(gate) not in used and not gate.in_flight:
                self.store.leave(key, self.number)
                del self.gates[key]
                self.next_exchange.pop(key, None)
        return self.loop.now

    def _held(self, run: SegmentRun) -> bool:
        return bool(run.waiting) and (not run.ready or run.gate.holds_back(run.segment.project_id))

    def _saturated(self) -> list[Lane]:
        keys = {id(gate): key for key, gate in self.gates.items()}
        ready: Counter[Lane] = Counter()
        for run in self.scheduler.runs():
            if not self._held(run):
                ready[Lane(run.segment.project_id, keys[id(run.gate)])] += run.ready
        room = self.plan.concurrency
        return [lane for lane, lines in ready.items() if lines >= max(1, min(self.gates[lane.capacity].room, room))]

    def _hungry(self, saturated: list[Lane]) -> bool:
        return not self.gates or len({lane.capacity for lane in saturated}) < len(self.gates)

    def _claim(self) -> float:
        now = ends = self.loop.now
        saturated = self._saturated()
        if now < self.next_claim and (self.found_nothing or not self._hungry(saturated)):
            return now
        for _ in range(CLAIMS_PER_TICK):
            runs = self.scheduler.runs()
            idle = Counter(run.segment.project_id for run in runs if self._held(run))
            if len(runs) - idle.total() >= MAX_RUNS or len(runs) >= MAX_ALL_RUNS:
                break
            full = [project for project, number in idle.items() if number >= MAX_IDLE_RUNS]
            at, found = self.store.claim(skip=saturated, full=full)
            ends = max(ends, at)
            if found is None:
                self.found_nothing, self.next_claim = self._hungry(saturated), now + IDLE_S
                break
            self.found_nothing = False
            self._start(*found)
            saturated = self._saturated()
        return ends

    def _start(self, batch: Batch, segment: object) -> None:
        clock: Clock = self.loop
        gate = self.gates.get(batch.capacity)
        made = gate or Gate(clock)
        run = SegmentRun(segment, gate=made, clock=clock, lease_s=LEASE_S, claimed_at=self.loop.now)  # type: ignore[arg-type]
        self.gates[batch.capacity] = made
        self.batches[run.segment.id] = batch
        self.scheduler.add(run)
        if gate is None:
            self._exchange(batch.capacity, made)

    def _exchange_all(self) -> float:
        return max([self._exchange(key, gate) for key, gate in list(self.gates.items())], default=self.loop.now)

    def _exchange(self, key: Capacity, gate: Gate) -> float:
        now = self.loop.now
        if now < self.next_exchange.get(key, 0.0) and not gate.has_news:
            return now
        self.next_exchange[key] = now + EXCHANGE_S
        runs = [run for run in self.scheduler.runs() if run.gate is gate]
        waiting = sum(run.out + (1 if self._held(run) else run.waiting) for run in runs)
        wanted = min(self.plan.concurrency, waiting)
        ends, grant = self.store.exchange(
            key, self.number, held=gate.in_flight, wanted=wanted, signals=gate.drain_signals()
        )
        self.loop.at(ends, lambda: gate.granted(grant.limit, grant.pauses, is_shared=grant.is_shared))
        return ends

    def _pump(self) -> None:
        """Let lines go while there are threads, lines and permits."""
        for _ in range(len(self.waiting)):
            run, line = self.waiting.popleft()
            if not self._send(run, line):
                self.waiting.append((run, line))
        while self.busy < self.threads:
            taken = self.scheduler.take(timeout_s=0.0)
            if taken is None:
                return
            self.busy += 1
            if not self._send(*taken):
                self.waiting.append(taken)

    def _send(self, run: SegmentRun, line: Line) -> bool:
        permit = run.gate.enter(run.segment.project_id, timeout_s=0.0)
        if permit is None:
            return False
        batch, now = self.batches[run.segment.id], self.loop.now
        provider = self.providers[batch.capacity.account_id]
        cpu_s = self.store.figures.cpu_ms_per_line / 1000
        self.cpu_free = max(now, self.cpu_free) + cpu_s
        self.cpu_s += cpu_s
        if batch.first_sent is None:
            batch.first_sent = now
        provider.in_flight += 1
        provider.most = max(provider.most, provider.in_flight)
        refused = provider.in_flight > provider.limit
        takes_s = REFUSED_S if refused else self.dice.lognormvariate(0, 0.35) * self.plan.latency_s
        ends = self.cpu_free + takes_s
        provider.line_s += ends - now
        self.line_s += ends - now
        self.loop.at(ends, lambda: self._answered(run, line, permit, provider, refused=refused))
        return True

    def _answered(self, run: SegmentRun, line: Line, permit: Permit, provider: Provider, *, refused: bool) -> None:
        provider.in_flight -= 1
        gate = run.gate
        gate.leave(permit)
        if refused:
            provider.refused += 1
            end = Result(line, False, ANSWER, status_code=429)
            outcome = Overloaded(self.plan.retry_after_s, end, Words("busy", 429))
            again, delay_s = gate.refused(permit, line, (run.segment.batch_id, line.number), outcome)
            if gate.gives_up(again):
                run.finish(end)
            else:
                run.give_back(again, delay_s=delay_s, words=outcome.words)
        else:
            provider.answered += 1
            gate.answered(permit)
            run.finish(Result(line, True, ANSWER, status_code=200))
        self.scheduler.done(run, line)
        self.busy -= 1
        self._pump()

    def _flush(self) -> None:
        for run in self.scheduler.runs():
            if run.flushing or not run.ripe(self.chunk):
                continue
            run.flushing = True
            results, _ = run.drain()
            batch, lines = self.batches[run.segment.id], len(results)
            ends = self.store.flushed(batch, lines, lines * len(ANSWER))
            self.loop.at(ends, partial(self._written, run, batch, lines))

    def _written(self, run: SegmentRun, batch: Batch, lines: int) -> None:
        run.flushing = False
        run.written()
        self.store.end(batch, lines)
