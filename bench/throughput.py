"""10,000 lines at a provider with 100 ms latency and a ceiling of 64: what share of the ideal rate is reached."""

from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from bench.processes import Fake, worker
from bench.report import Report
from bench.store import Ended, Store, chat_lines

LATENCY_MS = 100
CEILING = 64
IDEAL = CEILING * 1000 / LATENCY_MS
WANTED = (">=", 0.85)
PUT_MS = "30"
ENDS_S = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """One way to run the workers; `module` is what each of them runs."""

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
    batch: Ended
    most_in_flight: int
    exact: bool


def run(report: Report, *, quick: bool) -> None:
    """Every case, `rounds` times in turn, the median judged."""
    lines, rounds = (2000, 1) if quick else (10_000, 3)
    runs: dict[str, list[_Run]] = {case.name: [] for case in CASES}
    for _ in range(rounds):
        for case in CASES:
            runs[case.name].append(_run(case, lines))
    for case in CASES:
        _tell(report, case, runs[case.name], lines)


def _run(case: Case, lines: int) -> _Run:
    with ExitStack() as stack:
        fake = stack.enter_context(Fake(latency_ms=LATENCY_MS))
        store = stack.enter_context(
            Store(LOCAL_BASE_URL=f"{fake.url}/v1", LOCAL_MAX_CONCURRENCY=str(CEILING), BENCH_PUT_MS=PUT_MS)
        )
        file_id = store.put(chat_lines(lines))
        for number in range(case.workers):
            log = store.home / f"worker-{number}.log"
            stack.enter_context(worker(store.environment, log=log, module=case.module))
        batch = store.ended(store.start(file_id), seconds=ENDS_S)
        stats = fake.stats()
        found = store.custom_ids(batch.output_key)
    exact = found == dict.fromkeys((f"c{n}" for n in range(lines)), 1) and not stats["repeated_marks"]
    return _Run(batch, stats["most_in_flight"], exact)


def _tell(report: Report, case: Case, runs: list[_Run], lines: int) -> None:
    # With two workers the claim is the shared ceiling; their processes share two cores with the provider here.
    wanted = WANTED if case.workers == 1 else None
    running = median(lines / run.batch.running_s for run in runs)
    whole = median(lines / run.batch.whole_s for run in runs)
    report.add(f"{case.name}: in_progress to completed", running, "lines/s", baseline=IDEAL, wanted=wanted)
    report.add(f"{case.name}: POST to completed", whole, "lines/s", baseline=IDEAL)
    report.add(f"{case.name}: most in flight", max(run.most_in_flight for run in runs), "lines", wanted=("<=", CEILING))
    exact = sum(run.exact for run in runs)
    report.add(f"{case.name}: runs with each custom_id once", exact, "runs", wanted=("==", len(runs)))
