"""1 GB of chat lines of 1.2 kB, written in the dialect of each provider's jobs on one core, against orjson alone.

Tools stand in every fifth line. The limits: 15 % of the rate at which orjson reads the same lines and writes them
again, and a process that never has more than 64 MiB resident (VmHWM, all that it imports included).
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

# What is measured, and the provider and model that it takes.
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
# What a line's time is spent on; `write` is the dialect's and its envelope.
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
    """A fresh process for each target, over one file; BENCH_MB is its size in MB."""
    megabytes = int(os.environ.get("BENCH_MB", QUICK_MB if quick else WHOLE_MB))
    with tempfile.TemporaryDirectory(prefix="batchgate-bench-") as folder:
        path = Path(folder) / "lines.jsonl"
        made = _write(path, int(megabytes * MB))
        report.notes.append(f"{path.stat().st_size / MB:,.0f} MB, {made:,} lines; rates are of the input, by CPU time")
        for name, (provider, model) in TARGETS.items():
            _tell(report, name, path, provider, model, made)


def _tell(report: Report, name: str, path: Path, provider: str, model: str, lines: int) -> None:
    words = [sys.executable, "-m", "bench.translating", str(path), provider, model]
    told = json.loads(subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout)
    rate, bare = (told["bytes"] / MB / told[what] for what in ("own_s", "bare_s"))
    report.add(f"{name}: rate", rate, "MB/s", baseline=bare, wanted=RATE)
    report.add(f"{name}: peak", told["peak_kib"] * KIB / MIB, "MiB", wanted=MEMORY)
    report.add(f"{name}: grown by", (told["peak_kib"] - told["start_kib"]) * KIB / MIB, "MiB")
    report.add(f"{name}: lines translated", told["lines"], "lines", wanted=("==", lines))
    us = told["us"]
    spent = ", ".join(f"{stage} {us[stage]:.2f}" for stage in STAGES)
    rest = us["all"] - sum(us[stage] for stage in STAGES)
    report.notes.append(f"{name}: a line takes {us['all']:.2f} us: {spent}, ids and choices of the line {rest:.2f}")


def _write(path: Path, size: int) -> int:
    """Fill the file; returns how many lines it has."""
    made = 0
    with path.open("wb") as file:
        for line in lines():
            file.write(line)
            made += 1
            if file.tell() >= size:
                return made
    return made


def lines() -> Iterator[bytes]:
    """Chat lines without end, the same at every run."""
    drawn = random.Random(4)
    number = 0
    while True:
        body = {"model": "bench-model", "messages": [], "temperature": 0.2, "max_tokens": 300}
        if number % EVERY_FIFTH == 0:
            body |= {"tools": TOOLS, "tool_choice": "auto"}
        asked = _text(drawn, TEXT_CHARS_WITH_TOOLS if "tools" in body else TEXT_CHARS)
        body["messages"] = [
            {"role": "system", "content": "You sort the letters of customers."},
            {"role": "user", "content": asked},
        ]
        line = {"custom_id": f"request-{number:07}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        number += 1


def _text(drawn: random.Random, chars: int) -> str:
    words, found, length = TEXT.split(" "), [], 0
    while length < chars:
        word = drawn.choice(words)
        found.append(word)
        length += len(word) + 1
    return " ".join(found)
