"""Who may import whom (ARCHITECTURE.md, "Layers"), and how large a room may grow."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
BELOW_SERVICES = {"data", "connectors", "translate", "blobs", "engine", "auth"}
# Rooms that a room may import from, itself and `lib` aside.
MAY_IMPORT = {
    "api": {"services", "schemas", "errors", "settings", "connectors.catalogue.registry", "data.store.database"},
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
# Packages and modules of a layer, lowest first: each imports only from those before it. What is not named comes last.
ORDER: dict[str, tuple[str, ...]] = {
    "services": (
        *("gateway", "leases", "each_due", "blobs", "provider_errors", "idempotency", "events", "limits", "access"),
        *(
            "accounts",
            "money",
            "webhooks",
            "lines",
            "copies",
            "files",
            "line_files",
            "containers",
            "upkeep",
            "jobs",
            "running",
            "batches",
            "backups",
            "health",
            "doctor",
        ),
    ),
    "data": ("store", "tables", "backups", "audit", "money", "files", "containers", "webhooks", "batches", "access"),
    "connectors": ("contract", "http", "shared", "cloud", "providers", "catalogue"),
    "translate": (
        *("errors", "neutral", "media", "chat", "cohere", "messages", "gemini", "mistral", "converse", "responses"),
        *("embeddings", "dialects"),
    ),
    "cli": ("shared", "client", "batch_run", "commands", "operate", "demo"),
}
# Imports for a type alone that go against the order: the gateway holds parts that lean on it.
FOR_TYPES = {("services", "gateway")}
MAX_MODULES = 15
MIN_DISTANCE = 3
# Names of one package that are alike, and why they stay.
ALIKE = {
    ("lib", "json", "jsonl"): "the names of the formats",
    ("connectors/cloud", "aws", "gcs"): "the names of the services",
    ("connectors/cloud", "gcs", "s3"): "the names of the services",
    ("services/jobs", "fold", "poll"): "two common verbs that nobody mixes up",
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
    yield from _named(ast.parse(path.read_text()))


def _named(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
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


def place(module: str, layer: str) -> str | None:
    """The package (or module at the top) of `layer` that a dotted name lies in; None for another layer's."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["app", layer] and len(parts) > 2 else None


def typing_only(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found |= set(_named(node))
    return found


@pytest.mark.parametrize("layer", ORDER)
def test_packages_of_a_layer_import_one_way(layer: str) -> None:
    order = ORDER[layer]
    there = {path.stem for path in (APP / layer).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(order) <= there
    wrong = []
    for path in (APP / layer).rglob("*.py"):
        mine = path.relative_to(APP / layer).parts[0].removesuffix(".py")
        rank = order.index(mine) if mine in order else len(order)
        ignored = typing_only(path) if (layer, mine) in FOR_TYPES else set()
        for module in set(imports(path)) - ignored:
            other = place(module, layer)
            if other in order and other != mine and order.index(other) >= rank:
                wrong.append(f"{path.relative_to(APP)} imports {module}")
    assert wrong == []


def packages() -> list[Path]:
    return sorted(path.parent for path in APP.rglob("__init__.py"))


def distance(one: str, other: str) -> int:
    """Levenshtein's."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row, before = [i], row
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


@pytest.mark.parametrize("package", packages(), ids=lambda path: str(path.relative_to(APP)))
def test_a_package_can_be_taken_in_at_one_look(package: Path) -> None:
    names = sorted(path.stem for path in package.glob("*.py") if path.stem != "__init__")
    assert len(names) <= MAX_MODULES
    room = str(package.relative_to(APP))
    alike = [
        (room, one, other)
        for one, other in itertools.combinations(names, 2)
        if distance(one, other) < MIN_DISTANCE and (room, one, other) not in ALIKE
    ]
    assert alike == []


def test_exceptions_are_still_needed() -> None:
    stale = [key for key in ALIKE if not all((APP / key[0] / f"{name}.py").exists() for name in key[1:])]
    assert stale == []
