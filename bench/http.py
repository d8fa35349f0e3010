"""Reads through gunicorn with production settings, against bare Flask routes with one Core read on the same file."""

import json
import subprocess
import sys
from contextlib import ExitStack
from statistics import median

from bench.processes import ROOT, Web
from bench.report import Report
from bench.store import Store, chat_lines

FILES = 200
CONNECTIONS = 16
WANTED = (">=", 0.5)
# With a limit on the key, which is counted and never reached.
WANTED_LIMITED = (">=", 0.4)
NEVER_REACHED = 10_000_000


def run(report: Report, *, quick: bool) -> None:
    """Rounds of both in turn; the medians of their rates are compared."""
    rounds, seconds = (3, 1.0) if quick else (15, 1.5)
    with ExitStack() as stack:
        store = stack.enter_context(Store(LOCAL_BASE_URL="http://127.0.0.1:9/v1"))
        file_id = [store.put(chat_lines(1)) for _ in range(FILES)][-1]
        database = {"BENCH_DATABASE": str(store.home / "batchgate.db")}
        gateway = stack.enter_context(Web("wsgi:app", environment=store.environment, log=store.home / "web.log"))
        bare = stack.enter_context(
            Web("bench.bare:app", environment={**store.environment, **database}, log=store.home / "bare.log")
        )
        limited = store.limited_key(requests_per_minute=NEVER_REACHED)
        for name, path, key, wanted in (
            ("GET /v1/files/{id}", f"/v1/files/{file_id}", store.key, WANTED),
            ("GET /v1/files/{id}, limited", f"/v1/files/{file_id}", limited, WANTED_LIMITED),
            ("GET /v1/files?limit=100", "/v1/files?limit=100", store.key, WANTED),
        ):
            measured = [
                [_load(f"{web.url}{path}", key=key, seconds=seconds) for web in (gateway, bare)] for _ in range(rounds)
            ]
            rates = [median(pair[side]["rate"] for pair in measured) for side in (0, 1)]
            report.add(name, rates[0], "requests/s", baseline=rates[1], wanted=wanted)
            for label in ("p50_ms", "p99_ms"):
                values = [median(pair[side][label] for pair in measured) for side in (0, 1)]
                report.add(f"{name}, {label.removesuffix('_ms')}", values[0], "ms", baseline=values[1])


def _load(url: str, *, key: str, seconds: float) -> dict[str, float]:
    words = ["--seconds", str(seconds), "--connections", str(CONNECTIONS), "--key", key]
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", url, *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found
