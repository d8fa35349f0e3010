"""The entry of Celery: `celery -A app.celery_worker worker`, and `celery -A app.celery_worker beat` for one host.

A task says "look" and nothing more; what is taken up is decided by SQL. See `app.engine.on_demand`.
"""

import math
import os
import socket
import threading
from secrets import token_hex
from typing import Any

from celery.signals import worker_process_shutdown, worker_shutting_down
from sqlalchemy.exc import SQLAlchemyError

from app import logs
from app.data.batches import workers
from app.engine import hints
from app.engine.embedded import Embedded
from app.engine.on_demand import OnDemand
from app.engine.parts import DELIVER, JOBS, KINDS, LINES, UPKEEP
from app.services.backups import fence
from app.services.gateway import Gateway
from app.services.leases import lease_ms
from app.services.metrics import server
from app.services.running import due
from app.services.upkeep import preflight
from app.services.upkeep import sweep as upkeep_sweep
from app.services.webhooks.post import Postman
from app.settings import SettingsError, from_environment
from app.wiring import build_gateway
from app.worker import build_engine

# How often is looked for what became due while a batch runs, and while none does.
LOOK_S, QUIET_LOOK_S = 1.0, 10.0
LOOKS = round(QUIET_LOOK_S / LOOK_S)

settings = from_environment()
logs.configure(settings)
if not settings.broker_url:
    raise SettingsError("BATCHGATE_BROKER_URL is required: the URL of the broker, such as redis://127.0.0.1:6379/0.")
app = hints.make_celery(settings.broker_url)
app.conf.beat_scheduler = "celery.beat:Scheduler"  # two tasks that may run at any time: nothing to remember
app.conf.beat_schedule = {
    "look": {"task": hints.LOOK, "schedule": QUIET_LOOK_S, "options": {"expires": 2 * QUIET_LOOK_S}},
    "sweep": {"task": hints.SWEEP, "schedule": settings.sweep_s, "options": {"expires": settings.sweep_s}},
}


class Host:
    """The engines of this process, on a gateway that is built at the first task, so after a fork."""

    def __init__(self) -> None:
        self.gateway: Gateway = build_gateway(settings)
        preflight.require_ring(self.gateway)
        self.gateway.metrics.start()
        server.start(self.gateway)
        self.name = _name()
        self.postman = Postman(self.gateway, worker=self.name)
        self.engines = OnDemand(self._engine, clock=self.gateway.clock)
        self._seen_at = -math.inf
        self._closing = threading.Event()
        named = {"name": self.name, "host": socket.gethostname()[:255]}
        with self.gateway.database.write() as connection:
            workers.register(connection, **named, pid=os.getpid(), lease_ms=lease_ms(settings))
        self.gateway.log.info("worker.started", worker=self.name, engine="celery")

    def _engine(self, part: str) -> Embedded:
        # A name for each engine: one that stops gives back its permits, and not those of the next.
        parts = frozenset({part})
        return build_engine(self.gateway, name=_name(), process=self.name, parts=parts, hint=self.gateway.hints.send)

    def work(self, part: str) -> None:
        """Work on a part, and pass on what is left."""
        if not self.may_work():
            return
        if self.engines.work(part, for_s=settings.task_s):
            self.gateway.hints.send(part)

    def may_work(self) -> bool:
        """False while the store is fenced or was moved."""
        now = self.gateway.clock.monotonic()
        if now - self._seen_at >= settings.heartbeat_s:
            upkeep_sweep.seen(self.gateway, worker=self.name)
            self._seen_at = now
        found = fence.state(self.gateway)
        if found.state == fence.OPEN:
            if self.gateway.episodes.worked("store"):
                self.gateway.log.info("store.opened")
            return True
        if self.gateway.episodes.failed("store", found.state):
            self.gateway.log.warning("worker.waiting", reason=fence.describe(found))
        return False

    def look(self) -> bool:
        """Look into SQL for what is due, and send hints; one process does so, however many beats run.

        True when no batch runs, so that nothing becomes due by itself, or another process has the turn.
        """
        mine = self.gateway
        if not self.may_work() or not upkeep_sweep.take_turn(mine, "look", worker=self.name, for_s=LOOK_S * 0.9):
            return True
        found = due.find(mine, KINDS)
        if LINES in found.kinds:
            mine.hints.send(LINES)
        if found.kinds - {LINES, DELIVER}:
            mine.hints.send(JOBS)
        if DELIVER in found.kinds:
            mine.hints.send(UPKEEP)
        return found.is_quiet

    def look_again(self) -> None:
        """The looks until beat sends the next one. Not by messages that wait: a broker that goes away loses those."""
        for _ in range(LOOKS - 1):
            if self._closing.wait(LOOK_S):
                return
            try:
                if self.look():
                    return
            except SQLAlchemyError as error:
                self.gateway.log.error("worker.store_away", reason=f"{type(error).__name__}: {error}"[:512])

    def close(self) -> None:
        """Let lines that are out end; everything else is given back."""
        self._closing.set()
        self.engines.close()
        with self.gateway.database.write() as connection:
            workers.unregister(connection, name=self.name)
        self.gateway.metrics.close()
        self.gateway.traces.close()
        self.gateway.database.dispose()


_lock = threading.Lock()
_host: Host | None = None


def host() -> Host:
    """The host of this process."""
    global _host
    with _lock:
        if _host is None:
            _host = Host()
        return _host


@app.task(name=hints.QUEUES[LINES], queue=hints.QUEUES[LINES])
def run_lines() -> None:
    """Send lines while there are any."""
    host().work(LINES)


@app.task(name=hints.QUEUES[JOBS], queue=hints.QUEUES[JOBS])
def run_jobs() -> None:
    """Plan and finalise batches, and take the steps of jobs, while any is due."""
    host().work(JOBS)


@app.task(name=hints.QUEUES[UPKEEP], queue=hints.QUEUES[UPKEEP])
def deliver() -> None:
    """Deliver webhooks while any is due. Each look that finds more starts another task."""
    mine = host()
    if not mine.may_work():
        return
    ends = mine.gateway.clock.monotonic() + settings.task_s
    while mine.postman.deliver():
        if mine.gateway.clock.monotonic() >= ends:
            mine.gateway.hints.send(UPKEEP)
            return


@app.task(name=hints.LOOK)
def look() -> None:
    """Make up for hints that were lost, and look for what became due by itself."""
    mine = host()
    if not mine.look():
        threading.Thread(target=mine.look_again, name="look", daemon=True).start()


@app.task(name=hints.SWEEP)
def sweep() -> None:
    """Delete expired objects and leftovers, if it is this process's turn."""
    mine = host()
    if mine.may_work():
        upkeep_sweep.sweep_in_turn(mine.gateway, worker=mine.name)


@worker_process_shutdown.connect
def _leave_process(**_: Any) -> None:
    # A process of a pool ends as soon as this returns.
    if _host is not None:
        _host.close()


@worker_shutting_down.connect
def _leave(**_: Any) -> None:
    # A signal handler, where pools have no processes: nothing may wait here, but the interpreter waits for the thread.
    if _host is not None:
        threading.Thread(target=_host.close, name="close", daemon=False).start()


def _name() -> str:
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{token_hex(3)}"
