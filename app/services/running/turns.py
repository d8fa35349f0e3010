"""Turns: a worker plans many batches at once, and finalises many, a slice of time for each.

A batch that takes long is put aside after its slice, with all that was done, so that it holds up nobody. Who is next:
projects in turn, whatever each has waiting; of a project's new batches the one with the smallest input.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.blobs import BlobMissingError
from app.data.batches import work
from app.data.batches.work import DueBatch
from app.data.store.leases import Lease
from app.lib.metrics import declared
from app.lib.traces.spans import Span
from app.services import store_errors
from app.services.gateway import Gateway
from app.services.leases import LeaseLostError, lease_ms, require
from app.services.running import surrender

SLICE_S = 0.25
# Batches that are put aside cost memory: a buffer and an open file each. A project's first does not count.
MAX_OPEN = 16


@dataclass(frozen=True, slots=True)
class Task:
    """What is done with batches in `statuses`, by a generator that yields wherever it may be put aside.

    At a yield it is in no transaction and holds no connection. `projects` and `due` find what waits.
    `name` is the step's in metrics.
    """

    name: str
    statuses: tuple[str, ...]
    act: Callable[[Gateway, Lease], Generator[None]]
    projects: Callable[[Connection], Sequence[int]]
    due: Callable[[Connection, int], Sequence[DueBatch]]


@dataclass(slots=True, eq=False)
class _Open:
    """A batch that this worker has begun."""

    lease: Lease
    project_id: int
    due: DueBatch
    steps: Generator[None]
    is_busy: bool = True
    is_lost: bool = False
    turn: int = 0


class Turns:
    """The batches that the worker called `worker` has begun; any number of threads call `step`."""

    def __init__(self, gateway: Gateway, task: Task, *, worker: str) -> None:
        self._gateway = gateway
        self._task = task
        self._worker = worker
        self._claiming = threading.Lock()
        self._lock = threading.Lock()
        self._open: list[_Open] = []
        self._turn = 0
        self._prefers_open = False
        self._served: dict[int, int] = {}

    def step(self) -> bool:
        """Give one batch a slice of time. False when there is none that waits."""
        opened = self._next()
        if opened is None:
            return False
        try:
            if self._measured(opened):
                self._put_aside(opened)
                return True
        except LeaseLostError:
            self._gateway.metrics.count(declared.LEASES_LOST, "batch")
            self._gateway.log.info("batch.lease_lost", batch=opened.due.public_id)
            self._release(opened)
        except Exception as error:
            if store_errors.passes(error) and not isinstance(error, BlobMissingError):
                self._release(opened)
                raise
            self._failed(opened, error)
        self._forget(opened)
        return True

    def renew(self) -> None:
        """Renew the leases, whatever the threads are doing; a batch whose lease is lost goes no further."""
        with self._lock:
            held = list(self._open)
        if not held:
            return
        leases = [opened.lease for opened in held]
        with self._gateway.database.write() as connection:
            kept = work.renew(
                connection,
                leases,
                worker=self._worker,
                statuses=self._task.statuses,
                lease_ms=lease_ms(self._gateway.settings),
            )
        for opened in held:
            opened.is_lost = opened.lease.id not in kept

    def close(self) -> None:
        """Give back the batches that were put aside: this process does no more."""
        with self._lock:
            idle = [opened for opened in self._open if not opened.is_busy]
        for opened in idle:
            self._release(opened)

    def _next(self) -> _Open | None:
        """New batches and those that were put aside, alternately: neither kind can starve the other."""
        with self._lock:
            self._prefers_open = not self._prefers_open
            resumed = self._resumed() if self._prefers_open else None
        if resumed is not None:
            return resumed
        with self._claiming:
            begun = self._begin()
        if begun is not None:
            return begun
        with self._lock:
            return self._resumed()

    def _resumed(self) -> _Open | None:
        idle = [opened for opened in self._open if not opened.is_busy]
        if not idle:
            return None
        opened = min(idle, key=lambda each: (self._served.get(each.project_id, 0), each.turn))
        self._note_turn(opened)
        return opened

    def _begin(self) -> _Open | None:
        """Claim a new batch, of the project that was served longest ago."""
        with self._gateway.database.read() as connection:
            projects = self._task.projects(connection)
        with self._lock:
            projects = sorted(projects, key=lambda project_id: self._served.get(project_id, 0))
            full = {opened.project_id for opened in self._open} if len(self._open) >= MAX_OPEN else set()
        for project_id in projects:
            if project_id in full:
                continue
            with self._gateway.database.read() as connection:
                candidates = self._task.due(connection, project_id)
            for due in candidates:
                lease = Lease(due.id, due.epoch + 1, self._worker)
                if self._claimed(lease):
                    return self._opened(lease, due, project_id)
        return None

    def _claimed(self, lease: Lease) -> bool:
        statuses, leased_ms = self._task.statuses, lease_ms(self._gateway.settings)
        with self._gateway.database.write() as connection:
            return work.claim(connection, lease, statuses=statuses, lease_ms=leased_ms)

    def _opened(self, lease: Lease, due: DueBatch, project_id: int) -> _Open:
        opened = _Open(lease, project_id, due, self._task.act(self._gateway, lease))
        with self._lock:
            self._open.append(opened)
            self._note_turn(opened)
        return opened

    def _note_turn(self, opened: _Open) -> None:
        self._turn += 1
        opened.is_busy = True
        opened.turn = self._served[opened.project_id] = self._turn

    def _is_cut_short(self, opened: _Open) -> bool:
        """Go on with a batch until it is done, or its slice is over (True). Raises what went wrong with it."""
        clock = self._gateway.clock
        ends = clock.monotonic() + SLICE_S
        for _ in opened.steps:
            require(not opened.is_lost)
            if clock.monotonic() >= ends:
                return True
        return False

    def _measured(self, opened: _Open) -> bool:
        """As `_is_cut_short`, for metrics and traces, too."""
        began = self._gateway.clock.monotonic()
        try:
            return self._is_cut_short(opened)
        finally:
            elapsed_s = self._gateway.clock.monotonic() - began
            self._gateway.metrics.observe(declared.STEP_SECONDS, elapsed_s, self._task.name)
            if self._gateway.traces.is_on:
                self._gateway.traces.add(Span(opened.due.public_id, self._task.name, elapsed_s))

    def _put_aside(self, opened: _Open) -> None:
        with self._lock:
            opened.is_busy = False

    def _forget(self, opened: _Open) -> None:
        with self._lock:
            if opened in self._open:
                self._open.remove(opened)

    def _release(self, opened: _Open) -> None:
        """Give the batch back, for another try at once; while the store is away, its lease has to expire."""
        self._forget(opened)
        opened.steps.close()
        with suppress(DBAPIError, PoolTimeoutError), self._gateway.database.write() as connection:
            work.release(connection, opened.lease)

    def _failed(self, opened: _Open, error: Exception) -> None:
        """Leave the batch to another try when its lease has expired, or end it after the last one."""
        if surrender.is_hopeless(opened.due, error):
            with suppress(LeaseLostError):
                surrender.fail(self._gateway, opened.lease, error, statuses=self._task.statuses)
        else:
            self._gateway.log.error("batch.step_failed", batch=opened.due.public_id, exc_info=error)
