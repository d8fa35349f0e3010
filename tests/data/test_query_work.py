"""What workers and lists ask, on a new store without statistics: one huge batch beside many small ones.

No query may read what it does not need, so each says how many rows it may look at.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text, update

from app import migrate
from app.data import now
from app.data.access import expiries, sessions
from app.data.batches import (
    batches,
    capacity,
    inputs,
    job_facts,
    jobs,
    lines,
    pauses,
    retention,
    segments,
    showing,
    waits,
    work,
)
from app.data.batches.jobs import JobLease
from app.data.batches.lines import LineAttempts, LineResult
from app.data.batches.segments import Wanted
from app.data.batches.waits import NewWait
from app.data.files import blobs as blob_rows
from app.data.files import file_copies, files, missing
from app.data.gauges import running, upkeep
from app.data.money import limit_counters
from app.data.store.database import Database
from app.data.store.leases import Lease
from app.data.tables import (
    accounts,
    batch_chunks,
    batch_files,
    batch_jobs,
    batch_line_waits,
    batch_lines,
    batch_segments,
    blobs,
    native_objects,
    projects,
)
from app.data.tables import batches as batch_rows
from app.data.tables import file_copies as copy_rows
from app.data.tables import files as file_rows
from app.data.tables import pauses as pause_rows
from app.settings import from_environment
from tests.conftest import DATABASES
from tests.support import postgres
from tests.support.query_work import rows_read

HUGE_LINES = 20_000
SEGMENT_LINES = 100
ENDED = 1500
HUGE, PLANNED = 1, 2  # a batch that runs, and one whose lines are in SQL but that has not been started
FIRST_SMALL = 10
NAMED = 1  # a file that lines of all small batches name, which run
OFTEN_USED = 9  # a file that every batch that has ended had as its input
SMALL = 5  # running ones, for each status
PROJECT, OTHER = 1, 2
WORKER = "worker"
STATUSES = ("validating", "in_progress", "finalizing", "cancelling")
DAY_MS = 86_400_000
LONG_AGO = 1_700_000_000_000
FAR = 4_000_000_000_000
WAITING = 100  # lines of the huge batch that wait
OBJECTS = 1000  # files at providers, of which the last is missing
PAUSED = 100  # models of another account that are paused
FILLED = (
    batch_rows,
    batch_lines,
    batch_line_waits,
    batch_segments,
    batch_chunks,
    batch_files,
    batch_jobs,
    blobs,
    file_rows,
    native_objects,
    copy_rows,
    pause_rows,
)


@pytest.fixture(scope="module", params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A new store of this module's own, filled while nobody collects statistics."""
    url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'batchgate.db'}"
    if request.param == "postgresql":
        url = postgres.create()
    migrate.upgrade(from_environment({"DATABASE_URL": url, "BATCHGATE_SECRET_KEY": "t", "BATCHGATE_HOME": "/nowhere"}))
    found = Database(from_environment({"DATABASE_URL": url, "BATCHGATE_HOME": "/nowhere"}).database_url)
    with found.write() as connection:
        if request.param == "postgresql":
            for table in FILLED:
                connection.execute(text(f"ALTER TABLE {table.name} SET (autovacuum_enabled = false)"))
        _fill(connection)
    yield found
    found.dispose()
    if request.param == "postgresql":
        postgres.drop(url)


@dataclass(frozen=True, slots=True)
class Query:
    """Something that is asked, and the rows that it may look at, with those that it returns or writes."""

    act: Callable[[Connection], Any]
    most: int


# A project's running batches are looked at one by one, each with a few probes of an index.
RUNNING = SMALL * len(STATUSES) + 2
# Why batches wait: their waits several times; on PostgreSQL it may read all of those, and all pauses, once.
REASONS = WAITING * 8 + PAUSED * 4
LEASE = Lease(HUGE, 1, WORKER)
SEGMENT = Lease(HUGE_LINES // SEGMENT_LINES, 1, WORKER)
JOB = JobLease(1, 1, WORKER, HUGE, 1, "running")
WAIT = NewWait(77, "retry", 1, 0, 1000, 1, 0, "overload", 429, None, None)
RESULT = LineResult(77, "completed", 1, 0, 200, None, 5, 1, 1, None, 1, 0, 10)
QUERIES: dict[str, Query] = {
    "any_due": Query(work.any_due, RUNNING * 10),
    "end_due": Query(work.end_due, RUNNING * 20),
    "projects_to_plan": Query(work.projects_to_plan, RUNNING * 5),
    "to_plan": Query(lambda c: work.to_plan(c, PROJECT), RUNNING * 10),
    "projects_to_finalise": Query(work.projects_to_finalise, RUNNING * 10),
    "to_finalise": Query(lambda c: work.to_finalise(c, PROJECT), RUNNING * 15),
    "projects_to_index": Query(work.projects_to_index, 100),
    "to_index": Query(lambda c: work.to_index(c, PROJECT), RUNNING * 15),
    "claim": Query(lambda c: work.claim(c, LEASE, statuses=STATUSES, lease_ms=1000), 10),
    "hold": Query(lambda c: work.hold(c, LEASE, statuses=STATUSES, lease_ms=1000), 10),
    "renew": Query(lambda c: work.renew(c, [LEASE], worker=WORKER, statuses=STATUSES, lease_ms=1000), 10),
    "facts": Query(lambda c: work.facts(c, HUGE), 20),
    "input_facts": Query(lambda c: work.input_facts(c, HUGE), 20),
    "duplicates": Query(
        lambda c: lines.duplicates(c, PLANNED, first_id="", slice_lines=50_000, limit=100), HUGE_LINES * 10
    ),
    "duplicates, a slice": Query(
        lambda c: lines.duplicates(c, PLANNED, first_id="c5", slice_lines=500, limit=100), 500 * 8
    ),
    "delete_lines": Query(lambda c: lines.delete_lines(c, PLANNED, limit=100), 500),
    "end_pending": Query(lambda c: lines.end_pending(c, HUGE, state="expired", after=5000, limit=100), 500),
    "count_in": Query(lambda c: lines.count_in(c, HUGE, state="pending"), HUGE_LINES * 3),
    "answers": Query(lambda c: lines.answers(c, HUGE, after=5000, limit=100), 1000),
    "ends": Query(lambda c: lines.ends(c, HUGE, after=5000, limit=100), 300),
    "end_of_last": Query(lambda c: lines.end_of_last(c, PLANNED), 10),
    # The blobs of this store are so few that PostgreSQL may read them all.
    "chunks": Query(lambda c: segments.chunks(c, [1, 2, 3]), ENDED + 100),
    "statuses": Query(lambda c: lines.statuses(c, HUGE, state=None, after=5000, limit=100), 300),
    "unsuccessful": Query(lambda c: lines.unsuccessful(c, HUGE, after=HUGE_LINES - 100, limit=100), 300),
    # Among 20,000 lines 100 have failed, at the end.
    "statuses, failed": Query(lambda c: lines.statuses(c, HUGE, state="failed", after=0, limit=100), 500),
    "statuses, none": Query(lambda c: lines.statuses(c, HUGE, state="expired", after=0, limit=100), 100),
    "statuses, pending": Query(lambda c: lines.statuses(c, HUGE, state="pending", after=5000, limit=100), 300),
    "unsuccessful, all": Query(lambda c: lines.unsuccessful(c, HUGE, after=0, limit=100), 500),
    "waiting": Query(lambda c: lines.waiting(c, HUGE, first=19_901, last=20_000), 300),
    "write_results": Query(lambda c: lines.write_results(c, HUGE, [RESULT]), 10),
    "write_retries": Query(lambda c: lines.write_retries(c, HUGE, [LineAttempts(77, 1, 0)]), 10),
    "to_send": Query(lambda c: lines.to_send(c, HUGE, first=10_001, last=HUGE_LINES, limit=100), 300),
    "by_custom_id": Query(
        # At most the lines of the job.
        lambda c: lines.by_custom_id(c, HUGE, [f"c{n}" for n in range(100)], first=5001, last=6000),
        2000,
    ),
    "by_number": Query(lambda c: lines.by_number(c, HUGE, range(100, 200), first=1, last=HUGE_LINES), 500),
    "pending": Query(
        lambda c: lines.pending(c, HUGE, first=10_001, last=HUGE_LINES, only_held_back=False, limit=100), 300
    ),
    "projects_with_work": Query(lambda c: segments.projects_with_work(c, Wanted(WORKER, [1])), RUNNING * 20),
    "next_segment": Query(
        lambda c: segments.next_segment(c, Wanted(WORKER, [1], skip=[(PROJECT, 1, "x")]), project_id=PROJECT),
        RUNNING * 20 + 200,
    ),
    "sooner_segment": Query(
        lambda c: segments.sooner_segment(
            c, Wanted(WORKER, [1]), lane=(PROJECT, 1, "m"), priority=0, left_ms=FAR - LONG_AGO
        ),
        RUNNING * 20 + 200,
    ),
    "off-peak over": Query(lambda c: batches.off_peak_over(c, limit=50), 20),
    "batch permits lock": Query(lambda c: capacity.lock_batch(c, HUGE, worker=WORKER), 20),
    "batch permits hold": Query(
        lambda c: capacity.hold_of_batch(c, HUGE, worker=WORKER, held=1, wanted=1, lease_ms=1000), 20
    ),
    "segment claim": Query(lambda c: segments.claim(c, SEGMENT, lease_ms=1000), 20),
    "segment renew": Query(lambda c: segments.renew(c, [SEGMENT], worker=WORKER, lease_ms=1000), 20),
    "segment hold": Query(lambda c: segments.hold(c, SEGMENT, lease_ms=1000), 10),
    "segment close": Query(lambda c: segments.close_if_done(c, SEGMENT), SEGMENT_LINES * 3),
    "segments let go": Query(lambda c: segments.let_go(c, HUGE, last_line=HUGE_LINES), HUGE_LINES // SEGMENT_LINES * 3),
    "segment stops": Query(lambda c: segments.steered(c, [HUGE, PLANNED]), 20),
    "segment of_job": Query(lambda c: segments.of_job(c, HUGE, first=1), 10),
    "close_segments": Query(lambda c: work.close_segments(c, LEASE), HUGE_LINES // SEGMENT_LINES * 5),
    "retention due": Query(lambda c: retention.due(c, older_than_ms=DAY_MS, limit=50), ENDED * 2),
    "retention chunks": Query(lambda c: retention.drop_chunks(c, FIRST_SMALL + 100, limit=500), 50),
    "retention segments": Query(lambda c: retention.drop_segments(c, FIRST_SMALL + 1, limit=500), 50),
    "job due": Query(lambda c: job_facts.next_due(c, skip=[9]), 50),
    "job renew": Query(lambda c: jobs.renew(c, [JOB], worker=WORKER, lease_ms=1000), 10),
    "job of_batch": Query(lambda c: job_facts.of_batch(c, FIRST_SMALL + 100), 20),
    "job find": Query(lambda c: job_facts.find(c, 1), 30),
    "batch list": Query(
        lambda c: batches.list_page(c, project_id=PROJECT, provider=None, statuses=None, after=None, limit=20), 600
    ),
    "batch list, status": Query(
        lambda c: batches.list_page(
            c, project_id=PROJECT, provider=None, statuses=["in_progress"], after=None, limit=20
        ),
        600 + REASONS,
    ),
    "waits of batches": Query(
        lambda c: waits.of_batches(c, [HUGE, *range(FIRST_SMALL, FIRST_SMALL + 19)]), RUNNING * 20 + REASONS
    ),
    "progress of batches": Query(lambda c: waits.progress(c, [HUGE, FIRST_SMALL]), 500),
    "waits list": Query(lambda c: waits.list_all(c, limit=100), RUNNING * 20 + REASONS),
    "waits of lines": Query(lambda c: waits.of_lines(c, HUGE, first=101, last=200), 1000),
    "now running": Query(lambda c: now.running(c, limit=10_000), RUNNING * 8),
    "now permits": Query(lambda c: now.permits(c, limit=100), 20),
    "waits note": Query(lambda c: waits.note(c, HUGE, [WAIT]), 20),
    "waits forget": Query(lambda c: waits.forget(c, HUGE, range(1, 101)), WAITING * 4),
    "waits forget_ended": Query(waits.forget_ended, WAITING * 5),
    "pauses of_capacity": Query(lambda c: pauses.of_capacity(c, account_id=1, model="m"), 20),
    "pauses note": Query(lambda c: _pause(c, PROJECT), 20),
    "pauses note, all": Query(lambda c: _pause(c, None), 20),
    "pauses lift": Query(lambda c: pauses.lift(c, account_id=1, model="m", project_id=None), 20),
    # Of so few pauses PostgreSQL may read all, once; of ten times as many it does not.
    "pauses list": Query(lambda c: pauses.list_all(c, limit=20), PAUSED * 3),
    "pauses forget_old": Query(lambda c: pauses.forget_old(c, after_ms=DAY_MS), PAUSED * 2),
    "batch find": Query(lambda c: batches.find(c, project_id=PROJECT, public_id="batch_1"), 200 + REASONS),
    "batch find, ended": Query(lambda c: batches.find(c, project_id=PROJECT, public_id="batch_500"), 50),
    "batch position": Query(lambda c: batches.position(c, project_id=PROJECT, public_id="batch_1"), 10),
    "file find": Query(lambda c: files.find(c, PROJECT, "file-1"), 50),
    "file position": Query(lambda c: files.position(c, PROJECT, "file-1"), 10),
    "file expired": Query(lambda c: files.expired(c, limit=50), 50),
    "objects missing": Query(lambda c: missing.due(c, limit=50), 10),
    "object missed": Query(lambda c: missing.miss(c, OBJECTS), 10),
    "object found": Query(lambda c: missing.found(c, OBJECTS, part="object"), 10),
    "files of an object": Query(lambda c: file_copies.only_at_provider(c, OBJECTS), 20),
    "input lock": Query(lambda c: inputs.lock(c, 1), 20),
    "blobs unsettled": Query(lambda c: blob_rows.unsettled(c, limit=50), 50),
    "open work": Query(lambda c: limit_counters.open_work(c, owner="project", owner_id=PROJECT), RUNNING * 10),
    "users of an input": Query(lambda c: files.users(c, OFTEN_USED), 100),
    "file delete": Query(lambda c: files.delete(c, OFTEN_USED), 100),
    "users of a named file": Query(lambda c: files.users(c, NAMED), 100),
    "named file delete": Query(lambda c: files.delete(c, NAMED), 100),
    "files expired, in use": Query(lambda c: files.expired(c, limit=50), 50),
    # What pages of the dashboard ask.
    "page, names of batches": Query(lambda c: batches.labels(c, project_id=PROJECT, after=None, limit=100), 100 * 6),
    "page, batches that match": Query(lambda c: batches.by_ids(c, range(500, 525)), 25 * 10),
    "page, place of a line": Query(lambda c: showing.place(c, HUGE, 77), 10),
    "page, number of a line": Query(lambda c: showing.numbered(c, HUGE, "c77"), 10),
    "page, failures": Query(lambda c: showing.failures(c, HUGE, among=50), 50 * 5),
    "page, jobs": Query(lambda c: job_facts.named(c, "batch_500", limit=50), 20),
    "page, session": Query(lambda c: sessions.find(c, token_sha256="0", idle_ms=1000), 10),
    "page, what expires": Query(lambda c: expiries.of_project(c, PROJECT, within_ms=DAY_MS, limit=50), RUNNING * 5),
    "gauge of batches": Query(running.running_batches, RUNNING * 10),
    "gauge of capacities": Query(running.used_capacities, 50),
    "gauge of pauses": Query(running.paused, PAUSED * 6),
    "gauge of jobs": Query(running.open_jobs, ENDED // 300 * 10),
    "gauge of workers": Query(upkeep.live_workers, 10),
    "gauge of sweeps": Query(lambda c: upkeep.ran_ms_ago(c, name="sweep"), 10),
    "gauge of webhooks": Query(upkeep.pending_webhooks, 10),
    "gauge of reservations": Query(upkeep.reserved_picodollars, 10),
    "gauge of files": Query(upkeep.oldest_file_ms, 10),
    "gauge of containers": Query(upkeep.oldest_container_ms, 10),
    "file list": Query(
        lambda c: files.page(c, PROJECT, purpose=None, home=None, after=None, descending=True, limit=20), 300
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_looks_at_what_it_needs_alone(database: Database, name: str) -> None:
    query = QUERIES[name]
    with database.writers.connect() as connection:
        read, plans = rows_read(connection, query.act)
        connection.rollback()
    assert read <= query.most, f"{name} looked at {read} rows, of {query.most} that it may.\n{plans}"


def _fill(connection: Connection) -> None:
    """One batch with many lines that runs, another that is planned; small ones that run, and many that have ended."""
    for number in (PROJECT, OTHER):
        connection.execute(insert(projects).values(id=number, name=f"p{number}", created_at=LONG_AGO))
    account = {"id": 1, "name": "a", "provider": "local", "source": "cli", "created_at": LONG_AGO}
    connection.execute(insert(accounts).values(base_url="http://127.0.0.1:9", **account))
    connection.execute(insert(accounts).values(base_url="http://127.0.0.1:9", **account | {"id": 2, "name": "b"}))
    ended = range(FIRST_SMALL + 100, FIRST_SMALL + 100 + ENDED)
    small = {
        FIRST_SMALL + place: (status, OTHER if place % SMALL == 0 else PROJECT)
        for place, status in enumerate(status for status in STATUSES for _ in range(SMALL))
    }
    everything = {HUGE: ("in_progress", PROJECT), PLANNED: ("validating", PROJECT), **small}
    everything |= dict.fromkeys(ended, ("completed", PROJECT))
    connection.execute(insert(blobs), [_blob(number) for number in (*everything, OFTEN_USED)])
    connection.execute(insert(file_rows), [_file(number, project) for number, (_, project) in everything.items()])
    connection.execute(insert(file_rows), [_file(OFTEN_USED, PROJECT)])
    connection.execute(insert(batch_rows), [_batch(number, *found) for number, found in everything.items()])
    connection.execute(insert(batch_files), [{"batch_id": number, "file_id": NAMED} for number in small])
    connection.execute(insert(batch_files), [{"batch_id": HUGE, "file_id": number} for number in ended])
    _add_lines(connection, HUGE, HUGE_LINES)
    _add_lines(connection, PLANNED, HUGE_LINES)
    connection.execute(insert(batch_lines), [_line(number) for number in (*small, *ended)])
    failed = (batch_lines.c.batch_id == HUGE, batch_lines.c.line > HUGE_LINES - 100)
    connection.execute(update(batch_lines).where(*failed).values(state="failed"))
    huge_segments = range(1, HUGE_LINES // SEGMENT_LINES + 1)
    connection.execute(insert(batch_segments), [_huge_segment(number) for number in huge_segments])
    rows = [_small_segment(number, "open" if number in small else "done") for number in (*small, *ended)]
    connection.execute(insert(batch_segments), rows)
    chunk = {"epoch": 1, "lines": 1, "bytes": 10, "created_at": LONG_AGO}
    chunks = [{"batch_id": number, "segment_id": 1000 + number, "blob_id": number, **chunk} for number in ended]
    connection.execute(insert(batch_chunks), chunks)
    connection.execute(insert(batch_jobs), [_job(place, number) for place, number in enumerate(ended, 1)])
    connection.execute(insert(native_objects), [_object(number) for number in range(1, OBJECTS + 1)])
    copied = [{"file_id": 1, "native_object_id": number} for number in range(1, OBJECTS + 1)]
    connection.execute(insert(copy_rows), [{**one, "variant": "raw", "created_at": LONG_AGO} for one in copied])
    connection.execute(insert(batch_line_waits), [_wait(HUGE, line) for line in range(1, WAITING + 1)])
    connection.execute(insert(batch_line_waits), [_wait(number, 1) for number in small])
    connection.execute(insert(pause_rows), [_paused(1, "m"), *(_paused(2, f"m{n}") for n in range(PAUSED))])


def _add_lines(connection: Connection, batch_id: int, count: int) -> None:
    connection.execute(
        text(
            "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :count) "
            "INSERT INTO batch_lines (batch_id, line, custom_id, state, request_offset, request_bytes) "
            "SELECT :batch, n, 'c' || n, 'pending', n * 100, 99 FROM series"
        ),
        {"batch": batch_id, "count": count},
    )


def _blob(number: int) -> dict[str, Any]:
    return {"id": number, "key": f"k{number}", "store": "file:///x", "state": "live", "created_at": LONG_AGO}


def _file(number: int, project: int) -> dict[str, Any]:
    names = {"public_id": f"file-{number}", "home": "local", "purpose": "batch", "filename": "in.jsonl"}
    sizes = {"blob_id": number, "bytes": number, "status": "processed", "origin": "upload", "created_at": LONG_AGO}
    return {"id": number, "project_id": project, **names, **sizes}


def _object(number: int) -> dict[str, Any]:
    names = {"native_id": f"n{number}", "variant": "raw", "purpose": "batch", "filename": "in.jsonl"}
    is_missing = number == OBJECTS
    seen = {"missing_at": LONG_AGO, "look_at": LONG_AGO} if is_missing else {"missing_at": None, "look_at": None}
    return {"id": number, "account_id": 1, "state": "live", "created_at": LONG_AGO, **names, **seen}


def _batch(number: int, status: str, project: int) -> dict[str, Any]:
    is_over = status == "completed"
    where = {"account_id": 1, "provider": "local", "execution": "gateway", "endpoint": "/v1/chat/completions"}
    times = {"created_at": LONG_AGO + number, "expires_at": FAR, "completed_at": LONG_AGO + number if is_over else None}
    lines_total = 0 if status == "validating" else 1
    about = {"model": "m", "completion_window": "24h", "status": status, "lines_total": lines_total}
    used = OFTEN_USED if is_over else number
    ids = {"id": number, "public_id": f"batch_{number}", "project_id": project, "input_file_id": used}
    return {**ids, **where, **times, **about}


def _line(number: int) -> dict[str, Any]:
    return {"batch_id": number, "line": 1, "custom_id": "a", "state": "pending", "request_bytes": 10}


def _huge_segment(number: int) -> dict[str, Any]:
    """Of the last segments one is free and the others are leased; all before them are done."""
    count = HUGE_LINES // SEGMENT_LINES
    is_leased = count - 20 <= number < count
    return {
        "id": number,
        "batch_id": HUGE,
        "first_line": (number - 1) * SEGMENT_LINES + 1,
        "last_line": number * SEGMENT_LINES,
        "state": "open" if number >= count - 20 else "done",
        "worker": WORKER if is_leased else None,
        "lease_until": FAR if is_leased else None,
    }


def _small_segment(number: int, state: str) -> dict[str, Any]:
    free = {"worker": None, "lease_until": None}
    return {"id": 1000 + number, "batch_id": number, "first_line": 1, "last_line": 1, "state": state, **free}


def _wait(number: int, line: int) -> dict[str, Any]:
    return {"batch_id": number, "line": line, "state": "retry", "since": LONG_AGO, "until": FAR, "refusals": 1}


def _paused(account: int, model: str) -> dict[str, Any]:
    times = {"since": LONG_AGO, "paused_until": FAR}
    return {"account_id": account, "model": model, "project_id": None, "kind": "quota", "pauses": 1, **times}


def _pause(connection: Connection, project: int | None) -> None:
    why = {"kind": "quota", "status_code": 429, "code": "quota", "message": "no more"}
    pauses.note(connection, account_id=1, model="m", project_id=project, pause_ms=1000, **why)


def _job(place: int, number: int) -> dict[str, Any]:
    lines_of = {"number": 1, "first_line": 1, "last_line": 1, "lines": 1}
    is_due = place % 300 == 0
    state = {"state": "running" if is_due else "done", "next_at": LONG_AGO, "marker": f"m{place}"}
    return {"id": place, "batch_id": number, "account_id": 1, **lines_of, **state}
