"""The documentation is true: its links, paths, commands, variables, queries and generated pages."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from app.cli import batchgate
from app.connectors.catalogue import registry
from app.services.gateway import Gateway
from app.settings import documented
from tools.docs.pages import PAGES

ROOT = Path(__file__).resolve().parents[2]
PROSE = ("README.md", "CONTRIBUTING.md", "docs/operations.md")
PAGES_OF_REPOSITORY = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES_OF_REPOSITORY)
def test_links_have_targets(page: str) -> None:
    path = ROOT / page
    for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text()):
        target = path.parent / link if link else path
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), anchor


@pytest.mark.parametrize("page", PROSE)
def test_make_commands_exist(page: str) -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)(?=[`\s])", "\n".join(_code(ROOT / page))))
    assert named <= targets()


def test_a_first_run_installs_only_what_it_needs(tmp_path: Path) -> None:
    def steps(target: str) -> str:
        command = ["make", "--dry-run", target, f"VENV={tmp_path / 'new'}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert ".[demo]" in steps("run") and ".[dev]" not in steps("run")
    assert ".[dev]" in steps("test")


def test_every_error_in_the_log_has_its_remedy() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    sources = [*ROOT.glob("app/**/*.py"), ROOT / "wsgi.py"]
    code = "\n".join(path.read_text() for path in sources)
    events = set(re.findall(r'\.(?:error|exception)\(\s*"([a-z_]+\.[a-z_.]+)"', code))
    assert events
    assert sorted(event for event in events if f"`{event}`" not in page) == []


@pytest.mark.parametrize("page", PAGES_OF_REPOSITORY)
def test_batchgate_commands_exist(page: str) -> None:
    scripts = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    code = "\n".join([*_code(ROOT / page), *scripts])
    for words in re.findall(r"(?:^|[\s/`])batchgate ((?:[a-z][a-z-]* ?)+)", code):
        command: click.Command | None = batchgate
        for word in words.split():
            if isinstance(command, click.Group):
                command = command.get_command(click.Context(command), word)
                assert command is not None, words


def test_queries_of_pages_run(gateway: Gateway) -> None:
    queries = [query for page in PROSE for query in _queries(ROOT / page)]
    assert queries
    with gateway.database.read() as connection:
        for query in queries:
            connection.exec_driver_sql(query)


def test_paths_that_contributors_are_sent_to_exist() -> None:
    named = re.findall(r"`((?:app|tests|bench|migrations)/[^`\s]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert named
    assert [path for path in named if "NNNN" not in path and not (ROOT / path).exists()] == []


def test_variables_named_in_pages_exist() -> None:
    known = {name for name, _, _ in documented()} | {"BATCHGATE_BASE_URL", "BATCHGATE_API_KEY"}
    for entry in registry.providers():
        known |= {*entry.key_envs, entry.url_env, f"{entry.prefix}_MAX_CONCURRENCY"}
    shape = r"\b(BATCHGATE_[A-Z_]+|DATABASE_URL|[A-Z]+_(?:BASE_URL|API_KEY|MAX_CONCURRENCY))\b"
    for page in (*PROSE, ".env.example", "deploy/nginx.conf"):
        assert set(re.findall(shape, (ROOT / page).read_text())) <= known, page


def test_the_procfile_has_the_documented_processes() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    # honcho assigns PORT to the first process and counts upwards, so the one that listens comes first.
    assert [line.partition(":")[0] for line in lines] == ["web", "worker", "release"]


def _code(path: Path) -> list[str]:
    """Return indented lines and inline code, which are literal commands."""
    text = path.read_text()
    return re.findall(r"^    .*$", text, re.MULTILINE) + [f"{code} " for code in re.findall(r"`([^`\n]+)`", text)]


def _queries(path: Path) -> list[str]:
    blocks = re.findall(r"(?:^    .*\n)+", path.read_text(), re.MULTILINE)
    statements = [statement.strip() for block in blocks for statement in block.split(";")]
    return [statement for statement in statements if statement.startswith("SELECT")]


def _anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub generates for the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
