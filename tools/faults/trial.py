"""Running the tests of a fault in a copy of the tree, with it and without it."""

import os
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from tools.faults import trees
from tools.faults.catalogue import Fault, Selection

# In order, in one process, and without what an earlier run left; the report names files as node ids do.
PYTEST = (
    "-q",
    "-n",
    "0",
    "-p",
    "no:randomly",
    "-p",
    "no:cacheprovider",
    "--timeout",
    "120",
    "-o",
    "junit_family=xunit1",
)
# Longer than the tests of any fault take on a busy machine.
MAX_RUN_S = 600
TAIL_LINES = 12
# Where the tests look for a PostgreSQL server before they start one, and how tests that need it are called.
SERVER = "BATCHGATE_TEST_POSTGRES"
POSTGRESQL = "postgresql"
TEARDOWN = "teardown"


class Verdict(Enum):
    """What came of a fault. Only `CAUGHT` is good."""

    CAUGHT = "caught"
    NOT_CAUGHT = "NOT CAUGHT"
    STALE = "ANCHOR STALE"
    NOT_RUN = "TESTS DID NOT RUN"


@dataclass(frozen=True, slots=True)
class Run:
    """What pytest did: its exit status, the tests (node ids) that passed and that failed, and its last words."""

    code: int
    passed: Sequence[str]
    failed: Sequence[str]
    tail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fault: the test (node id) that caught it, or why none did."""

    fault: Fault
    verdict: Verdict
    seconds: float
    test: str = ""
    reason: str = ""


def try_out(fault: Fault, copy: Path, python: str) -> Outcome:
    """Plant the fault in `copy` and run its tests. `CAUGHT` is still to be confirmed: see `confirmed`."""
    begun = time.monotonic()
    if missing := [path for path in fault.tests.paths if not (copy / path).exists()]:
        return Outcome(fault, Verdict.NOT_RUN, 0.0, reason=f"git tracks no {missing[0]}")
    try:
        with trees.plant(copy, fault):
            run = run_tests(fault.tests, copy, python, "-x")
    except trees.StaleAnchorError as error:
        return Outcome(fault, Verdict.STALE, 0.0, reason=str(error))
    except SyntaxError as error:
        return Outcome(fault, Verdict.NOT_RUN, 0.0, reason=f"the faulty file is not Python: {error}")
    return judged(fault, run, time.monotonic() - begun)


def judged(fault: Fault, run: Run, seconds: float) -> Outcome:
    """What a run of the fault's tests, with the fault in the tree, says of it."""
    if run.failed:
        return Outcome(fault, Verdict.CAUGHT, seconds, test=run.failed[0])
    if run.code == 0 and run.passed:
        return Outcome(fault, Verdict.NOT_CAUGHT, seconds, reason=f"{len(run.passed)} tests passed")
    return Outcome(fault, Verdict.NOT_RUN, seconds, reason=f"no test came to its end:\n{run.tail}")


def confirmed(outcomes: Sequence[Outcome], copy: Path, python: str) -> list[Outcome]:
    """The outcomes, where only those are caught whose test passes in `copy` as it is, without a fault."""
    tests = sorted({outcome.test for outcome in outcomes if outcome.test})
    if not tests:
        return list(outcomes)
    run = run_tests(Selection(tuple(tests), ""), copy, python)
    sound = set(run.passed)
    reason = f"its test does not pass without the fault, either:\n{run.tail}"
    return [
        replace(outcome, verdict=Verdict.NOT_RUN, reason=reason)
        if outcome.verdict is Verdict.CAUGHT and outcome.test not in sound
        else outcome
        for outcome in outcomes
    ]


def run_tests(tests: Selection, tree: Path, python: str, *options: str) -> Run:
    """Run a selection of tests in `tree`, in a process of their own."""
    with tempfile.TemporaryDirectory(prefix="batchgate-faults-") as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", *PYTEST, *options, f"--junit-xml={report}", *tests.arguments()]
        try:
            done = subprocess.run(
                command,
                cwd=tree,
                env=_environment(tests, tree),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=MAX_RUN_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Run(-1, (), (), f"the tests took longer than {MAX_RUN_S} s")
        passed, failed = _read(report)
    tail = "\n".join(done.stdout.decode("utf-8", "replace").splitlines()[-TAIL_LINES:])
    return Run(done.returncode, passed, failed, tail)


def _environment(tests: Selection, tree: Path) -> dict[str, str]:
    # Processes that tests start import from the copy, too, and not from wherever the package is installed.
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    if POSTGRESQL not in " ".join(tests.arguments()):
        # No server is started where no test names it; a test that needs one fails at its setup, and does not count.
        environment[SERVER] = ""
    return environment


def _read(report: Path) -> tuple[list[str], list[str]]:
    """The tests that passed and those that failed. One that fell before it began did neither."""
    passed: list[str] = []
    failed: list[str] = []
    if report.is_file():
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
            error = case.find("error")
            if case.find("failure") is not None or (error is not None and TEARDOWN in error.get("message", "")):
                failed.append(_node_id(case))
            elif error is None and case.find("skipped") is None:
                passed.append(_node_id(case))
    return passed, failed


def _node_id(case: ElementTree.Element) -> str:
    return f"{case.get('file', '')}::{case.get('name', '')}"
