"""How much more memory a worker needs for a batch of fifty times the lines, and for lines of 10 MB."""

from contextlib import ExitStack

from bench.processes import Fake, peak_bytes, worker
from bench.report import Report
from bench.store import Store, chat_lines

MIB = 2**20
CEILING = 64
FEW, MANY = 1000, 50_000
LONG_LINES, LONG_BYTES = 64, 10_000_000
ENDS_S = 600.0


def run(report: Report, *, quick: bool) -> None:
    """A fresh worker for each batch; its peak is read when the batch is over."""
    many = 5000 if quick else MANY
    few_peak, few_exact = _peak(FEW)
    many_peak, many_exact = _peak(many)
    long_peak, long_exact = _peak(LONG_LINES, text_bytes=LONG_BYTES)
    report.add(f"peak with {FEW:,} lines", few_peak / MIB, "MiB")
    report.add(f"more with {many:,} lines", (many_peak - few_peak) / MIB, "MiB", wanted=("<=", 32))
    report.add(f"more with {LONG_LINES} lines of 10 MB", (long_peak - few_peak) / MIB, "MiB", wanted=("<=", 64))
    exact = few_exact + many_exact + long_exact
    report.add("batches with each custom_id once", exact, "batches", wanted=("==", 3))


def _peak(lines: int, *, text_bytes: int = 200) -> tuple[int, bool]:
    with ExitStack() as stack:
        fake = stack.enter_context(Fake(latency_ms=5))
        store = stack.enter_context(Store(LOCAL_BASE_URL=f"{fake.url}/v1", LOCAL_MAX_CONCURRENCY=str(CEILING)))
        file_id = store.put(chat_lines(lines, text_bytes=text_bytes))
        working = stack.enter_context(worker(store.environment, log=store.home / "worker.log"))
        batch = store.ended(store.start(file_id), seconds=ENDS_S)
        peak = peak_bytes([working.pid])
        found = store.custom_ids(batch.output_key)
    return peak, found == dict.fromkeys((f"c{n}" for n in range(lines)), 1)
