"""Authentication and lists with 1,000 keys, 100 projects and 1,000,000 files, compared with 1 key and 10,000 files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from sqlalchemy import text

from app.errors import AuthenticationError
from app.services.access import keys
from app.services.files import files
from app.services.gateway import Caller, Gateway
from bench.databases import Stores, analyze, on_both, sqlite
from bench.report import Report

PROJECTS, KEYS_EACH, FILES_EACH = 100, 10, 10_000
CALLS = 500
LIMIT = 100
TARGET = ("<=", 1.5)
# Files of all projects in turn, so that those of one project are spread over the whole table.
ROWS = text("""
    INSERT INTO files (public_id, project_id, key_id, home, purpose, filename, origin, status, bytes, created_at)
    WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows - 1)
    SELECT 'file-' || CAST(1000000000 + n AS TEXT), :first_project + n % :projects,
           :first_key + n % :projects * :keys_each, 'local', 'batch', 'file.jsonl', 'upload', 'processed',
           n, 1700000000000 + n / 3
    FROM numbers
""")


@dataclass(frozen=True, slots=True)
class Population:
    """A gateway with a number of keys, one of which is measured."""

    gateway: Gateway
    key: str
    caller: Caller


def run(report: Report, *, quick: bool) -> None:
    """Measure both databases; only SQLite if `quick`."""
    if quick:
        _compare(report, "sqlite", sqlite, projects=10)
    else:
        on_both(report, _compare)


def _compare(report: Report, database: str, stores: Stores, projects: int = PROJECTS) -> None:
    with _populated(stores, 1, 1) as small, _populated(stores, projects, KEYS_EACH) as large:
        for name, operation in (("authenticate", _authenticate), ("authenticate, refused", _reject), ("list", _list)):
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(CALLS):  # alternating, so that other load affects both
                for population, durations in zip((small, large), times, strict=True):
                    durations.append(_time_ms(operation, population))
            baseline, value = map(median, times)
            report.add(f"{database}: {name}", value, "ms", baseline=baseline, target=TARGET)


def _time_ms(operation: Callable[[Population], None], population: Population) -> float:
    started = perf_counter()
    operation(population)
    return (perf_counter() - started) * 1000


def _authenticate(population: Population) -> None:
    keys.authenticate(population.gateway, population.key, request_id="req_bench")


def _reject(population: Population) -> None:
    try:
        keys.authenticate(population.gateway, population.key + "x", request_id="req_bench")
    except AuthenticationError:
        return
    raise RuntimeError("An invalid key was accepted.")


def _list(population: Population) -> None:
    page = files.list_(
        population.gateway, population.caller, purpose=None, provider=None, after=None, descending=True, limit=LIMIT
    )
    if len(page.items) != LIMIT or {row.project_id for row in page.items} != {population.caller.project_id}:
        raise RuntimeError("The page has wrong files.")


@contextmanager
def _populated(stores: Stores, projects: int, keys_each: int) -> Iterator[Population]:
    with stores() as gateway:
        issued = [
            [keys.create(gateway, project=f"project-{number}", name="bench") for _ in range(keys_each)]
            for number in range(projects)
        ]
        middle = issued[projects // 2][keys_each // 2]
        caller = keys.authenticate(gateway, middle.key, request_id="req_bench")
        first = keys.authenticate(gateway, issued[0][0].key, request_id="req_bench")
        parameters = {
            "projects": projects,
            "keys_each": keys_each,
            "first_project": first.project_id,
            "first_key": first.key_id,
        }
        with gateway.database.write() as connection:
            connection.execute(ROWS, {"rows": projects * FILES_EACH, **parameters})
        analyze(gateway, "files", "virtual_keys", "projects")
        yield Population(gateway, middle.key, caller)
