"""A batch of 20 lines, from its POST to `completed`, at a provider that takes 50 ms: the median of 50.

Web and worker are processes of their own, on either database, and nothing else runs. When a batch was started is what
the store says.
"""

import time
from statistics import median

import requests
from sqlalchemy import select

from app.data.tables import batches
from app.services.access import keys
from bench.databases import Stores, on_both
from bench.processes import Fake, Web, until, worker
from bench.report import Report
from bench.store import CHAT, TERMINAL, chat_lines

LINES = 20
BATCHES, QUICK_BATCHES = 50, 5
LATENCY_MS = 50
LIMITS = {"postgresql": ("<=", 0.6), "sqlite": ("<=", 1.2)}
# A worker looks ten times a second for what was written to an SQLite file.
STARTED = {"postgresql": ("<=", 0.1), "sqlite": ("<=", 0.2)}


def run(report: Report, *, quick: bool) -> None:
    """Measure one batch after the other, with a pause between, so that the worker is idle when each arrives."""

    def measure(report: Report, database: str, stores: Stores) -> None:
        with Fake(latency_ms=LATENCY_MS) as fake, stores(LOCAL_BASE_URL=f"{fake.url}/v1") as gateway:
            key = keys.create(gateway, project="bench", name="bench").key
            environment = {**gateway.settings.environment, "WEB_CONCURRENCY": "1"}
            with Web("wsgi:app", environment=environment) as web, worker(environment):
                client = _Client(web.url, key)
                client.batch()  # connections are made, modules imported
                times = [client.batch() for _ in range(QUICK_BATCHES if quick else BATCHES)]
            with gateway.database.read() as connection:
                delays = connection.execute(select(batches.c.in_progress_at - batches.c.created_at)).scalars().all()
        report.add(f"{database}: POST to started", median(delays) / 1000, "s", target=STARTED[database])
        report.add(f"{database}: POST to completed", median(times), "s", target=LIMITS[database])

    on_both(report, measure)


class _Client:
    def __init__(self, url: str, key: str) -> None:
        self._url = f"{url}/v1"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"
        self._file = self._call(
            "POST", "/files?provider=local", data={"purpose": "batch"}, files={"file": b"".join(chat_lines(LINES))}
        )["id"]

    def batch(self) -> float:
        """Run a batch; returns the seconds until it was over."""
        time.sleep(1.0)
        body = {"input_file_id": self._file, "endpoint": CHAT, "completion_window": "24h"}
        started = time.monotonic()
        batch = self._call("POST", "/batches?provider=local", json=body)
        until(lambda: self._status(batch["id"]) in TERMINAL, what="end", poll_s=0.01)
        ended = time.monotonic()
        if (status := self._status(batch["id"])) != "completed":
            raise RuntimeError(f"The batch is {status}.")
        return ended - started

    def _status(self, batch_id: str) -> str:
        return self._call("GET", f"/batches/{batch_id}")["status"]

    def _call(self, method: str, path: str, **body: object) -> dict[str, str]:
        answer = self._session.request(method, f"{self._url}{path}", timeout=30, **body)  # type: ignore[arg-type]
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        found: dict[str, str] = answer.json()
        return found
