"""Reads through gunicorn with production settings, compared with bare Flask routes that do one Core read each."""

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
TARGET = (">=", 0.7)
# For a key with a rate limit that is counted but never reached.
TARGET_LIMITED = (">=", 0.65)
TARGET_LIST = (">=", 0.75)
UNREACHABLE_LIMIT = 10_000_000


def run(report: Report, *, quick: bool) -> None:
    """Measure both servers in alternating rounds and compare the medians of their rates."""
    rounds, seconds = (3, 1.0) if quick else (15, 1.5)
    with ExitStack() as stack:
        store = stack.enter_context(Store(LOCAL_BASE_URL="http://127.0.0.1:9/v1"))
        file_id = [store.put(chat_lines(1)) for _ in range(FILES)][-1]
        database = {"BENCH_DATABASE": str(store.home / "batchgate.db")}
        gateway = stack.enter_context(Web("wsgi:app", environment=store.environment, log=store.home / "web.log"))
        bare = stack.enter_context(
            Web("bench.bare:app", environment={**store.environment, **database}, log=store.home / "bare.log")
        )
        limited = store.limited_key(requests_per_minute=UNREACHABLE_LIMIT)
        for name, path, key, target in (
            ("GET /v1/files/{id}", f"/v1/files/{file_id}", store.key, TARGET),
            ("GET /v1/files/{id}, limited", f"/v1/files/{file_id}", limited, TARGET_LIMITED),
            ("GET /v1/files?limit=100", "/v1/files?limit=100", store.key, TARGET_LIST),
        ):
            rounds_of_both = [
                [_load(f"{web.url}{path}", key=key, seconds=seconds) for web in (gateway, bare)] for _ in range(rounds)
            ]
            rates = [median(pair[side]["rate"] for pair in rounds_of_both) for side in (0, 1)]
            report.add(name, rates[0], "requests/s", baseline=rates[1], target=target)
            for label in ("p50_ms", "p99_ms"):
                values = [median(pair[side][label] for pair in rounds_of_both) for side in (0, 1)]
                report.add(f"{name}, {label.removesuffix('_ms')}", values[0], "ms", baseline=values[1])


def _load(url: str, *, key: str, seconds: float) -> dict[str, float]:
    arguments = ["--seconds", str(seconds), "--connections", str(CONNECTIONS), "--key", key]
    completed = subprocess.run(
        [sys.executable, "-m", "bench.load", url, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    if completed.returncode:
        raise RuntimeError(completed.stderr)
    figures: dict[str, float] = json.loads(completed.stdout)
    return figures
