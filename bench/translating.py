"""`python -m bench.translating FILE PROVIDER MODEL`: one process that translates FILE; tells what it took as JSON.

The file is gone through in slices, each first with orjson alone and then by the gateway's own path, so that whatever
else the machine does meets both alike. What counts is the time of this process on a core, the kernel's share included.
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
LONGEST_LINE_BYTES = 16 * 2**20
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
    """What encodes lines for jobs of `model` at an account whose alias of it is ALIAS. Nothing is ever called."""
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
    """Tell {"bytes", "lines", "bare_s", "own_s", "start_kib", "peak_kib", "us"} of the file."""
    path, provider, model = sys.argv[1:]
    encoder = encoder_of(provider, model)
    told: dict[str, Any] = {"bytes": Path(path).stat().st_size, "lines": 0, "bare_s": 0.0, "own_s": 0.0}
    told["start_kib"] = _status_kib("VmRSS")
    with open(path, "rb") as file, tempfile.TemporaryFile() as out:
        start = 0
        while start < told["bytes"]:
            end = _line_end(file, start + SLICE_BYTES)
            told["bare_s"] += _timed(lambda: _bare(file, start, end, out))  # noqa: B023 - called at once
            before = told["lines"]
            told["own_s"] += _timed(lambda: _translate(file, start, end, out, encoder, before, told))  # noqa: B023
            start = end
    told["peak_kib"] = _status_kib("VmHWM")
    told["us"] = _stages(path, encoder)
    print(json.dumps(told))


def _timed(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _bare(file: IO[bytes], start: int, end: int, out: IO[bytes]) -> None:
    _rewind(file, start, out)
    loads, dumps, append = orjson.loads, orjson.dumps, orjson.OPT_APPEND_NEWLINE
    left = end - start
    for line in file:
        out.write(dumps(loads(line), option=append))
        left -= len(line)
        if not left:
            break
    out.flush()


def _translate(
    file: IO[bytes], start: int, end: int, out: IO[bytes], encoder: Encoder, number: int, told: dict[str, Any]
) -> None:
    _rewind(file, start, out)
    for number, line in enumerate(  # noqa: B020 - goes on from it
        jsonl.lines(_chunks(file, end - start), max_line_bytes=LONGEST_LINE_BYTES), start=number
    ):
        assert line.data is not None
        encoded, _ = encoder.line(line.number, f"request-{number:07}", line.data)
        out.write(encoded.data)
    told["lines"] = number + 1
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
    """Microseconds for a line that each stage takes by itself, the best of some rounds over the first lines."""
    with open(path, "rb") as file:
        lines = [line for line, _ in zip(file, range(SAMPLE_LINES), strict=False)]
    whole = b"".join(lines)
    bodies = [orjson.loads(line)["body"] for line in lines]
    connector, model = encoder.account.connector, encoder.account.native_model(ALIAS)
    jobs = [JobLine("c", encoder.target, model, body) for body in bodies]
    encoded = [orjson.loads(connector.encode_line(job).data) for job in jobs]
    same = encoder.limits.dialect == "openai"
    told = {
        "split": _best(lambda _: None, _Split(whole)),
        "loads": _best(orjson.loads, lines),
        "read": 0.0 if same else _best(requests.read, bodies),
        "dumps": _best(orjson.dumps, encoded),
    }
    told["write"] = _best(connector.encode_line, jobs) - told["read"] - told["dumps"]
    told["all"] = told["split"] + _best(lambda line: encoder.line(1, "c", line), lines)
    return told


class _Split:
    """The lines of some bytes, split anew each time."""

    def __init__(self, whole: bytes) -> None:
        self._whole = whole

    def __iter__(self) -> Iterator[Any]:
        return jsonl.lines((self._whole,), max_line_bytes=LONGEST_LINE_BYTES)


def _best(stage: Callable[[Any], Any], values: Iterable[Any]) -> float:
    def all_of_them() -> None:
        for value in values:
            stage(value)

    return min(_timed(all_of_them) for _ in range(ROUNDS)) / SAMPLE_LINES * 1e6


def _status_kib(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main()
