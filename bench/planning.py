"""Indexing an upload, planning and finalising 50,000 lines of 160 bytes, compared with parsing them by orjson alone.

By CPU time of this process. Beside them, without a baseline, the time from POST to the first line that is sent.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import monotonic, process_time

import orjson

from app.engine.outcomes import Result, Tokens
from app.engine.run import Segment
from app.services.access import keys
from app.services.batches import create
from app.services.batches.create import NewBatch
from app.services.files.files import NewFile, receiving
from app.services.gateway import Caller, Gateway
from app.services.lines import output
from app.services.lines.index import LineIndex
from app.services.running.work import BatchWork
from app.worker import build_engine
from bench.databases import Stores, on_both, sqlite
from bench.processes import Fake, until
from bench.report import Report
from bench.store import CHAT, chat_lines

LINES, QUICK_LINES = 50_000, 5000
# With this text a line has 160 bytes or a few more.
TEXT_BYTES = 1
PIECE_BYTES = 64 * 1024
ROUNDS = 5
INDEXING, PLANNING, FINALISING = ("<=", 4), ("<=", 15), ("<=", 6)
FIRST_LINE_S = ("<=", 0.3)
ANSWER = b'{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"content":"yes"}}]}'
CHUNK_LINES = 500


@dataclass(frozen=True, slots=True)
class _Input:
    lines: Sequence[bytes]
    loads_us: float

    def us(self, cpu_s: float) -> float:
        """Microseconds of CPU for each line."""
        return cpu_s / len(self.lines) * 1e6


def run(report: Report, *, quick: bool) -> None:
    """Measure both databases; only SQLite if `quick`."""
    lines = list(chat_lines(QUICK_LINES if quick else LINES, text_bytes=TEXT_BYTES))
    source = _Input(lines, min(_cpu_s(lambda: _parse(lines)) for _ in range(ROUNDS)) / len(lines) * 1e6)
    _measure_index(report, source)

    def measure(report: Report, database: str, stores: Stores) -> None:
        _measure_batch(report, database, stores, source)
        _measure_start(report, database, stores, source)

    if quick:
        measure(report, "sqlite", sqlite)
    else:
        on_both(report, measure)


def _cpu_s(step: Callable[[], object]) -> float:
    """The CPU time until there is nothing more to do."""
    started = process_time()
    while step():
        pass
    return process_time() - started


def _parse(lines: Sequence[bytes]) -> None:
    loads = orjson.loads
    for line in lines:
        loads(line)


def _measure_index(report: Report, source: _Input) -> None:
    data = b"".join(source.lines)
    pieces = [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]

    def index() -> None:
        made = LineIndex(max_lines=10**7)
        for piece in pieces:
            made.write(piece)
        made.finish()

    us = source.us(min(_cpu_s(index) for _ in range(ROUNDS)))
    rate = len(data) / len(source.lines) / us * 1e6 / 2**20
    report.notes.append(f"lines have {len(data) / len(source.lines):.0f} bytes; indexed at {rate:.0f} MiB/s")
    report.add("indexing", us, "us/line", baseline=source.loads_us, target=INDEXING)


def _measure_batch(report: Report, database: str, stores: Stores, source: _Input) -> None:
    planning, finalising = [], []
    for _ in range(ROUNDS):
        with stores(LOCAL_BASE_URL="http://127.0.0.1:9/v1") as gateway:
            caller = _caller(gateway)
            _start(gateway, caller, _put(gateway, caller, source.lines))
            work = BatchWork(gateway, worker="bench")
            planning.append(_cpu_s(work.plan))
            _answer(work)
            finalising.append(_cpu_s(work.finalise))
    baseline = source.loads_us
    report.add(f"{database}: planning", source.us(min(planning)), "us/line", baseline=baseline, target=PLANNING)
    report.add(f"{database}: finalising", source.us(min(finalising)), "us/line", baseline=baseline, target=FINALISING)


def _answer(work: BatchWork) -> None:
    """Let each line go well, the last ones of a chunk first: answers never come in the order of the lines."""
    while claimed := work.claim(skip=()):
        segment = claimed[1]
        results = [_result(segment, position) for position in range(len(segment.lines))]
        for start in range(0, len(results), CHUNK_LINES):
            chunk = results[start : start + CHUNK_LINES][::-1]
            work.flush(segment, chunk, (), last=start + CHUNK_LINES >= len(results))


def _result(segment: Segment, position: int) -> Result:
    line = segment.lines[position]
    data = output.answered_line(
        "batch_bench", line.number, line.custom_id, status_code=200, request_id="req_bench", body=ANSWER
    )
    tokens = Tokens(input=10, output=1)
    return Result(line=line, succeeded=True, data=data, status_code=200, latency_ms=5, tokens=tokens)


def _measure_start(report: Report, database: str, stores: Stores, source: _Input) -> None:
    times = []
    with Fake(latency_ms=100) as fake:
        for _ in range(ROUNDS):
            with stores(LOCAL_BASE_URL=f"{fake.url}/v1") as gateway, _working(gateway):
                caller = _caller(gateway)
                file_id = _put(gateway, caller, source.lines)
                fake.forget()
                started = monotonic()
                _start(gateway, caller, file_id)
                until(lambda: fake.stats()["marks"], what="line", poll_s=0.002)
                times.append(monotonic() - started)
    report.add(f"{database}: POST to the first line", median(times), "s", target=FIRST_LINE_S)


@contextmanager
def _working(gateway: Gateway) -> Iterator[None]:
    engine = build_engine(gateway, name="bench")
    thread = threading.Thread(target=engine.run)
    thread.start()
    try:
        yield
    finally:
        engine.stop()
        thread.join()


def _caller(gateway: Gateway) -> Caller:
    key = keys.create(gateway, project="bench", name="bench").key
    return keys.authenticate(gateway, key, request_id="req_bench")


def _put(gateway: Gateway, caller: Caller, lines: Sequence[bytes]) -> str:
    new = NewFile(provider="local", purpose="batch", filename="in.jsonl", expires_after_s=None)
    with receiving(gateway, new.filename) as incoming:
        data = b"".join(lines)
        for start in range(0, len(data), PIECE_BYTES):
            incoming.write(data[start : start + PIECE_BYTES])
        return str(incoming.create(caller, new).public_id)


def _start(gateway: Gateway, caller: Caller, file_id: str) -> None:
    create.create(gateway, caller, NewBatch(provider="local", endpoint=CHAT), source=file_id)
