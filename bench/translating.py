"""`python -m bench.translating FILE PROVIDER MODEL`: translate FILE in one process and print the cost as JSON.

The file is processed in slices, each first with orjson alone and then by the gateway's own code, so that other load on
the machine affects both. Times are CPU times of this process, kernel time included.
"""

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from app.connectors.catalogue import registry
from app.connectors.contract.base import Target
from app.connectors.contract.objects import JobLine
from app.lib import jsonl
from app.services.accounts.directory import Account
from app.services.jobs.input import Encoder
from app.translate.chat import requests

CHAT = "/v1/chat/completions"
ALIAS = "bench-model"
SLICE_BYTES = 32 * 2**20
CHUNK_BYTES = 256 * 1024
MAX_LINE_BYTES = 16 * 2**20
SAMPLE_LINES = 5000
ROUNDS = 5
GOOGLE = {
    "type": "service_account",
    "project_id": "p",
    "client_email": "a@b.c",
    "private_key": "k",
    "token_uri": "https://bench.invalid",
}
AWS = {"access_key_id": "AKIA", "secret_access_key": "k"}
CREDENTIALS = {"vertex": json.dumps(GOOGLE), "bedrock": json.dumps(AWS)}
OPTIONS = {"vertex": {"project": "p", "location": "us-central1", "bucket": "bench-bucket"}}


def encoder_of(provider: str, model: str) -> Encoder:
    """Return an encoder of lines for jobs of `model`, at an account that maps ALIAS to it. It makes no calls."""
    entry = registry.find(provider)
    assert entry is not None
    target = Target(
        provider,
        entry.base_url or "https://bench.invalid",
        CREDENTIALS.get(provider, "key"),
        options={**entry.options, **OPTIONS.get(provider, {})},
        abilities=registry.abilities(provider),
    )
    connector = registry.load(target)
    account = Account(1, provider, "bench", target.base_url, 1, 1, {ALIAS: model}, connector)
    return Encoder(account, CHAT, None)


def main() -> None:
    """Print {"bytes", "lines", "bare_s", "own_s", "start_kib", "peak_kib", "us"} of the file."""
    path, provider, model = sys.argv[1:]
    encoder = encoder_of(provider, model)
    figures: dict[str, Any] = {"bytes": Path(path).stat().st_size, "lines": 0, "bare_s": 0.0, "own_s": 0.0}
    figures["start_kib"] = _status_kib("VmRSS")
    with open(path, "rb") as file, tempfile.TemporaryFile() as out:
        start = 0
        while start < figures["bytes"]:
            end = _line_end(file, start + SLICE_BYTES)
            figures["bare_s"] += _timed(lambda: _bare(file, start, end, out))  # noqa: B023 - called at once
            before = figures["lines"]
            figures["own_s"] += _timed(lambda: _translate(file, start, end, out, encoder, before, figures))  # noqa: B023
            start = end
    figures["peak_kib"] = _status_kib("VmHWM")
    figures["us"] = _stages(path, encoder)
    print(json.dumps(figures))


def _timed(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _bare(file: IO[bytes], start: int, end: int, out: IO[bytes]) -> None:
    _rewind(file, start, out)
    loads, dumps, append = orjson.loads, orjson.dumps, orjson.OPT_APPEND_NEWLINE
    remaining = end - start
    for line in file:
        out.write(dumps(loads(line), option=append))
        remaining -= len(line)
        if not remaining:
            break
    out.flush()


def _translate(
    file: IO[bytes], start: int, end: int, out: IO[bytes], encoder: Encoder, number: int, figures: dict[str, Any]
) -> None:
    _rewind(file, start, out)
    for number, line in enumerate(  # noqa: B020 - continues from it
        jsonl.lines(_chunks(file, end - start), max_line_bytes=MAX_LINE_BYTES), start=number
    ):
        assert line.data is not None
        encoded, _ = encoder.line(line.number, f"request-{number:07}", line.data)
        out.write(encoded.data)
    figures["lines"] = number + 1
    out.flush()


def _rewind(file: IO[bytes], start: int, out: IO[bytes]) -> None:
    out.seek(0)
    out.truncate()
    file.seek(start)


def _chunks(file: IO[bytes], length: int) -> Iterator[bytes]:
    while length and (chunk := file.read(min(CHUNK_BYTES, length))):
        length -= len(chunk)
        yield chunk


def _line_end(file: IO[bytes], near: int) -> int:
    file.seek(near)
    file.readline()
    return file.tell()


def _stages(path: str, encoder: Encoder) -> dict[str, float]:
    """Measure each stage alone, in microseconds per line: the best of ROUNDS rounds over the first lines."""
    with open(path, "rb") as file:
        lines = [line for line, _ in zip(file, range(SAMPLE_LINES), strict=False)]
    whole = b"".join(lines)
    bodies = [orjson.loads(line)["body"] for line in lines]
    connector, model = encoder.account.connector, encoder.account.native_model(ALIAS)
    jobs = [JobLine("c", encoder.target, model, body) for body in bodies]
    encoded = [orjson.loads(connector.encode_line(job).data) for job in jobs]
    is_openai = encoder.limits.dialect == "openai"
    us = {
        "split": _best(lambda _: None, _Split(whole)),
        "loads": _best(orjson.loads, lines),
        "read": 0.0 if is_openai else _best(requests.read, bodies),
        "dumps": _best(orjson.dumps, encoded),
    }
    us["write"] = _best(connector.encode_line, jobs) - us["read"] - us["dumps"]
    us["all"] = us["split"] + _best(lambda line: encoder.line(1, "c", line), lines)
    return us


class _Split:
    """Splits some bytes into lines, anew on each iteration."""

    def __init__(self, whole: bytes) -> None:
        self._whole = whole

    def __iter__(self) -> Iterator[Any]:
        return jsonl.lines((self._whole,), max_line_bytes=MAX_LINE_BYTES)


def _best(stage: Callable[[Any], Any], values: Iterable[Any]) -> float:
    def run_all() -> None:
        for value in values:
            stage(value)

    return min(_timed(run_all) for _ in range(ROUNDS)) / SAMPLE_LINES * 1e6


def _status_kib(name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1])


if __name__ == "__main__":
    main()
