"""1,000 requests a minute over 4 web processes: how many get in of three times as many, and what asking costs."""

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
LASTS_S = 125.0
DEMAND_PER_S = 50.0
CLIENTS = 20
PROCESSES = 4
CALLS = 100_000


def run(report: Report, *, quick: bool) -> None:
    """Both stores, one after the other; a quick run only measures what asking costs, since a minute is a minute."""
    with Store(LOCAL_BASE_URL="http://127.0.0.1:9/v1") as store:
        _cost(report, store)
        if not quick:
            _hold(report, store, "SQLite")
    if quick:
        report.notes.append("The limit itself is left out: its window is a minute long.")
        return
    with ExitStack() as stack:
        server = postgres.Postgres()
        stack.callback(server.stop)
        url = postgres.create()
        stack.callback(postgres.drop, url)
        secret = {"DATABASE_URL": url, "BATCHGATE_SECRET_KEY": "bench"}
        _hold(report, stack.enter_context(Store(LOCAL_BASE_URL="http://127.0.0.1:9/v1", **secret)), "PostgreSQL")


def _cost(report: Report, store: Store) -> None:
    """What one `check_request` takes, without limits and with some that never bite."""
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
        let_in, refused = _hammer(web.url, key)
    counts = _windows(let_in)
    for minute, begins in (("first", let_in[0]), ("second", let_in[0] + WINDOW_S)):
        found = _count(let_in, begins)
        report.add(f"{name}: let in within the {minute} minute", found, "", baseline=LIMIT, wanted=(">=", 0.99))
    report.add(f"{name}: most in any 60 s", max(counts), "", baseline=LIMIT, wanted=("<=", 1.01))
    # Room comes back as it went a minute ago; of requests as many as that, those that come a moment early are refused.
    report.add(f"{name}: fewest in any 60 s", min(counts), "", baseline=LIMIT)
    report.add(f"{name}: requests refused", refused, "")


def _hammer(url: str, key: str) -> tuple[list[float], int]:
    """(when requests were let in, in order; how many were refused)."""
    let_in: list[float] = []
    refused: list[float] = []
    started = time.monotonic()

    def client(number: int) -> None:
        host, turn = urlsplit(url).netloc, number
        while (due := started + turn / DEMAND_PER_S) < started + LASTS_S:
            time.sleep(max(0.0, due - time.monotonic()))
            # A connection each, so that the requests come to all processes.
            connection = http.client.HTTPConnection(host, timeout=30)
            connection.request("GET", "/v1/files?limit=1", headers={"Authorization": f"Bearer {key}"})
            status = connection.getresponse().status
            connection.close()
            if status not in (200, 429):
                raise RuntimeError(f"GET /v1/files answered {status}")
            (let_in if status == 200 else refused).append(time.monotonic())
            turn += CLIENTS

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(let_in) + len(refused) < 0.95 * DEMAND_PER_S * LASTS_S:
        raise RuntimeError("The demand did not last.")
    return sorted(let_in), len(refused)


def _windows(let_in: list[float]) -> list[int]:
    """How many were let in within each minute of the demand: of those that begin, or end, as one is let in."""
    begins, ends = let_in[0], let_in[0] + LASTS_S - 1 - WINDOW_S
    starts = [at for at in let_in if at <= ends] + [at - WINDOW_S for at in let_in if at - WINDOW_S >= begins]
    return [_count(let_in, start) for start in starts if start <= ends]


def _count(let_in: list[float], start: float) -> int:
    return bisect_left(let_in, start + WINDOW_S) - bisect_left(let_in, start)
