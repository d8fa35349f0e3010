"""`python -m bench`: run benchmarks, print their tables, and exit with 1 if a figure misses its target."""

import argparse
import importlib
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path

from bench.report import Report

NAMES = (
    "throughput",
    "memory",
    "translation",
    "lists",
    "keys",
    "limits",
    "http",
    "planning",
    "objects",
    "small",
    "idle",
)


def main() -> int:
    """Run the benchmarks that the command line selects; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=NAMES, action="append", help="run only this one; repeatable (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller runs, to check that the benchmarks work")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    options = parser.parse_args()
    signal.signal(
        signal.SIGTERM, lambda number, _frame: sys.exit(128 + number)
    )  # runs the `with` blocks that end child processes
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores", flush=True)
    reports = [_run(name, quick=options.quick) for name in options.only or NAMES]
    if options.json:
        options.json.write_text(json.dumps([report.as_dict() for report in reports], indent=2) + "\n")
    failed = [report.name for report in reports if not report.passed]
    print(f"\nFAIL: {', '.join(failed)}" if failed else "\nPASS")
    return 1 if failed else 0


def _run(name: str, *, quick: bool) -> Report:
    module = importlib.import_module(f"bench.{name}")
    started = time.monotonic()
    report = Report(name)
    module.run(report, quick=quick)
    print(f"\n{name} ({time.monotonic() - started:.0f} s): {module.__doc__}\n\n{report.table()}", flush=True)
    return report


if __name__ == "__main__":
    raise SystemExit(main())
