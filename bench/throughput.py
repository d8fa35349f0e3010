"""10,000 lines at a provider with 100 ms latency and a limit of 64 in flight: the share of the ideal rate achieved."""

from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from bench.processes import Fake, worker
from bench.report import Report
from bench.store import FinishedBatch, Store, chat_lines

LATENCY_MS = 100
CEILING = 64
IDEAL = CEILING * 1000 / LATENCY_MS
TARGET = (">=", 0.85)
PUT_MS = "30"
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """A setup of workers; each runs `module`."""

    name: str
    workers: int = 1
    module: str = "app.cli"


CASES = (
    Case("one worker"),
    Case(f"one worker, +{PUT_MS} ms for each put", module="bench.slow_puts"),
    Case("two workers", workers=2),
)


@dataclass(frozen=True, slots=True)
class _Run:
    batch: FinishedBatch
    max_in_flight: int
    is_exact: bool
    cpu_s: float


def run(report: Report, *, quick: bool) -> None:
    """Run all cases in turn, several rounds; the medians are compared with the target."""
    lines, rounds = (2000, 1) if quick else (10_000, 3)
    runs: dict[str, list[_Run]] = {case.name: [] for case in CASES}
    for _ in range(rounds):
        for case in CASES:
            runs[case.name].append(_run(case, lines))
    for case in CASES:
        _report(report, case, runs[case.name], lines)


def _run(case: Case, lines: int) -> _Run:
    with ExitStack() as stack:
        fake = stack.enter_context(Fake(latency_ms=LATENCY_MS))
        store = stack.enter_context(
            Store(LOCAL_BASE_URL=f"{fake.url}/v1", LOCAL_MAX_CONCURRENCY=str(CEILING), BENCH_PUT_MS=PUT_MS)
        )
        file_id = store.put(chat_lines(lines))
        workers = [
            stack.enter_context(worker(store.environment, log=store.home / f"worker-{number}.log", module=case.module))
            for number in range(case.workers)
        ]
        store.wait_for(store.start(store.put(chat_lines(1))), seconds=TIMEOUT_S)  # they load what they need
        fake.forget()
        before_s = sum(each.cpu_s for each in workers)
        batch = store.wait_for(store.start(file_id), seconds=TIMEOUT_S)
        cpu_s = sum(each.cpu_s for each in workers) - before_s
        stats = fake.stats()
        custom_ids = store.custom_ids(batch.output_key)
    is_exact = custom_ids == dict.fromkeys((f"c{n}" for n in range(lines)), 1) and not stats["repeated_marks"]
    return _Run(batch, stats["most_in_flight"], is_exact, cpu_s)


def _report(report: Report, case: Case, runs: list[_Run], lines: int) -> None:
    # Two workers only have to respect the shared limit: here, they share two cores with the fake provider.
    target = TARGET if case.workers == 1 else None
    running = median(lines / run.batch.running_s for run in runs)
    whole = median(lines / run.batch.whole_s for run in runs)
    report.add(f"{case.name}: in_progress to completed", running, "lines/s", baseline=IDEAL, target=target)
    report.add(f"{case.name}: POST to completed", whole, "lines/s", baseline=IDEAL)
    cpu_ms = median(run.cpu_s / lines * 1000 for run in runs)
    report.add(f"{case.name}: CPU of the workers, planning and finalising included", cpu_ms, "ms/line")
    report.add(f"{case.name}: most in flight", max(run.max_in_flight for run in runs), "lines", target=("<=", CEILING))
    exact = sum(run.is_exact for run in runs)
    report.add(f"{case.name}: runs with each custom_id once", exact, "runs", target=("==", len(runs)))
