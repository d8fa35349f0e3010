"""Pages of a list of 1,000,000 files, compared with 10,000: all filters, both orders, first to last page."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from sqlalchemy import func, select, text

from app.data.tables import files
from app.services.access import keys
from app.services.files import files as file_services
from app.services.gateway import Caller, Gateway
from bench.databases import Stores, analyze, on_both, sqlite
from bench.report import Report

FEW, MANY = 10_000, 1_000_000
CALLS = 200
LIMIT = 100
TARGET = ("<=", 1.5)
FILTERS = ((None, None), ("batch", None), (None, "ollama"), ("batch", "ollama"))
PLACES = ("first", "middle", "last")
# 10% belong to another project, 5% are deleted, and three rows share each millisecond.
ROWS = text("""
    INSERT INTO files (public_id, project_id, home, purpose, filename, origin, status, bytes, created_at, deleted_at)
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)
    SELECT 'file-' || CAST(1000000000 + n AS TEXT),
           CASE n % 10 WHEN 0 THEN :other ELSE :project END,
           CASE n % 3 WHEN 0 THEN 'ollama' ELSE 'local' END,
           CASE n % 4 WHEN 0 THEN 'batch' WHEN 1 THEN 'batch_output' ELSE 'user_data' END,
           'file.jsonl', 'upload', 'processed', n, 1700000000000 + n / 3,
           CASE n % 20 WHEN 7 THEN 1800000000000 END
    FROM numbers
""")


@dataclass(frozen=True, slots=True)
class Listed:
    """A gateway whose project has a number of files."""

    gateway: Gateway
    caller: Caller


@dataclass(frozen=True, slots=True)
class Query:
    """A page of a list."""

    purpose: str | None
    home: str | None
    descending: bool
    place: str

    @property
    def name(self) -> str:
        """The name of its figure."""
        filters = "+".join(n for n, value in (("purpose", self.purpose), ("provider", self.home)) if value)
        return f"{filters or 'no filter'}, {'desc' if self.descending else 'asc'}, {self.place}"


QUERIES = [Query(*pair, order, place) for pair, order, place in itertools.product(FILTERS, (True, False), PLACES)]


def run(report: Report, *, quick: bool) -> None:
    """Check SQLite against the target; PostgreSQL is only reported, and skipped if `quick`."""
    if quick:
        _compare(report, "sqlite", sqlite, many=100_000)
    else:
        on_both(report, _compare)


def _compare(report: Report, database: str, stores: Stores, many: int = MANY) -> None:
    with _filled(stores, FEW) as small, _filled(stores, many) as large:
        _measure(report, database, small, large, target=TARGET if database == "sqlite" else None)


def _measure(report: Report, database: str, few: Listed, many: Listed, *, target: tuple[str, float] | None) -> None:
    for query in QUERIES:
        cursors = [_cursor(listed, query) for listed in (few, many)]
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(CALLS):  # alternating, so that other load affects both
            for listed, cursor, durations in zip((few, many), cursors, times, strict=True):
                durations.append(_time_ms(listed, query, cursor))
        baseline, value = map(median, times)
        report.add(f"{database}: {query.name}", value, "ms", baseline=baseline, target=target)


def _time_ms(listed: Listed, query: Query, cursor: str | None) -> float:
    started = perf_counter()
    page = file_services.list_(
        listed.gateway,
        listed.caller,
        purpose=query.purpose,
        provider=query.home,
        after=cursor,
        descending=query.descending,
        limit=LIMIT,
    )
    elapsed_ms = (perf_counter() - started) * 1000
    if len(page.items) != LIMIT or page.has_more != (query.place != "last"):
        raise RuntimeError(f"Wrong page: {query.name}, {len(page.items)} files, has_more={page.has_more}")
    return elapsed_ms


def _cursor(listed: Listed, query: Query) -> str | None:
    """Return `after` for the page. It is found with OFFSET, which is slow and not timed."""
    if query.place == "first":
        return None
    where = [files.c.project_id == listed.caller.project_id, files.c.deleted_at.is_(None)]
    where += [files.c.purpose == query.purpose] if query.purpose else []
    where += [files.c.home == query.home] if query.home else []
    keys_ = [files.c.created_at, files.c.id]
    with listed.gateway.database.read() as connection:
        count = connection.execute(select(func.count()).where(*where)).scalar_one()
        skipped = count // 2 if query.place == "middle" else count - LIMIT - 1
        order = [key.desc() if query.descending else key.asc() for key in keys_]
        statement = select(files.c.public_id).where(*where).order_by(*order).offset(skipped).limit(1)
        return str(connection.execute(statement).scalar_one())


@contextmanager
def _filled(stores: Stores, rows: int) -> Iterator[Listed]:
    with stores() as gateway:
        callers = [
            keys.authenticate(gateway, keys.create(gateway, project=name, name="bench").key, request_id="req_bench")
            for name in ("bench", "other")
        ]
        with gateway.database.write() as connection:
            connection.execute(ROWS, {"rows": rows, "project": callers[0].project_id, "other": callers[1].project_id})
        analyze(gateway, "files")
        yield Listed(gateway, callers[0])
