"""A limit of 1,000 requests a minute over 4 web processes: how exactly it holds under triple load, and its cost."""

import http.client
import threading
import time
from bisect import bisect_left
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from app.services.access import keys
from app.services.limits import limits
from bench.processes import Web
from bench.report import Report
from bench.store import Store
from tests.support import postgres

LIMIT = 1000
WINDOW_S = 60.0
DURATION_S = 125.0
LOAD_PER_S = 50.0
CLIENTS = 20
PROCESSES = 4
CALLS = 100_000


def run(report: Report, *, quick: bool) -> None:
    """Measure both databases. `quick` only measures the cost of a check, since the window is a minute long."""
    with Store(LOCAL_BASE_URL="http://127.0.0.1:9/v1") as store:
        _cost(report, store)
        if not quick:
            _hold(report, store, "SQLite")
    if quick:
        report.notes.append("Skipped: how exactly the limit holds, since its window is a minute long.")
        return
    with ExitStack() as stack:
        server = postgres.Postgres()
        stack.callback(server.stop)
        url = postgres.create()
        stack.callback(postgres.drop, url)
        secret = {"DATABASE_URL": url, "BATCHGATE_SECRET_KEY": "bench"}
        _hold(report, stack.enter_context(Store(LOCAL_BASE_URL="http://127.0.0.1:9/v1", **secret)), "PostgreSQL")


def _cost(report: Report, store: Store) -> None:
    """Measure one `check_request`, without limits and with limits that are never reached."""
    bounds = {limits.REQUESTS: 10**9}
    free, bound = store.caller, replace(store.caller, limits=bounds, project_limits=bounds)
    for name, caller in (("check_request, no limit", free), ("check_request, key and project limited", bound)):
        started = time.perf_counter()
        for _ in range(CALLS):
            limits.check_request(store.gateway, caller)
        report.add(name, (time.perf_counter() - started) / CALLS * 1e6, "us")


def _hold(report: Report, store: Store, name: str) -> None:
    key = keys.create(store.gateway, project="bench", name="limited", limits={limits.REQUESTS: LIMIT}).key
    environment = {**store.environment, "WEB_CONCURRENCY": str(PROCESSES)}
    with Web("wsgi:app", environment=environment, log=Path(store.home) / "limited.log") as web:
        admitted, rejected = _send_load(web.url, key)
    counts = _windows(admitted)
    for minute, begins in (("first", admitted[0]), ("second", admitted[0] + WINDOW_S)):
        count = _count(admitted, begins)
        report.add(f"{name}: let in within the {minute} minute", count, "", baseline=LIMIT, target=(">=", 0.99))
    report.add(f"{name}: most in any 60 s", max(counts), "", baseline=LIMIT, target=("<=", 1.01))
    # Capacity returns at the times it was used a minute ago; a request that arrives slightly earlier is rejected.
    report.add(f"{name}: fewest in any 60 s", min(counts), "", baseline=LIMIT)
    report.add(f"{name}: requests refused", rejected, "")


def _send_load(url: str, key: str) -> tuple[list[float], int]:
    """Return the times at which requests were admitted, in order, and the number of rejected requests."""
    admitted: list[float] = []
    rejected: list[float] = []
    started = time.monotonic()

    def client(number: int) -> None:
        host, turn = urlsplit(url).netloc, number
        while (due := started + turn / LOAD_PER_S) < started + DURATION_S:
            time.sleep(max(0.0, due - time.monotonic()))
            # A connection per request, so that requests reach all processes.
            connection = http.client.HTTPConnection(host, timeout=30)
            connection.request("GET", "/v1/files?limit=1", headers={"Authorization": f"Bearer {key}"})
            status = connection.getresponse().status
            connection.close()
            if status not in (200, 429):
                raise RuntimeError(f"GET /v1/files answered {status}")
            (admitted if status == 200 else rejected).append(time.monotonic())
            turn += CLIENTS

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(admitted) + len(rejected) < 0.95 * LOAD_PER_S * DURATION_S:
        raise RuntimeError("The load generator could not keep up the rate.")
    return sorted(admitted), len(rejected)


def _windows(admitted: list[float]) -> list[int]:
    """Count the admissions in each minute that begins or ends with an admission."""
    begins, ends = admitted[0], admitted[0] + DURATION_S - 1 - WINDOW_S
    starts = [at for at in admitted if at <= ends] + [at - WINDOW_S for at in admitted if at - WINDOW_S >= begins]
    return [_count(admitted, start) for start in starts if start <= ends]


def _count(admitted: list[float], start: float) -> int:
    return bisect_left(admitted, start + WINDOW_S) - bisect_left(admitted, start)
