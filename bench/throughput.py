"""10,000 lines at a provider with latency and a limit of lines in flight: the share of the ideal rate achieved.

The CPU of the workers is compared with what the client of lines alone takes, in the same run.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from bench.processes import Fake, Process, worker
from bench.report import Report
from bench.store import FinishedBatch, Store, chat_lines

TARGET = (">=", 0.85)
MOST_CPU = ("<=", 2.5)
PUT_MS = "30"
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """A setup of workers; each runs `module`."""

    name: str
    workers: int = 1
    module: str = "app.cli"
    latency_ms: int = 100
    ceiling: int = 64

    @property
    def ideal(self) -> float:
        """Lines a second, if nothing took time but the provider."""
        return self.ceiling * 1000 / self.latency_ms


CASES = (
    Case("one worker"),
    Case(f"one worker, +{PUT_MS} ms for each put", module="bench.slow_puts"),
    Case("two workers", workers=2),
    Case("one worker, 200 x 200 ms", latency_ms=200, ceiling=200),
)


@dataclass(frozen=True, slots=True)
class _Run:
    batch: FinishedBatch
    max_in_flight: int
    is_exact: bool
    cpu_s: float
    client_cpu_ms: float


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
        fake = stack.enter_context(Fake(latency_ms=case.latency_ms))
        base_url, ceiling = f"{fake.url}/v1", str(case.ceiling)
        limits = {"LOCAL_MAX_CONCURRENCY": ceiling, "BATCHGATE_WORKER_CONCURRENCY": ceiling}
        store = stack.enter_context(Store(LOCAL_BASE_URL=base_url, BENCH_PUT_MS=PUT_MS, **limits))
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
        client = stack.enter_context(Process("-m", "bench.line_client", base_url, str(lines), ceiling, piped=True))
        client_cpu_ms = float(client.line())
    is_exact = custom_ids == dict.fromkeys((f"c{n}" for n in range(lines)), 1) and not stats["repeated_marks"]
    return _Run(batch, stats["most_in_flight"], is_exact, cpu_s, client_cpu_ms)


def _report(report: Report, case: Case, runs: list[_Run], lines: int) -> None:
    # Two workers only have to respect the shared limit: here, they share two cores with the fake provider.
    target = TARGET if case.workers == 1 else None
    running = median(lines / run.batch.running_s for run in runs)
    whole = median(lines / run.batch.whole_s for run in runs)
    report.add(f"{case.name}: in_progress to completed", running, "lines/s", baseline=case.ideal, target=target)
    report.add(f"{case.name}: POST to completed", whole, "lines/s", baseline=case.ideal)
    cpu_ms = median(run.cpu_s / lines * 1000 for run in runs)
    client_ms = median(run.client_cpu_ms for run in runs)
    what = "CPU of the workers, planning and finalising included; of the client alone"
    report.add(f"{case.name}: {what}", cpu_ms, "ms/line", baseline=client_ms, target=MOST_CPU)
    most = max(run.max_in_flight for run in runs)
    report.add(f"{case.name}: most in flight", most, "lines", target=("<=", case.ceiling))
    exact = sum(run.is_exact for run in runs)
    report.add(f"{case.name}: runs with each custom_id once", exact, "runs", target=("==", len(runs)))
