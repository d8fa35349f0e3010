"""1,000 keys over 100 projects with 1,000,000 files against one key with its 10,000: authentication and lists."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from sqlalchemy import text

from app.services.access import keys
from app.services.files import files
from app.services.gateway import Caller, Gateway
from bench.databases import Stores, analyze, on_both, sqlite
from bench.report import Report

PROJECTS, KEYS_EACH, FILES_EACH = 100, 10, 10_000
CALLS = 500
LIMIT = 100
WANTED = ("<=", 1.5)
# Those of all projects in turn, as they come in: the files of one are spread over the whole table.
ROWS = text("""
    INSERT INTO files (public_id, project_id, key_id, home, purpose, filename, origin, status, bytes, created_at)
    WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows - 1)
    SELECT 'file-' || CAST(1000000000 + n AS TEXT), :first_project + n % :projects,
           :first_key + n % :projects * :keys_each, 'local', 'batch', 'file.jsonl', 'upload', 'processed',
           n, 1700000000000 + n / 3
    FROM numbers
""")


@dataclass(frozen=True, slots=True)
class Peopled:
    """A gateway with so many keys, of which one is used."""

    gateway: Gateway
    key: str
    caller: Caller


def run(report: Report, *, quick: bool) -> None:
    """Both databases, unless `quick`."""
    if quick:
        _compare(report, "sqlite", sqlite, projects=10)
    else:
        on_both(report, _compare)


def _compare(report: Report, database: str, stores: Stores, projects: int = PROJECTS) -> None:
    with _peopled(stores, 1, 1) as alone, _peopled(stores, projects, KEYS_EACH) as among:
        for name, act in (("authenticate", _authenticate), ("authenticate, refused", _refuse), ("list", _list)):
            times: tuple[list[float], list[float]] = ([], [])
            for _ in range(CALLS):  # in turn, so that what disturbs the machine disturbs both
                for peopled, taken in zip((alone, among), times, strict=True):
                    taken.append(_time_ms(act, peopled))
            baseline, value = map(median, times)
            report.add(f"{database}: {name}", value, "ms", baseline=baseline, wanted=WANTED)


def _time_ms(act: Callable[[Peopled], None], peopled: Peopled) -> float:
    started = perf_counter()
    act(peopled)
    return (perf_counter() - started) * 1000


def _authenticate(peopled: Peopled) -> None:
    keys.authenticate(peopled.gateway, peopled.key, request_id="req_bench")


def _refuse(peopled: Peopled) -> None:
    try:
        keys.authenticate(peopled.gateway, peopled.key + "x", request_id="req_bench")
    except keys.AuthenticationError:
        return
    raise RuntimeError("A wrong key was taken.")


def _list(peopled: Peopled) -> None:
    page = files.list_(
        peopled.gateway, peopled.caller, purpose=None, provider=None, after=None, descending=True, limit=LIMIT
    )
    if len(page.items) != LIMIT or {row.project_id for row in page.items} != {peopled.caller.project_id}:
        raise RuntimeError("A wrong page.")


@contextmanager
def _peopled(stores: Stores, projects: int, keys_each: int) -> Iterator[Peopled]:
    with stores() as gateway:
        issued = [
            [keys.create(gateway, project=f"project-{number}", name="bench") for _ in range(keys_each)]
            for number in range(projects)
        ]
        middle = issued[projects // 2][keys_each // 2]
        caller = keys.authenticate(gateway, middle.key, request_id="req_bench")
        first = keys.authenticate(gateway, issued[0][0].key, request_id="req_bench")
        of = {
            "projects": projects,
            "keys_each": keys_each,
            "first_project": first.project_id,
            "first_key": first.key_id,
        }
        with gateway.database.write() as connection:
            connection.execute(ROWS, {"rows": projects * FILES_EACH, **of})
        analyze(gateway, "files", "virtual_keys", "projects")
        yield Peopled(gateway, middle.key, caller)
