"""`python -m bench`: run benchmarks, print their tables, exit with 1 when a figure is not as wanted."""

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

NAMES = ("throughput", "memory", "translation", "lists", "keys", "limits", "http")


def main() -> int:
    """What the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=NAMES, action="append", help="this one; may be given again (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller runs: to see that they work, not to conclude")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # what was started is ended
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores", flush=True)
    reports = [_run(name, quick=asked.quick) for name in asked.only or NAMES]
    if asked.json:
        asked.json.write_text(json.dumps([report.as_dict() for report in reports], indent=2) + "\n")
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
