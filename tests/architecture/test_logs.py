"""Every log line names things as operators and callers know them: no numbers of rows, and a reason in one field."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_database
APP = Path(__file__).resolve().parents[2] / "app"
METHODS = {"debug", "info", "warning", "error", "exception"}
# Ids that others issued or were given, under which they can be looked up.
PUBLIC_IDS = {"public_id", "native_id", "request_id", "custom_id"}
REASONS = {"error", "hint", "why", "message", "text"}


def calls(source: str) -> Iterator[ast.Call]:
    """Calls of a logger, and of a variable that holds one of its methods."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        if (isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and "log" in function) or (
            function in ("log", "say") or function.startswith("(log.")
        ):
            yield node


def row_numbers(source: str) -> list[str]:
    """What names a row by its number, wherever a log call or the pieces of one (`named`, `of`, ...) says it."""
    found = []
    for call in calls(source):
        for keyword in call.keywords:
            if str(keyword.arg).startswith("native_id"):  # a provider's own id
                continue
            keys = {id(inner) for node in ast.walk(keyword.value) if isinstance(node, ast.Subscript)
                    for inner in ast.walk(node.slice)}  # fmt: skip
            for node in ast.walk(keyword.value):
                name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
                is_row = name == "id" or (name.endswith("_id") and name not in PUBLIC_IDS)
                if is_row and id(node) not in keys:
                    found.append(f"{call.lineno}: {keyword.arg}={ast.unparse(node)}")
    return found


def test_no_log_call_names_a_row_by_its_number() -> None:
    found = {str(path.relative_to(APP)): row_numbers(path.read_text()) for path in APP.rglob("*.py")}
    assert {path: each for path, each in found.items() if each} == {}


def test_the_walk_finds_what_it_looks_for() -> None:
    source = "log.info('a', batch=lease.id)\nsay('b', account=key.account_id, file=file.public_id)\n"
    assert row_numbers(source) == ["1: batch=lease.id", "2: account=key.account_id"]


def test_a_reason_has_one_name_in_all_log_lines() -> None:
    named = [
        f"{path.relative_to(APP)}:{call.lineno} {keyword.arg}"
        for path in APP.rglob("*.py")
        for call in calls(path.read_text())
        for keyword in call.keywords
        if keyword.arg in REASONS and path.name != "logs.py"  # another library's record has a message
    ]
    assert named == []
