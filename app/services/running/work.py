"""What the engine sees of the store and the providers (app.engine.work.Work), for one worker process."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.blobs import BlobError, BlobMissingError
from app.connectors.contract.base import always_room
from app.data.batches import capacity as permits
from app.data.batches import job_facts, jobs, work, workers
from app.data.batches.jobs import JobLease
from app.engine.gate import Signals
from app.engine.outcomes import GATEWAY_ERROR, Line, NotReady, Outcome, Result, Words
from app.engine.run import Segment, WaitNews
from app.engine.work import Bar, Capacity, Due, Grant, Stops, StoreAwayError
from app.lib.metrics import declared
from app.lib.threads.cuts import Cut
from app.services import store_errors
from app.services.access import key_stop
from app.services.accounts import off_peak
from app.services.gateway import Gateway
from app.services.jobs import broken, harvest, poll, reconcile, submit
from app.services.leases import LeaseLostError, lease_ms
from app.services.line_files import line_files
from app.services.lines.send import LineCalls, Request
from app.services.running import capacity, due, finalise, index, plan, quotas, segments
from app.services.running.tracing import WorkerSpans
from app.services.running.turns import Task, Turns
from app.services.upkeep import sweep as upkeep_sweep
from app.services.webhooks.post import Postman

MAX_CRASHES = 3
# What the blob store could not do is tried again each second.
FAULT_S = 5.0
FAULT_LENGTH = 512
# The step that a job needs next, by its state.
JOB_STEPS: Mapping[str, Callable[[Gateway, JobLease], None]] = {
    "pending": submit.submit,
    "creating": reconcile.reconcile,
    "running": poll.poll,
    "ended": harvest.harvest,
    "unknown": reconcile.give_up,
}
PLANNING = Task("plan", plan.STATUSES, plan.plan, work.projects_to_plan, work.to_plan)
INDEXING = Task("index", index.STATUSES, index.index, work.projects_to_index, work.to_index)
FINALISING = Task("finalise", finalise.STATUSES, finalise.finalise, work.projects_to_finalise, work.to_finalise)


class BatchWork:
    """Everything that the worker called `worker` does with batches; its leases carry that name.

    `process` is what its process is called in `workers`, if that is another one.
    """

    def __init__(self, gateway: Gateway, *, worker: str, process: str | None = None) -> None:
        self._gateway = gateway
        self._worker = worker
        self._process = process or worker
        self._store = _Store(gateway, self._process)
        self._lines = LineCalls(gateway, lambda batch: line_files.of_batch(gateway, batch, worker=worker))
        self._plans = Turns(gateway, PLANNING, worker=worker)
        self._indexings = Turns(gateway, INDEXING, worker=worker)
        self._has_planned = False
        self._finalisings = Turns(gateway, FINALISING, worker=worker)
        self._postman = Postman(gateway, worker=worker)
        self._spans = WorkerSpans(gateway)
        self._jobs_lock = threading.Lock()
        self._jobs: set[JobLease] = set()

    def due(self, kinds: Collection[str]) -> Due:
        with self._store:
            return due.find(self._gateway, kinds)

    def claim(
        self, *, skip: Collection[Bar], full: Collection[int] = (), used_up: Collection[int] = ()
    ) -> tuple[Capacity, Segment] | None:
        with self._store:
            began = self._gateway.clock.monotonic()
            claimed = segments.claim(self._gateway, worker=self._worker, skip=skip, full=full, used_up=used_up)
            if claimed is None:
                return None
            self._note_step("claim", began)
            key, segment, suspect = claimed
            if suspect is not None:
                segment = self._without_poison(segment, suspect)
            if self._gateway.traces.is_on:
                self._spans.claimed(segment)
            return key, segment

    def renew(self, held: Sequence[Segment]) -> set[int]:
        with self._store:
            upkeep_sweep.seen(self._gateway, worker=self._process)
            self._store.forget_old()
            self._renew_jobs()
            self._plans.renew()
            self._indexings.renew()
            self._finalisings.renew()
            lost = segments.renew(self._gateway, held, worker=self._worker)
            if lost:
                self._gateway.metrics.count(declared.LEASES_LOST, "segment", by=len(lost))
                self._spans.lost(lost)
            key_stop.stop_some(self._gateway)
            off_peak.move_on(self._gateway)
            return lost

    def stops(self, held: Sequence[Segment]) -> Stops:
        with self._store:
            return segments.stops(self._gateway, held)

    def release(self, segment: Segment) -> None:
        with self._store:
            segments.release(self._gateway, segment, worker=self._worker)
            if self._gateway.traces.is_on:
                self._spans.released(segment)

    def exchange(self, key: Capacity, *, held: int, wanted: int, signals: Signals) -> Grant:
        with self._store:
            return capacity.exchange(self._gateway, key, worker=self._worker, held=held, wanted=wanted, signals=signals)

    def share(self, batch_id: int, *, held: int, wanted: int) -> int | None:
        with self._store:
            return quotas.share(self._gateway, batch_id, worker=self._worker, held=held, wanted=wanted)

    def give_back_share(self, batch_id: int) -> None:
        with self._store:
            quotas.give_back(self._gateway, batch_id, worker=self._worker)

    def leave(self, key: Capacity) -> None:
        with self._store, self._gateway.database.write() as connection:
            permits.leave(connection, account_id=key.account_id, model=key.model, worker=self._worker)

    def prepare(self, segment: Segment, line: Line) -> Request | Result:
        with self._store:
            return self._lines.prepare(segment, line)

    def send(
        self,
        request: Request,
        *,
        timeout_s: float,
        room: Callable[[int, float], bool] = always_room,
        borrow: Callable[[int], bool] = lambda _: True,
        cut: Cut | None = None,
    ) -> Outcome:
        began = self._gateway.clock.monotonic() if self._gateway.traces.is_on else 0.0
        if not request.references:
            return self._noted(request, self._lines.send(request, timeout_s=timeout_s, room=room, cut=cut), began)
        with self._store:
            ready = self._lines.fill(request, borrow=borrow)
        if not isinstance(ready, Request):
            return self._noted(request, ready, began)
        return self._noted(ready, self._lines.send(ready, timeout_s=timeout_s, room=room, cut=cut), began)

    def given_up(self, segment: Segment, line: Line, words: Words) -> Result:
        with self._store:
            return self._lines.given_up(segment, line, words)

    def note(self, news: Sequence[WaitNews]) -> None:
        with self._store:
            segments.note(self._gateway, news)

    def broken(self, segment: Segment, line: Line) -> Result:
        text = "The gateway failed to process this line; its log has the details."
        return self._lines.broken(segment, line, code=GATEWAY_ERROR, message=text)

    def probe(self, segment: Segment, line: Line) -> None:
        with self._store:
            segments.probe(self._gateway, segment, line, worker=self._worker)

    def flush(self, segment: Segment, results: Sequence[Result], retried: Sequence[Line], *, last: bool) -> bool:
        with self._store, self._gateway.metrics.timed(declared.STEP_SECONDS, "flush"):
            is_held = segments.flush(self._gateway, segment, results, retried, last=last, worker=self._worker)
        if not is_held:
            self._gateway.metrics.count(declared.LEASES_LOST, "segment")
        return is_held

    def plan(self) -> bool:
        with self._store:
            # First lines come before the rows of others, but those are not put off for ever by new batches.
            if self._has_planned and self._indexings.step():
                self._has_planned = False
                return True
            self._has_planned = self._plans.step()
            return self._has_planned or self._indexings.step()

    def finalise(self) -> bool:
        with self._store:
            ended = self._end_due()
            return self._finalisings.step() or ended

    def close(self) -> None:
        with self._store:
            self._plans.close()
            self._indexings.close()
            self._finalisings.close()

    def job(self) -> bool:
        with self._store:
            lease = self._claim_job()
            if lease is None:
                return False
            step, began = JOB_STEPS[lease.state], self._gateway.clock.monotonic()
            try:
                step(self._gateway, lease)
            except LeaseLostError:
                self._gateway.metrics.count(declared.LEASES_LOST, "job")
                self._gateway.log.info("job.lease_lost", **self._named(lease))
            except Exception as error:
                if not store_errors.passes(error):  # else the lease expires by itself
                    broken.put_off(self._gateway, lease, error)
                raise
            finally:
                self._note_step(step.__name__, began)
                if self._gateway.traces.is_on:
                    self._spans.stepped(lease, step.__name__, elapsed_s=self._gateway.clock.monotonic() - began)
                with self._jobs_lock:
                    self._jobs.remove(lease)
            return True

    def deliver(self) -> bool:
        with self._store:
            return self._postman.deliver()

    def sweep(self) -> None:
        with self._store:
            upkeep_sweep.sweep_in_turn(self._gateway, worker=self._worker)

    def _noted(self, request: Request, outcome: Outcome, began: float) -> Outcome:
        """The outcome; traced, and counted if the line has to be sent again."""
        if self._gateway.traces.is_on:
            self._spans.sent(request, outcome, elapsed_s=self._gateway.clock.monotonic() - began)
        if not isinstance(outcome, Result):
            account = self._gateway.accounts.by_id(request.batch.account_id)
            if account is not None:
                kind = "not_ready" if isinstance(outcome, NotReady) else outcome.words.kind
                self._gateway.metrics.count(declared.RETRIES, account.provider, account.shown_name, kind)
        return outcome

    def _note_step(self, step: str, began: float) -> None:
        self._gateway.metrics.observe(declared.STEP_SECONDS, self._gateway.clock.monotonic() - began, step)

    def _claim_job(self) -> JobLease | None:
        """Claim a due job. One account gets at most half of this process's job threads: its provider may hang."""
        max_per_account = max(1, self._gateway.settings.job_threads // 2)
        with self._jobs_lock:
            busy = Counter(held.account_id for held in self._jobs)
            full = [account_id for account_id, held in busy.items() if held >= max_per_account]
            with self._gateway.database.read() as connection:
                found = job_facts.next_due(connection, skip=full)
            if found is None:
                return None
            lease = JobLease.to_claim(found, self._worker)
            with self._gateway.database.write() as connection:
                if not jobs.claim(connection, lease, lease_ms=lease_ms(self._gateway.settings)):
                    return None
            self._jobs.add(lease)
            return lease

    def _named(self, lease: JobLease) -> dict[str, Any]:
        with self._gateway.database.read() as connection:
            facts = job_facts.find(connection, lease.id)
        return {"batch": facts.public_id, "job": facts.number}

    def _renew_jobs(self) -> None:
        with self._jobs_lock:
            held = list(self._jobs)
        if held:
            with self._gateway.database.write() as connection:
                jobs.renew(connection, held, worker=self._worker, lease_ms=lease_ms(self._gateway.settings))

    def _end_due(self) -> bool:
        with self._gateway.database.read() as connection:
            if not work.any_due(connection):
                return False
        with self._gateway.database.write() as connection:
            return work.end_due(connection) > 0

    def _without_poison(self, segment: Segment, suspect: int) -> Segment:
        """Count a worker's death against the line that it was sending alone; the third death fails the line.

        One death proves nothing: workers also die for reasons of their own.
        """
        sent = next((line for line in segment.lines if line.number == suspect), None)
        if sent is None:
            return segment
        others = tuple(line for line in segment.lines if line.number != suspect)
        tried = replace(sent, attempts=sent.attempts + 1, unknown_attempts=sent.unknown_attempts + 1)
        if tried.unknown_attempts < MAX_CRASHES:
            segments.blame(self._gateway, segment, tried, worker=self._worker)
            return replace(segment, lines=(*others, tried))
        text = f"{MAX_CRASHES} workers died while they ran this line alone."
        result = self._lines.broken(segment, tried, code="worker_crashed", message=text)
        segments.flush(self._gateway, segment, [result], (), last=False, worker=self._worker)
        self._gateway.log.error("line.poison", batch=segment.batch, line=suspect, reason=text)
        return replace(segment, lines=others)


class _Store:
    """Turns outages of the database and the blob store into StoreAwayError, which the engine retries.

    While the blob store is away, `workers` says so: it is why nothing goes on.
    """

    __slots__ = ("_fault_at", "_gateway", "_process")

    def __init__(self, gateway: Gateway, process: str) -> None:
        self._gateway = gateway
        self._process = process
        self._fault_at: float | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and store_errors.passes(error):
            if isinstance(error, BlobError) and not isinstance(error, BlobMissingError):
                self._note(store_errors.reason(error))
            raise StoreAwayError(store_errors.reason(error)) from error

    def forget_old(self) -> None:
        """Say that nothing is wrong any more: it would have failed again by now."""
        at = self._fault_at
        if at is not None and self._gateway.clock.monotonic() - at > FAULT_S and self._write(None):
            self._fault_at = None

    def _note(self, fault: str) -> None:
        is_news, self._fault_at = self._fault_at is None, self._gateway.clock.monotonic()
        if is_news and not self._write(fault):
            self._fault_at = None

    def _write(self, fault: str | None) -> bool:
        try:
            with self._gateway.database.write() as connection:
                workers.set_fault(connection, name=self._process, fault=fault and fault[:FAULT_LENGTH])
        except (DBAPIError, PoolTimeoutError):
            return False
        return True
