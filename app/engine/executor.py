"""Threads that send lines, and threads that write their results."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.engine.gate import Permit
from app.engine.outcomes import Faulted, Line, NotReady, Outcome, Overloaded, Result, Words
from app.engine.room import Portion
from app.engine.run import ChunkRule, SegmentRun
from app.engine.scheduler import Scheduler, Taken
from app.engine.work import NotWrittenError, StoreAwayError, Work
from app.lib import failpoints
from app.lib.clock import Clock
from app.lib.threads.episodes import Episodes

TAKE_TIMEOUT_S = 0.5
PERMIT_TIMEOUT_S = 1.0
FIRST_RETRY_S = 0.5
MAX_RETRY_S = 30.0
FLUSH_LOOK_S = 0.025
STORE_AWAY_S = 0.5
FLUSH_THREADS = 4


@dataclass(frozen=True, slots=True)
class Unsent:
    """The line was not sent: it can never be (`result`), or it waits for another turn."""

    result: Result | None = None


class Executor:
    """Runs the scheduler's lines on `threads` threads until the scheduler is closed."""

    def __init__(
        self, work: Work, scheduler: Scheduler, *, clock: Clock, threads: int, chunk: ChunkRule, log: Any
    ) -> None:
        self._work = work
        self._scheduler = scheduler
        self._clock = clock
        self._log = log
        self._chunk = chunk
        self._episodes = Episodes()
        self._flush_lock = threading.Lock()
        self._over = threading.Event()
        self._never = threading.Event()
        self._has_results = threading.Event()
        self._senders = [self._thread(self._send_lines, f"line-{n}") for n in range(threads)]
        self._flushers = [self._thread(self._write_results, f"flush-{n}") for n in range(FLUSH_THREADS)]

    def start(self) -> None:
        """Start the threads."""
        for thread in (*self._senders, *self._flushers):
            thread.start()

    def stop(self, *, timeout_s: float) -> bool:
        """Wait for the lines in flight and write their results. False when some were still in flight at the end.

        Close the scheduler first. Lines that are cut off here run again elsewhere: their segments stay leased.
        """
        ends = self._clock.monotonic() + timeout_s
        for thread in self._senders:
            thread.join(max(0.0, ends - self._clock.monotonic()))
        drained = not any(thread.is_alive() for thread in self._senders)
        self._over.set()
        self._has_results.set()
        for thread in self._flushers:
            thread.join(max(1.0, ends - self._clock.monotonic()))
        return drained

    def _thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        return threading.Thread(target=target, name=name, daemon=True)

    def _send_lines(self) -> None:
        taken: Taken | None = None
        while not self._scheduler.closed:
            if taken is None:
                taken = self._scheduler.take(timeout_s=TAKE_TIMEOUT_S)
                continue
            try:
                self._run_line(*taken)
            except BaseException:
                self._scheduler.done(*taken)
                raise
            taken = self._scheduler.swap(*taken, timeout_s=TAKE_TIMEOUT_S)

    def _run_line(self, run: SegmentRun, line: Line) -> None:
        """Make one attempt; afterwards the run has either the result of the line, or the line itself to send again."""
        with self._scheduler.room.portion() as portion:
            self._try_line(run, line, portion)
        if not self._has_results.is_set():
            self._has_results.set()

    def _try_line(self, run: SegmentRun, line: Line, portion: Portion) -> None:
        try:
            outcome, permit = self._attempt(run, line, portion)
        except StoreAwayError as error:
            self._log.warning("line.store_away", batch=run.segment.batch, line=line.number, reason=str(error))
            run.give_back(line, delay_s=STORE_AWAY_S)
        except Exception:  # noqa: BLE001
            # A bug that one line triggers must end neither the thread nor the other lines.
            self._log.exception("line.broken", batch=run.segment.batch, line=line.number)
            self._end_broken(run, line)
        else:
            self._settle(run, line, outcome, permit)

    def _attempt(self, run: SegmentRun, line: Line, portion: Portion) -> tuple[Outcome | Unsent, Permit | None]:
        hopeless = run.gate.hopeless(run.segment.project_id, age_s=run.age_s)
        if hopeless is not None:
            return Unsent(self._work.given_up(run.segment, line, hopeless)), None
        request = self._work.prepare(run.segment, line)
        if isinstance(request, Result):
            return Unsent(request), None
        if run.segment.solo:
            self._work.probe(run.segment, line)
        permit = run.gate.enter(run.segment.project_id, timeout_s=PERMIT_TIMEOUT_S)
        if permit is None:
            return Unsent(), None
        cut = run.begin_call(line)
        try:
            if not run.sendable:
                return Unsent(), None
            failpoints.hit("line.sending")
            left_s = max(0.001, run.deadline - self._clock.monotonic())
            sent = self._work.send(request, timeout_s=left_s, room=portion.take, borrow=portion.borrow, cut=cut)
            return sent, permit
        finally:
            run.end_call(line)
            run.gate.leave(permit)

    def _end_broken(self, run: SegmentRun, line: Line) -> None:
        try:
            result = self._work.broken(run.segment, line)
        except StoreAwayError as error:
            self._log.warning("line.store_away", batch=run.segment.batch, line=line.number, reason=str(error))
            run.give_back(line, delay_s=STORE_AWAY_S)
        except Exception:  # noqa: BLE001
            # Not even its end can be written down; the thread and the other lines go on.
            self._log.exception("line.not_ended", batch=run.segment.batch, line=line.number)
            run.give_back(line, delay_s=MAX_RETRY_S)
        else:
            run.finish(result)

    def _settle(self, run: SegmentRun, line: Line, outcome: Outcome | Unsent, permit: Permit | None) -> None:
        if isinstance(outcome, Unsent) or permit is None:
            result = outcome.result if isinstance(outcome, Unsent) else None
            run.finish(result) if result else run.give_back(line)
        elif isinstance(outcome, NotReady):
            run.give_back(line, delay_s=outcome.delay_s, words=outcome.words)
        elif isinstance(outcome, Overloaded):
            self._settle_refused(run, line, outcome, permit)
        elif isinstance(outcome, Result):
            run.gate.answered(permit)
            run.finish(outcome.of(line.tried()))
        else:
            self._settle_fault(run, line, outcome)

    def _settle_refused(self, run: SegmentRun, line: Line, outcome: Overloaded, permit: Permit) -> None:
        segment, words = run.segment, outcome.words
        refused, delay_s = run.gate.refused(permit, line, (segment.batch_id, line.number), outcome)
        times = refused.refused.times if refused.refused else 0
        if run.gate.gives_up(refused):
            self._log.warning("line.given_up", **_of(run, line), refusals=times, **_said(words))
            run.finish(outcome.result.of(refused))
            return
        log = self._log.warning if self._is_news(run, words) else self._log.info
        log("line.refused", **_of(run, line), refusals=times, delay_s=round(delay_s, 1), **_said(words))
        run.give_back(refused, delay_s=delay_s, words=words)

    def _settle_fault(self, run: SegmentRun, line: Line, outcome: Faulted) -> None:
        tried = line.tried(cost_unknown=outcome.cost_unknown, most=outcome.most)
        if run.stopped:
            # Its batch has ended, so its call was cut: the attempt is written, and the line ends with its batch.
            run.give_back(tried, retried=True)
            return
        of, said = _of(run, line), _said(outcome.words)
        if tried.attempts >= outcome.max_attempts:
            self._log.warning("line.given_up", **of, attempts=tried.attempts, **said)
            run.finish(outcome.result.of(tried))
            return
        delay_s = _backoff_s(tried.attempts)
        log = self._log.warning if self._is_news(run, outcome.words) else self._log.info
        log("line.retried", **of, attempts=tried.attempts, delay_s=round(delay_s, 1), **said)
        run.give_back(tried, delay_s=delay_s, retried=True, words=outcome.words)

    def _is_news(self, run: SegmentRun, words: Words) -> bool:
        """True of the first failure of its kind in a batch."""
        return self._episodes.failed((run.segment.batch_id, words.kind, words.status_code, words.code))

    def _write_results(self) -> None:
        while True:
            run = self._ripe_run()
            if run is None:
                if self._over.is_set() and not self._unwritten():
                    return
                self._await_results()
                continue
            try:
                self._flush(run)
            finally:
                run.flushing = False
                self._scheduler.freed()

    def _await_results(self) -> None:
        """Wait for results, or for those that there are to be enough for a chunk."""
        if not self._over.is_set():
            self._has_results.clear()
            if not any(run.unwritten for run in self._scheduler.runs()):
                self._has_results.wait()
                return
        self._never.wait(FLUSH_LOOK_S)

    def _ripe_run(self) -> SegmentRun | None:
        with self._flush_lock:
            for run in self._scheduler.runs():
                if not run.flushing and run.ripe(self._chunk, at_once=self._over.is_set()):
                    run.flushing = True
                    return run
        return None

    def _unwritten(self) -> bool:
        return any(run.unwritten and not run.lost for run in self._scheduler.runs())

    def _flush(self, run: SegmentRun) -> None:
        if run.lost:
            run.drain()  # another worker may have the lines now, and its results count
            run.written()
            return
        last = run.idle
        results, retried = run.drain()
        try:
            if not self._work.flush(run.segment, results, retried, last=last):
                self._log.warning("segment.lost", batch=run.segment.batch, reason="Its lease is over.")
                run.lose()
            run.written()
        except StoreAwayError as error:
            self._log.warning("chunk.store_away", batch=run.segment.batch, reason=str(error))
            run.restore(results, retried, most_s=STORE_AWAY_S)
        except NotWrittenError as error:
            self._log.error("chunk.not_written", batch=run.segment.batch, lines=len(error.results), reason=str(error))
            self._keep(run, error.results, retried)
        except Exception:  # noqa: BLE001
            # Results are paid for: they are kept and written again while the lease holds; the trace shows the error.
            self._log.exception("chunk.not_written", batch=run.segment.batch)
            self._keep(run, results, retried)

    def _keep(self, run: SegmentRun, results: list[Result], retried: list[Line]) -> None:
        run.restore(results, retried, most_s=MAX_RETRY_S)
        if run.hopeless:
            reason = "They could not be written, and the batch is over."
            self._log.error("chunk.given_up", batch=run.segment.batch, lines=len(results), reason=reason)
            run.lose()


def _of(run: SegmentRun, line: Line) -> dict[str, Any]:
    return {"batch": run.segment.batch, "line": line.number, "account": run.segment.account}


def _said(words: Words) -> dict[str, Any]:
    """A refusal for the log, in its provider's words."""
    return {"status": words.status_code, "code": words.code or words.kind, "reason": words.message or words.kind}


def _backoff_s(attempts: int) -> float:
    # Jitter only spreads the retries of many lines, so it need not be unpredictable.
    jitter = random.uniform(0.5, 1.0)  # noqa: S311
    return min(MAX_RETRY_S, FIRST_RETRY_S * float(2 ** (attempts - 1))) * jitter
