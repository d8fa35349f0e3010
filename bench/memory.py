"""Peak memory of a worker: how much it grows with 50 times the lines, and with lines of 10 MB."""

from contextlib import ExitStack

from bench.processes import Fake, peak_bytes, worker
from bench.report import Report
from bench.store import Store, chat_lines

MIB = 2**20
CEILING = 64
FEW, MANY = 1000, 50_000
LONG_LINES, LONG_BYTES = 64, 10_000_000
TIMEOUT_S = 600.0


def run(report: Report, *, quick: bool) -> None:
    """Run each batch on a new worker and read the worker's peak memory at its end."""
    many = 5000 if quick else MANY
    few_peak, few_is_exact = _peak(FEW)
    many_peak, many_is_exact = _peak(many)
    long_peak, long_is_exact = _peak(LONG_LINES, text_bytes=LONG_BYTES)
    report.add(f"peak with {FEW:,} lines", few_peak / MIB, "MiB")
    report.add(f"more with {many:,} lines", (many_peak - few_peak) / MIB, "MiB", target=("<=", 32))
    report.add(f"more with {LONG_LINES} lines of 10 MB", (long_peak - few_peak) / MIB, "MiB", target=("<=", 64))
    exact = few_is_exact + many_is_exact + long_is_exact
    report.add("batches with each custom_id once", exact, "batches", target=("==", 3))


def _peak(lines: int, *, text_bytes: int = 200) -> tuple[int, bool]:
    with ExitStack() as stack:
        fake = stack.enter_context(Fake(latency_ms=5))
        store = stack.enter_context(Store(LOCAL_BASE_URL=f"{fake.url}/v1", LOCAL_MAX_CONCURRENCY=str(CEILING)))
        file_id = store.put(chat_lines(lines, text_bytes=text_bytes))
        process = stack.enter_context(worker(store.environment, log=store.home / "worker.log"))
        batch = store.wait_for(store.start(file_id), seconds=TIMEOUT_S)
        peak = peak_bytes([process.pid])
        custom_ids = store.custom_ids(batch.output_key)
    return peak, custom_ids == dict.fromkeys((f"c{n}" for n in range(lines)), 1)
