"""Translation of 1 GB of chat lines (1.2 kB each) for each provider's jobs on one core, compared with orjson alone.

Every fifth line has tools. Targets: at least 15% of the rate at which orjson decodes and encodes the same lines, and a
peak resident size (VmHWM) of at most 64 MiB, imports included.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from bench.processes import ROOT
from bench.report import Report

# Name of the figure: (provider, model).
TARGETS = {
    "OpenAI-shaped, renamed": ("openai", "gpt-5-mini"),
    "Anthropic": ("anthropic", "claude-sonnet-4-5"),
    "Gemini": ("gemini", "gemini-2.5-flash"),
    "Vertex, Gemini": ("vertex", "gemini-2.5-flash"),
    "Vertex, Claude": ("vertex", "claude-sonnet-4-5"),
    "Bedrock, Claude": ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "Bedrock, Nova": ("bedrock", "amazon.nova-lite-v1:0"),
    "Bedrock, OpenAI-shaped": ("bedrock", "openai.gpt-oss-120b-1:0"),
    "Cohere": ("cohere", "command-a-03-2025"),
}
WHOLE_MB, QUICK_MB = 1000, 20
MB, MIB, KIB = 1e6, 2**20, 1024
RATE = (">=", 0.15)
MEMORY = ("<=", 64)
EVERY_FIFTH = 5
# The stages of encoding a line; `write` includes the dialect's envelope.
STAGES = ("split", "loads", "read", "write", "dumps")
TEXT_CHARS, TEXT_CHARS_WITH_TOOLS = 900, 440
TEXT = (
    "The customer writes that the parcel did not arrive and asks whether a refund or another delivery is possible, "
    'because it was meant as a present and the receipt is lost; déjà vu, naïve Straße, 東京, 👍 and "quotes"\n'
)
SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "string", "description": "Number of the order"},
        "reason": {"type": "string", "enum": ["late", "lost", "broken"]},
    },
    "required": ["order", "reason"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "refund", "description": "Pays the customer back.", "parameters": SCHEMA}}
]


def run(report: Report, *, quick: bool) -> None:
    """Measure each target in a new process, over one file of BENCH_MB MB."""
    megabytes = int(os.environ.get("BENCH_MB", QUICK_MB if quick else WHOLE_MB))
    with tempfile.TemporaryDirectory(prefix="batchgate-bench-") as folder:
        path = Path(folder) / "lines.jsonl"
        count = _write(path, int(megabytes * MB))
        report.notes.append(f"{path.stat().st_size / MB:,.0f} MB, {count:,} lines; rates are of the input, by CPU time")
        for name, (provider, model) in TARGETS.items():
            _measure(report, name, path, provider, model, count)


def _measure(report: Report, name: str, path: Path, provider: str, model: str, lines: int) -> None:
    command = [sys.executable, "-m", "bench.translating", str(path), provider, model]
    figures = json.loads(subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout)
    rate, bare = (figures["bytes"] / MB / figures[seconds] for seconds in ("own_s", "bare_s"))
    report.add(f"{name}: rate", rate, "MB/s", baseline=bare, target=RATE)
    report.add(f"{name}: peak", figures["peak_kib"] * KIB / MIB, "MiB", target=MEMORY)
    report.add(f"{name}: grown by", (figures["peak_kib"] - figures["start_kib"]) * KIB / MIB, "MiB")
    report.add(f"{name}: lines translated", figures["lines"], "lines", target=("==", lines))
    us = figures["us"]
    by_stage = ", ".join(f"{stage} {us[stage]:.2f}" for stage in STAGES)
    rest = us["all"] - sum(us[stage] for stage in STAGES)
    report.notes.append(f"{name}: a line takes {us['all']:.2f} us: {by_stage}, ids and choices of the line {rest:.2f}")


def _write(path: Path, size: int) -> int:
    """Fill the file; returns its number of lines."""
    count = 0
    with path.open("wb") as file:
        for line in lines():
            file.write(line)
            count += 1
            if file.tell() >= size:
                return count
    return count


def lines() -> Iterator[bytes]:
    """Yield an endless series of chat lines, the same in every run."""
    generator = random.Random(4)
    number = 0
    while True:
        body = {"model": "bench-model", "messages": [], "temperature": 0.2, "max_tokens": 300}
        if number % EVERY_FIFTH == 0:
            body |= {"tools": TOOLS, "tool_choice": "auto"}
        question = _text(generator, TEXT_CHARS_WITH_TOOLS if "tools" in body else TEXT_CHARS)
        body["messages"] = [
            {"role": "system", "content": "You sort the letters of customers."},
            {"role": "user", "content": question},
        ]
        line = {"custom_id": f"request-{number:07}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        number += 1


def _text(generator: random.Random, chars: int) -> str:
    words, chosen, length = TEXT.split(" "), [], 0
    while length < chars:
        word = generator.choice(words)
        chosen.append(word)
        length += len(word) + 1
    return " ".join(chosen)
