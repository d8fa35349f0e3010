"""The planted faults: what counts as caught, and that each can still be planted."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tools.faults import trial
from tools.faults.__main__ import main
from tools.faults.catalogue import CatalogueError, Selection, load
from tools.faults.trial import Verdict

SETUP = """\
[tool:pytest]
addopts = -n 2
"""
CODE = """\
def double(value: int) -> int:
    return value * 2
"""
TESTS = """\
import pytest

from code_under_test import double


def test_doubles() -> None:
    assert double(3) == 6


def test_zero() -> None:
    assert double(0) == 0


def test_fails_anyway() -> None:
    assert double(3) == 7


@pytest.fixture
def doubled() -> int:
    if double(1) != 2:
        raise RuntimeError
    return double(1)


def test_of_a_fixture(doubled: int) -> None:
    assert doubled
"""
FAULT = """\
[{name}]
says = "It is wrong."
file = "code_under_test.py"
find = "{find}"
put = "{put}"
tests = ["test_code.py"]
only = "{only}"
"""


def fault(name: str = "adds", *, find: str = "value * 2", put: str = "value + 2", only: str = "doubles") -> str:
    """One fault as TOML; unless told otherwise it is one that a test notices."""
    return FAULT.format(name=name, find=find, put=put, only=only)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one function and its tests, whose runs load no plugins that they do without."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:anyio")
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, text in {"setup.cfg": SETUP, "code_under_test.py": CODE, "test_code.py": TESTS}.items():
        (tree / name).write_text(text)
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    subprocess.run(["git", "-C", str(tree), "add", "."], check=True)
    return tree


def run(tree: Path, faults: str, *options: str) -> Result:
    """Run the faults, a TOML text, on the tree."""
    catalogue = tree.parent / "faults.toml"
    catalogue.write_text(faults)
    return CliRunner().invoke(main, ["--tree", str(tree), "--catalogue", str(catalogue), *options])


def test_faults_that_tests_notice_are_caught_and_the_tree_stays_as_it_is(tree: Path) -> None:
    result = run(tree, fault("adds"))
    assert result.exit_code == 0, result.output
    assert "1 caught" in result.output
    assert result.output.count("test_code.py::test_doubles") == 1
    assert (tree / "code_under_test.py").read_text() == CODE


def test_what_proves_nothing_is_a_failure(tree: Path) -> None:
    wrong = {
        "unnoticed": (fault("unnoticed", put="value * 3", only="zero"), "NOT CAUGHT"),
        "moved": (fault("moved", find="value - 2"), "ANCHOR STALE"),
        "ambiguous": (fault("ambiguous", find="value"), "ANCHOR STALE"),
        "failing": (fault("failing", only="fails_anyway"), "TESTS DID NOT RUN"),
        "unparseable": (fault("unparseable", put="value *"), "TESTS DID NOT RUN"),
    }
    result = run(tree, "".join(text for text, _ in wrong.values()), "--jobs", "2")
    assert result.exit_code == 1
    table = {line.split()[1]: line for line in result.output.splitlines() if line.startswith("faults ")}
    assert {name: verdict for name, (_, verdict) in wrong.items() if verdict not in table[name]} == {}, result.output


def test_only_tests_that_began_have_passed_or_failed(tree: Path) -> None:
    (tree / "code_under_test.py").write_text(CODE.replace("value * 2", "value + 2"))
    done = trial.run_tests(Selection(("test_code.py",), ""), tree, sys.executable)
    assert done.code == 1
    assert done.passed == []
    assert done.failed == [f"test_code.py::test_{name}" for name in ("doubles", "zero", "fails_anyway")]


@pytest.mark.parametrize(
    ("code", "passed", "failed", "verdict"),
    [
        pytest.param(1, ["test_a"], ["test_b"], Verdict.CAUGHT, id="one-failed"),
        pytest.param(0, ["test_a"], [], Verdict.NOT_CAUGHT, id="all-passed"),
        pytest.param(1, [], [], Verdict.NOT_RUN, id="fell-before-it-began"),
        pytest.param(1, ["test_a"], [], Verdict.NOT_RUN, id="one-fell-before-it-began"),
        pytest.param(2, [], [], Verdict.NOT_RUN, id="cannot-be-imported"),
        pytest.param(5, [], [], Verdict.NOT_RUN, id="nothing-selected"),
        pytest.param(0, [], [], Verdict.NOT_RUN, id="all-skipped"),
        pytest.param(-1, [], [], Verdict.NOT_RUN, id="took-too-long"),
    ],
)
def test_a_fault_is_caught_by_a_failure_alone(
    code: int, passed: list[str], failed: list[str], verdict: Verdict, tmp_path: Path
) -> None:
    (tmp_path / "faults.toml").write_text(fault())
    [planted] = load(tmp_path / "faults.toml")
    assert trial.judged(planted, trial.Run(code, passed, failed, ""), 1.0).verdict is verdict


def test_the_text_of_every_fault_can_be_checked_without_running_anything(tree: Path) -> None:
    assert run(tree, fault(), "--check").exit_code == 0
    stale = run(tree, fault(find="value * 4"), "--check")
    assert stale.exit_code == 1
    assert "1 to repair" in stale.output


def test_faults_are_listed_and_chosen_by_name_or_group(tree: Path) -> None:
    faults = fault("one") + fault("two")
    assert run(tree, faults, "--list", "--only", "two").output.split()[:2] == ["faults", "two"]
    assert len(run(tree, faults, "--list", "--only", "faults").output.splitlines()) == 2
    assert run(tree, faults, "--only", "three").exit_code == 1


def test_a_fault_says_all_that_is_needed(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text('[one]\nsays = "It adds."\n')
    with pytest.raises(CatalogueError, match="one"):
        load(tmp_path)


def test_every_fault_of_this_repository_can_be_planted() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tools.faults", "--check"], check=False, capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 to repair" in done.stdout
