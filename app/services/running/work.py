"""The engine's view of the store and the providers (app.engine.work.Work), for one worker process."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.blobs import BlobError
from app.data.batches import capacity as permits
from app.data.batches import jobs, work
from app.data.batches.jobs import JobLease
from app.data.store.database import is_outage
from app.data.store.leases import Lease
from app.engine.gate import Signals
from app.engine.outcomes import Line, Outcome, Result
from app.engine.run import Segment
from app.engine.work import Capacity, Grant, StoreAwayError
from app.errors import UnavailableError
from app.services.access import key_stop
from app.services.gateway import Gateway
from app.services.jobs import harvest, poll, reconcile, submit, transition
from app.services.leases import LeaseLostError, lease_ms
from app.services.lines.send import LineCalls
from app.services.running import capacity, finalise, plan, segments
from app.services.upkeep import sweep as upkeep_sweep

CRASH_ATTEMPTS = 3
# What a job needs, by its state.
JOB_STEPS: Mapping[str, Callable[[Gateway, JobLease], None]] = {
    "pending": submit.submit,
    "creating": reconcile.reconcile,
    "running": poll.poll,
    "ended": harvest.harvest,
    "unknown": reconcile.give_up,
}


class BatchWork:
    """Everything a worker does with batches, under the name that its leases carry."""

    def __init__(self, gateway: Gateway, *, worker: str) -> None:
        self._gateway = gateway
        self._worker = worker
        self._lines = LineCalls(gateway)
        self._jobs_lock = threading.Lock()
        self._jobs: set[JobLease] = set()

    def claim(self, *, skip: Collection[Capacity]) -> tuple[Capacity, Segment] | None:
        with _store():
            found = segments.claim(self._gateway, worker=self._worker, skip=skip)
            if found is None:
                return None
            key, segment, suspect = found
            if suspect is not None:
                segment = self._without_poison(segment, suspect)
            return key, segment

    def renew(self, held: Sequence[Segment]) -> set[int]:
        with _store():
            upkeep_sweep.seen(self._gateway, worker=self._worker)
            self._renew_jobs()
            lost = segments.renew(self._gateway, held, worker=self._worker)
            key_stop.stop_some(self._gateway)
            return lost

    def ended(self, held: Sequence[Segment]) -> set[int]:
        with _store():
            return segments.ended(self._gateway, held)

    def release(self, segment: Segment) -> None:
        with _store():
            segments.release(self._gateway, segment, worker=self._worker)

    def exchange(self, asked: Capacity, *, held: int, wanted: int, signals: Signals) -> Grant:
        with _store():
            return capacity.exchange(
                self._gateway, asked, worker=self._worker, held=held, wanted=wanted, signals=signals
            )

    def leave(self, asked: Capacity) -> None:
        with _store(), self._gateway.database.write() as connection:
            permits.leave(connection, account_id=asked.account_id, model=asked.model, worker=self._worker)

    def prepare(self, segment: Segment, line: Line) -> Any:
        with _store():
            return self._lines.prepare(segment, line)

    def send(self, request: Any, *, timeout_s: float) -> Outcome:
        return self._lines.send(request, timeout_s=timeout_s)

    def broken(self, segment: Segment, line: Line) -> Result:
        text = "The gateway could not handle this line; the operator finds why in its log."
        return self._lines.broken(segment, line, code="gateway_error", message=text)

    def probe(self, segment: Segment, line: Line) -> None:
        with _store():
            segments.probe(self._gateway, segment, line, worker=self._worker)

    def flush(self, segment: Segment, results: Sequence[Result], retried: Sequence[Line], *, last: bool) -> bool:
        with _store():
            return segments.flush(self._gateway, segment, results, retried, last=last, worker=self._worker)

    def step(self) -> bool:
        with _store():
            ended = self._end_due()
            planned = self._move(work.to_plan, plan.plan, plan.STATUSES)
            finalised = self._move(work.to_finalise, finalise.finalise, finalise.STATUSES)
            return ended or planned or finalised

    def job(self) -> bool:
        with _store():
            lease = self._claim_job()
            if lease is None:
                return False
            try:
                JOB_STEPS[lease.state](self._gateway, lease)
            except LeaseLostError:
                self._gateway.log.info("job.lease_lost", job=lease.id)
            except (BlobError, UnavailableError, PoolTimeoutError, DBAPIError):
                raise  # the lease runs out by itself
            except Exception as error:
                transition.put_off(self._gateway, lease, error)
                raise
            finally:
                with self._jobs_lock:
                    self._jobs.remove(lease)
            return True

    def sweep(self) -> None:
        with _store():
            upkeep_sweep.sweep_in_turn(self._gateway, worker=self._worker)

    def _claim_job(self) -> JobLease | None:
        """A due job; no account gets more than half of this process's threads, so that one that hangs is not all."""
        most = max(1, self._gateway.settings.job_threads // 2)
        with self._jobs_lock:
            busy = Counter(held.account_id for held in self._jobs)
            with self._gateway.database.read() as connection:
                row = jobs.next_due(connection, skip=[account for account, held in busy.items() if held >= most])
            if row is None:
                return None
            lease = JobLease(row.id, row.epoch + 1, self._worker, row.batch_id, row.account_id, row.state)
            with self._gateway.database.write() as connection:
                if not jobs.claim(connection, lease, lease_ms=lease_ms(self._gateway.settings)):
                    return None
            self._jobs.add(lease)
            return lease

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

    def _move(self, find: Callable[..., Any], act: Callable[[Gateway, Lease], None], statuses: tuple[str, ...]) -> bool:
        with self._gateway.database.read() as connection:
            row = find(connection)
        if row is None:
            return False
        lease = Lease(id=row.id, epoch=row.epoch + 1, worker=self._worker)
        with self._gateway.database.write() as connection:
            if not work.claim(connection, lease, statuses=statuses, lease_ms=lease_ms(self._gateway.settings)):
                return False
        try:
            act(self._gateway, lease)
        except LeaseLostError:
            self._gateway.log.info("batch.lease_lost", batch=lease.id)
            with self._gateway.database.write() as connection:
                work.release(connection, lease)
        # After any other failure the lease runs out first, so that one batch that fails does not hold up the rest.
        return True

    def _without_poison(self, segment: Segment, suspect: int) -> Segment:
        """Count the death of a worker against the line that it was sending alone; at the third one the line fails.

        One death proves nothing: workers also die of what they have nothing to do with.
        """
        sent = next((line for line in segment.lines if line.number == suspect), None)
        if sent is None:
            return segment
        others = tuple(line for line in segment.lines if line.number != suspect)
        tried = replace(sent, attempts=sent.attempts + 1, unknown_attempts=sent.unknown_attempts + 1)
        if tried.unknown_attempts < CRASH_ATTEMPTS:
            segments.blame(self._gateway, segment, tried, worker=self._worker)
            return replace(segment, lines=(*others, tried))
        text = "Workers died while they ran this line alone."
        result = self._lines.broken(segment, tried, code="worker_crashed", message=text)
        segments.flush(self._gateway, segment, [result], (), last=False, worker=self._worker)
        self._gateway.log.error("line.poison", batch=segment.batch_id, line=suspect)
        return replace(segment, lines=others)


@contextmanager
def _store() -> Iterator[None]:
    """Outages of database and blob store in the engine's words."""
    try:
        yield
    except (BlobError, UnavailableError, PoolTimeoutError) as error:
        raise StoreAwayError(str(error)) from error
    except DBAPIError as error:
        if is_outage(error):
            raise StoreAwayError(str(error.orig)) from error
        raise
