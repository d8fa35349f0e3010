"""Pages say what is so."""

import re
from pathlib import Path

import pytest

from app.connectors.catalogue import registry
from app.settings import documented
from tools.docs.pages import PAGES

ROOT = Path(__file__).resolve().parents[2]
PROSE = ("README.md", "CONTRIBUTING.md", "docs/operations.md")


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", PAGES)
def test_pages_made_from_the_code_are_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("page", PROSE)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("page", PROSE)
def test_make_commands_exist(page: str) -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)(?=[`\s])", "\n".join(_code(ROOT / page))))
    assert named <= targets()


def test_paths_that_contributors_are_sent_to_exist() -> None:
    named = re.findall(r"`((?:app|tests|bench|migrations)/[^`\s]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert named
    assert [path for path in named if "NNNN" not in path and not (ROOT / path).exists()] == []


def test_variables_that_pages_name_are_real() -> None:
    known = {name for name, _, _ in documented()} | {"BATCHGATE_BASE_URL", "BATCHGATE_API_KEY"}
    for entry in registry.providers():
        known |= {*entry.key_envs, entry.url_env, f"{entry.prefix}_MAX_CONCURRENCY"}
    shape = r"\b(BATCHGATE_[A-Z_]+|DATABASE_URL|[A-Z]+_(?:BASE_URL|API_KEY|MAX_CONCURRENCY))\b"
    for page in (*PROSE, ".env.example", "deploy/nginx.conf"):
        assert set(re.findall(shape, (ROOT / page).read_text())) <= known, page


def test_the_procfile_has_the_promised_processes() -> None:
    lines = (ROOT / "Procfile").read_text().splitlines()
    # honcho counts ports upwards from the first one, which must be the one that listens.
    assert [line.partition(":")[0] for line in lines] == ["web", "worker", "release"]


def _code(path: Path) -> list[str]:
    """Indented blocks and inline code, where commands are meant literally."""
    text = path.read_text()
    return re.findall(r"^    .*$", text, re.MULTILINE) + [f"{code} " for code in re.findall(r"`([^`\n]+)`", text)]
