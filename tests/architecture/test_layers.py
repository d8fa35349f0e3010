"""Who may import whom (ARCHITECTURE.md, "Layers"), and how large a room may grow."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
BELOW_SERVICES = {"data", "connectors", "translate", "blobs", "engine", "auth"}
# Rooms that a room may import from, itself and `lib` aside.
MAY_IMPORT = {
    "api": {"services", "schemas", "errors", "settings", "connectors.registry", "data.database"},
    "schemas": {"errors"},
    "services": {*BELOW_SERVICES, "errors", "settings"},
    "data": set(),
    "connectors": {"translate"},
    "translate": set(),
    "blobs": set(),
    "engine": set(),
    "auth": set(),
    "lib": set(),
}
PURE = ("connectors", "translate", "blobs", "engine", "lib")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40


def modules() -> list[Path]:
    return sorted(APP.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(APP).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    "path", [path for path in modules() if room(path) in MAY_IMPORT], ids=lambda p: str(p.relative_to(APP))
)
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    allowed = {f"app.{name}" for name in MAY_IMPORT[room(path)] | {"lib", "version", room(path)}}
    wrong = [
        name
        for name in imports(path)
        if name.startswith("app.")
        and not any(name == a or name.startswith(a + ".") or a.startswith(name + ".") for a in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", PURE)
def test_rooms_that_know_neither_web_nor_database(name: str) -> None:
    found = {
        f"{path.relative_to(APP)}: {module}"
        for path in (APP / name).rglob("*.py")
        for module in imports(path)
        if module.split(".")[0] in ("flask", "sqlalchemy", "marshmallow")
    }
    assert found == set()


def test_services_hold_no_sql_and_no_flask() -> None:
    found = {
        f"{path.name}: {module}"
        for path in (APP / "services").rglob("*.py")
        for module in imports(path)
        if module.split(".")[0] == "flask"
        or module in ("sqlalchemy.select", "sqlalchemy.text", "sqlalchemy.update", "app.data.tables")
    }
    assert found == set()


def code_lines(function: ast.FunctionDef) -> int:
    """Lines of a function, its docstring aside."""
    docstring = ast.get_docstring(function, clean=False) or ""
    return (function.end_lineno or 0) - function.lineno - len(docstring.splitlines())


def test_files_and_functions_stay_small() -> None:
    large = [str(path.relative_to(APP)) for path in modules() if len(path.read_text().splitlines()) > MAX_FILE_LINES]
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and code_lines(node) >= MAX_FUNCTION_LINES:
                large.append(f"{path.relative_to(APP)}:{node.name}")
    assert large == []
