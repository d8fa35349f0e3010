"""A worker process: the embedded engine on this gateway's work, until SIGTERM or SIGINT."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

from sqlalchemy.exc import SQLAlchemyError

from app.data.batches import workers
from app.engine.embedded import Embedded, Options
from app.engine.parts import ALL
from app.engine.patience import Patience
from app.lib.threads import signals
from app.services.backups import fence
from app.services.gateway import Gateway
from app.services.leases import lease_ms
from app.services.metrics import server
from app.services.running import hints
from app.services.running.work import BatchWork
from app.services.upkeep import preflight
from app.settings import Settings
from app.wiring import build_gateway

WATCH_S = 2.0


def run(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT; a second signal stops at once. Returns the exit status."""
    gateway = build_gateway(settings)
    try:
        return serve(gateway)
    finally:
        gateway.metrics.close()
        gateway.traces.close()
        gateway.database.dispose()


def serve(gateway: Gateway) -> int:
    """As `run`, on an existing gateway. Raises SealError when its key ring does not belong to the store."""
    settings = gateway.settings
    preflight.require_ring(gateway)
    if not _wait_until_open(gateway):
        return 0
    gateway.metrics.start()
    port = server.start(gateway)
    name = f"{socket.gethostname()[:40]}:{os.getpid()}:{token_hex(3)}"
    engine = build_engine(gateway, name=name)
    signals.handle((signal.SIGTERM, signal.SIGINT), engine.stop)
    with gateway.database.write() as connection:
        host, leased_ms = socket.gethostname()[:255], lease_ms(settings)
        workers.register(connection, name=name, host=host, pid=os.getpid(), lease_ms=leased_ms)
    gateway.log.info("worker.started", worker=name, concurrency=settings.worker_concurrency)
    ended = threading.Event()
    watch = threading.Thread(target=_watch_store, args=(gateway, engine, ended), name="store", daemon=True)
    watch.start()
    engine.run()
    ended.set()
    port.close()
    if gateway.database.is_replaced():
        return 1
    with gateway.database.write() as connection:
        workers.unregister(connection, name=name)
    return 0 if fence.now(gateway.database).state == fence.OPEN else 1


def _watch_store(gateway: Gateway, engine: Embedded, ended: threading.Event) -> None:
    """Stop the worker when the store is closed, or when another file lies in its place, whose rows are not those."""
    while not ended.wait(WATCH_S):
        if gateway.database.is_replaced():
            gateway.log.error("database.replaced", reason="Another file lies where the database was; start again.")
            engine.stop()
            return
        with suppress(SQLAlchemyError):  # the engine's own work meets the same and says so
            if (found := fence.now(gateway.database)).state != fence.OPEN:
                gateway.log.error("store.closed", reason=fence.describe(found))
                engine.stop()
                return


def _wait_until_open(gateway: Gateway) -> bool:
    """Wait while the store is fenced or was moved. False when this process was asked to stop meanwhile."""
    found = fence.now(gateway.database)
    if found.state == fence.OPEN:
        return True
    gateway.log.warning("worker.waiting", reason=fence.describe(found))
    stop = threading.Event()
    signals.handle((signal.SIGTERM, signal.SIGINT), stop.set)
    while fence.now(gateway.database).state != fence.OPEN:
        if stop.wait(WATCH_S):
            return False
    gateway.log.info("store.opened")
    return True


def build_engine(
    gateway: Gateway,
    *,
    name: str,
    process: str | None = None,
    parts: frozenset[str] = ALL,
    hint: Callable[[str], None] | None = None,
) -> Embedded:
    """The engine with the options from the settings. `parts` are what it does.

    `hint` passes on what others can do; None: as a store can, and hints of others arrive in the same way. `process` is
    what its process is called in `workers`, where that is not the name of the engine.
    """
    settings = gateway.settings
    news = None if hint else hints.news(gateway)
    options = Options(
        concurrency=settings.worker_concurrency,
        budget_bytes=settings.inflight_bytes,
        chunk_bytes=settings.chunk_bytes,
        chunk_ms=settings.chunk_ms,
        lease_s=settings.lease_s,
        heartbeat_s=settings.heartbeat_s,
        poll_s=settings.poll_s,
        sweep_s=settings.sweep_s,
        drain_s=settings.drain_s,
        job_threads=settings.job_threads,
        patience=Patience(max_refused_s=settings.refused_s),
        parts=parts,
    )
    work = BatchWork(gateway, worker=name, process=process or name)
    hint = hint or gateway.hints.send
    return Embedded(work, options, clock=gateway.clock, log=gateway.log, hint=hint, news=news)
