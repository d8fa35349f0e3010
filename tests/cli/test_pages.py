"""Every `batchgate` command of every page and of every help text works as it stands there, in the order of its page."""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app.cli import batchgate
from tests.architecture.test_docs import PAGES_OF_REPOSITORY, ROOT
from tests.cli.client.conftest import started
from tests.support.batch_states import put_file
from tests.support.server import LiveServer

pytestmark = pytest.mark.one_database

COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:\S*/)?batchgate (?P<words>.*)$")
# These would wait, call a provider or a gateway, or need a job that is lost: their words are read, and nothing is done.
ONLY_READ = re.compile(
    r"worker$|demo|batch run|db sql$|events tail --follow|accounts test|accounts add .*--probe"
    r"|backup /|restore /|db (copy|fence) |takeover$"
    r"|webhooks (listen|replay|test)|accounts webhook"
    r"|doctor|top$|batches (resolve|jobs|adopt|watch|cancel|retry|pause|resume|set|clone)|(files|containers) adopt"
    r"|prices set .* --from|keys revoke .*--stop"
)
OF_CLIENTS = re.compile(r"batches (?!waiting)|files |containers ")
ENVIRONMENT = {
    "OPENAI_API_KEY": "sk-of-the-environment",
    "AZURE_OPENAI_API_KEY": "azure-key",
    "AZURE_OPENAI_ENDPOINT": "https://us.openai.azure.example",
    "AZURE_OPENAI_BASE_URL": "https://us.openai.azure.example",
    "TEAM_A_KEY": "sk-team-a-0123456789",
    "NEW_TEAM_A_KEY": "sk-team-a-9876543210",
    "BATCHGATE_LOG_LEVEL": "error",
}
PRICES = '[{"provider": "openai", "model": "m", "input": "1", "output": "2"}]'


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in indented or fenced code, without comments and pipes."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        text += "".join(f"\n    {line}" for line in block.splitlines())
    for line in re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE):
        for part in re.split(r" (?:\|\||&&|\||>) |; ", line.rstrip("';")):
            if match := COMMAND.match(part.strip()):
                yield shlex.split(match["words"], comments=True)


def read(words: list[str]) -> None:
    """Read the words as the command line does; raises ClickException for what it would refuse."""
    command: click.Command | None = batchgate
    context = click.Context(batchgate)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        command = command.get_command(context, name)
        assert command is not None, words
    assert command is not None
    try:
        command.make_context("batchgate", rest)
    except click.exceptions.Exit as end:  # --help
        assert end.exit_code == 0


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway on a socket, and what stands on pages for the ids of its objects."""

    url: str
    key: str
    ids: dict[str, str]


def served(request: pytest.FixtureRequest) -> Place:
    """A gateway with a batch whose lines have ended, a file and a container with a file."""
    gateway, client, caller = (request.getfixturevalue(name) for name in ("gateway", "client", "caller"))
    server: LiveServer = request.getfixturevalue("live_server")
    batch = started(client, gateway, caller)
    batch.answer([1, 2, 3])
    batch.answer([4, 5], state="failed", status_code=400)
    batch.end("completed")
    container = client.post("/v1/containers", json={"name": "c"}).json["id"]
    file = put_file(gateway, caller, b"{}\n")
    copy = client.post(f"/v1/containers/{container}/files", json={"file_id": file}).json["id"]
    ids = {"batch": batch.id, "file": file, "cntr": container, "cfile": copy}
    shown = {"batch": "batch_00061f...", "file": "file-00061f...", "cntr": "cntr_00061f...", "cfile": "cfile_00061f..."}
    return Place(server.url, server.key, {shown[kind]: made for kind, made in ids.items()})


class Shell:
    """Runs commands in a folder and on a store of their own, and those of clients at a gateway."""

    def __init__(self, folder: Path, *, place: Callable[[], Place]) -> None:
        self._place = place
        self._served: Place | None = None
        self.runner = CliRunner(env={"BATCHGATE_HOME": str(folder / "var"), "DATABASE_URL": "", **ENVIRONMENT})
        for command in ("release", "accounts apply", "keys create --project reports", "keys create --project ops"):
            self.run(command.split())

    def run(self, words: list[str]) -> str:
        variables = {}
        if OF_CLIENTS.match(" ".join(words)):
            self._served = at = self._served or self._place()
            variables = {"BATCHGATE_BASE_URL": at.url, "BATCHGATE_API_KEY": at.key}
            words = [at.ids.get(word, word) for word in words]
        done = self.runner.invoke(batchgate, words, input="sk-from-standard-input\n", env=variables)
        assert done.exit_code == 0, f"batchgate {shlex.join(words)}\n{done.output}"
        return str(done.stdout)

    def filled(self, words: list[str]) -> list[str]:
        """With what stands for something that only the reader knows."""
        if {"ID", "0f3c9a1b2d4e5f60"} & set(words):
            made = self.run(["keys", "create", "--project", "reports", "--json"])
            key_id = re.findall(r'"id": ?"([0-9a-f]+)"', made)[0]
            words = [key_id if word in ("ID", "0f3c9a1b2d4e5f60") else word for word in words]
        return words

    def follow(self, words: list[str]) -> None:
        """Do what a page says."""
        if ONLY_READ.match(" ".join(words)) or "--help" in words:
            read(words)
            return
        if words[:2] == ["accounts", "add"]:  # pages show several ways to add the same account
            name = words[words.index("--name") + 1] if "--name" in words else "default"
            self.runner.invoke(batchgate, ["accounts", "remove", words[2], name])
        self.run(self.filled(words))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that pages name."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for name in ("lines.jsonl", "questions.jsonl", "manual.pdf", "table.csv", "FILE"):
        (tmp_path / name).write_text("{}\n")
    (tmp_path / "contract.json").write_text(PRICES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


WITH_COMMANDS = [page for page in PAGES_OF_REPOSITORY if list(commands((ROOT / page).read_text()))]


def test_pages_with_commands_are_found() -> None:
    assert {"README.md", "docs/operations.md", "docs/cli.md", "docs/keys.md", "docs/money.md", "docs/prices.md"} <= set(
        WITH_COMMANDS
    )


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_the_commands_of_a_page_work_one_after_another(folder: Path, page: str, request: pytest.FixtureRequest) -> None:
    shell = Shell(folder, place=lambda: served(request))
    for words in commands((ROOT / page).read_text()):
        shell.follow(words)


def helps(command: click.Command) -> Iterator[str]:
    yield command.help or ""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from helps(inner)


def test_the_examples_of_help_texts_can_be_read(folder: Path) -> None:
    texts = [re.sub(r"^ {2}", "    ", text, flags=re.MULTILINE) for text in helps(batchgate)]
    examples = [words for text in texts for words in commands(text)]
    assert len(examples) > 30
    for words in examples:
        read(words)
