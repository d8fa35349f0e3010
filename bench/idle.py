"""The CPU that a worker without work uses, of one core, over a minute: on both databases and with both engines.

With Celery all of its processes count, the one of beat included.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.databases import Stores, on_both
from bench.processes import cpu_s, family, until, worker
from bench.report import Report
from tests.support.celery import CeleryWorker
from tests.support.redis import Redis

DURATION_S, QUICK_S = 60.0, 10.0
# What a process does at its start does not count.
SETTLE_S = 8.0
LIMIT = ("<=", 0.3)


def run(report: Report, *, quick: bool) -> None:
    """Measure a worker of each engine on each database."""
    duration_s = QUICK_S if quick else DURATION_S

    def measure(report: Report, database: str, stores: Stores) -> None:
        for engine, start in (("embedded", _embedded), ("celery", _celery)):
            with stores(LOCAL_BASE_URL="http://127.0.0.1:9/v1") as gateway, start(gateway.settings.environment) as pid:
                time.sleep(SETTLE_S)
                used, started = cpu_s(family(pid)), time.monotonic()
                time.sleep(duration_s)
                share = (cpu_s(family(pid)) - used) / (time.monotonic() - started)
            report.add(f"{database}, {engine}: a core", share * 100, "%", target=LIMIT)

    on_both(report, measure)


@contextmanager
def _embedded(environment: Mapping[str, str]) -> Iterator[int]:
    with worker(environment) as process:
        until(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 1, what="thread")
        yield process.pid


@contextmanager
def _celery(environment: Mapping[str, str]) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="batchgate-bench-") as folder, Redis(Path(folder)) as redis:
        settings = {**environment, "BATCHGATE_ENGINE": "celery", "BATCHGATE_BROKER_URL": redis.url}
        with CeleryWorker(settings) as process:
            until(lambda: len(family(process.pid)) > 1, what="process of the pool")
            yield process.pid
