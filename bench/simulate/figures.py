"""What things cost: measured on PostgreSQL by `python -m bench.simulate --measure`, and assumed where nothing is."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

from sqlalchemy import Connection

from app.engine.gate import Signals
from app.engine.outcomes import Result, Tokens
from app.engine.run import Segment
from app.services.access import keys
from app.services.batches import create
from app.services.batches.create import NewBatch
from app.services.files.files import NewFile, receiving
from app.services.gateway import Caller, Gateway
from app.services.running.work import BatchWork
from bench.databases import postgresql
from bench.store import CHAT, chat_lines
from tests.support import postgres

LINES = 20_000
ROUNDS = 50
BATCHES = 300
SMALL, LARGE = 4, 200
# Of a chunk's own rows, its blob's, and the counters of its batch.
CHUNK_WAL_BYTES = 2000
TABLES = ("batch_lines", "usage_ledger", "batch_chunks", "blobs", "batch_segments")


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of the database for each kind of transaction, bytes that it writes, and what a worker needs.

    Those of the database are what it is busy for. A row that a transaction locks is held for `commit_ms` (which the
    server of the tests has switched off) and `round_trips_ms` besides.
    """

    claim_ms: float = 0.7
    claim_ms_per_batch: float = 0.001
    exchange_ms: float = 0.3
    flush_ms: float = 1.6
    flush_ms_per_line: float = 0.05
    renew_ms: float = 0.24
    plan_ms_per_line: float = 0.015
    finalise_ms_per_line: float = 0.005
    wal_bytes_per_line: int = 1650
    wal_bytes_per_chunk: int = CHUNK_WAL_BYTES
    row_bytes_per_line: int = 828
    # Of `make bench`: a worker's CPU for each line, whichever process it is in.
    cpu_ms_per_line: float = 1.7
    # Assumed: a disk's commit, and how long a client on another host holds a row between its statements.
    commit_ms: float = 1.0
    round_trips_ms: float = 1.5


def measure() -> Figures:
    """Measure anew, on a temporary PostgreSQL. Of each kind the fastest counts: the machine may be busy."""
    with ExitStack() as stack:
        server = postgres.Postgres()
        stack.callback(server.stop)
        gateway = stack.enter_context(postgresql(LOCAL_BASE_URL="http://127.0.0.1:9/v1"))
        return _measure(gateway)


def _measure(gateway: Gateway) -> Figures:
    key = keys.create(gateway, project="bench", name="bench").key
    caller = keys.authenticate(gateway, key, request_id="req_bench")
    file, short = _put(gateway, caller, LINES), _put(gateway, caller, 1)
    create.create(gateway, caller, NewBatch(provider="local", endpoint=CHAT), source=file.public_id)
    work = BatchWork(gateway, worker="bench")
    before = _wal(gateway)
    plan_s = _time(lambda: _until_done(work.plan))
    claims, exchanges, flushes, chunks, renewals = [], [], {SMALL: [], LARGE: []}, 0, []
    while claimed := _timed(claims, lambda: work.claim(skip=())):
        capacity, segment = claimed
        if len(exchanges) < ROUNDS:
            _timed(exchanges, lambda: work.exchange(capacity, held=1, wanted=64, signals=Signals(10, 0)))  # noqa: B023
            _timed(renewals, lambda: work.renew([segment]))  # noqa: B023
        at, number = 0, len(segment.lines)
        while at < number:
            size = SMALL if len(flushes[SMALL]) < ROUNDS and number - at > LARGE + SMALL else LARGE
            results = [_result(segment, position) for position in range(at, min(at + size, number))]
            took = flushes[size] if len(results) == size else []
            last = at + size >= number
            _timed(took, lambda: work.flush(segment, results, (), last=last))  # noqa: B023
            at, chunks = at + size, chunks + 1
    flushed = _wal(gateway)
    finalise_s = _time(lambda: _until_done(work.finalise))
    alone: list[float] = []
    for _ in range(ROUNDS // 5):
        create.create(gateway, caller, NewBatch(provider="local", endpoint=CHAT), source=short.public_id)
        _until_done(work.plan)
        _timed(alone, lambda: work.claim(skip=()))
    for _ in range(BATCHES):
        create.create(gateway, caller, NewBatch(provider="local", endpoint=CHAT), source=short.public_id)
    _until_done(work.plan)
    among: list[float] = []
    for _ in range(ROUNDS):
        _timed(among, lambda: work.claim(skip=()))
    small, large = min(flushes[SMALL]), min(flushes[LARGE])
    per_line = (large - small) / (LARGE - SMALL)
    with gateway.database.read() as connection:
        sizes = sum(_scalar(connection, f"SELECT pg_total_relation_size('{table}')") for table in TABLES)
    return Figures(
        claim_ms=min(claims[:-1]),
        claim_ms_per_batch=max(0.0, min(among) - min(alone)) / BATCHES,
        exchange_ms=min(exchanges),
        flush_ms=max(0.5, small - SMALL * per_line),
        flush_ms_per_line=per_line,
        renew_ms=min(renewals),
        plan_ms_per_line=plan_s * 1000 / LINES,
        finalise_ms_per_line=finalise_s * 1000 / LINES,
        wal_bytes_per_line=(flushed - before - chunks * CHUNK_WAL_BYTES) // LINES,
        row_bytes_per_line=sizes // LINES,
    )


def _put(gateway: Gateway, caller: Caller, lines: int) -> Any:
    with receiving(gateway, "in.jsonl") as incoming:
        for line in chat_lines(lines):
            incoming.write(line)
        return incoming.create(caller, NewFile("local", "batch", "in.jsonl", expires_after_s=None))


def _until_done(step: Callable[[], bool]) -> None:
    while step():
        pass


def _time(act: Callable[[], object]) -> float:
    """Seconds that are not this thread's own: what the database took."""
    started, own = perf_counter(), thread_time()
    act()
    return perf_counter() - started - (thread_time() - own)


def _timed(took_ms: list[float], act: Callable[[], Any]) -> Any:
    found: list[Any] = []
    took_ms.append(_time(lambda: found.append(act())) * 1000)
    return found[0]


def _wal(gateway: Gateway) -> int:
    with gateway.database.read() as connection:
        return _scalar(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'")


def _scalar(connection: Connection, query: str) -> int:
    return int(connection.exec_driver_sql(query).scalar_one())


def _result(segment: Segment, position: int) -> Result:
    tokens = Tokens(input=100, output=100, total=200)
    return Result(segment.lines[position], True, b"x" * 500 + b"\n", status_code=200, latency_ms=500, tokens=tokens)
