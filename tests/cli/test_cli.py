"""The command line on the store: keys, migrations, SQL, sweeping."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from alembic.script import ScriptDirectory
from click.testing import CliRunner, Result

from app import migrate
from app.cli import COMMANDS, batchgate
from app.cli.operate.db import without_password
from app.cli.shared import dotenv, profile
from app.cli.shared.context import Refused
from app.services.access import keys
from app.services.gateway import Gateway

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Result]


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs `batchgate` on the test's store."""
    runner = CliRunner(env=environment)
    return lambda *arguments: runner.invoke(batchgate, arguments, catch_exceptions=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    answer = CliRunner().invoke(batchgate, [name, "--help"])
    assert answer.exit_code == 0, answer.output
    assert "Usage: " in answer.output


def test_the_list_of_commands_says_what_they_say_themselves() -> None:
    shown = CliRunner().invoke(batchgate, ["--help"]).output
    for name, (_, text) in COMMANDS.items():
        command = batchgate.get_command(click.Context(batchgate), name)
        assert command is not None and command.get_short_help_str(limit=200) == text
        assert f"  {name}" in shown


HEAVY = ("alembic", "flask", "jwt", "marshmallow", "requests", "sqlalchemy")


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--help"], set()),
        (["batch", "run", "--help"], {"requests"}),
        (["db", "check"], {"sqlalchemy"}),
        (["keys", "list"], {"sqlalchemy"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_imports_only_what_it_needs(
    environment: dict[str, str], gateway: Gateway, arguments: list[str], needed: set[str]
) -> None:
    """Each of these packages takes 0.06 to 0.3 s of CPU to import, and every command would wait for it."""
    code = (
        "import sys\nfrom app.cli import batchgate\n"
        f"try:\n    batchgate({arguments})\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        f"print(sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == str(sorted(needed))


def test_the_newest_revision_is_that_of_alembic() -> None:
    assert migrate.newest_revision() == ScriptDirectory.from_config(migrate._config()).get_current_head()


def test_a_key_is_printed_once_and_opens_the_gateway(run: Run, gateway: Gateway) -> None:
    made = run("keys", "create", "--project", "reports", "--name", "nightly")

    assert made.exit_code == 0
    assert keys.authenticate(gateway, made.stdout.strip(), request_id="req").project == "reports"
    listed = run("keys", "list")
    assert "nightly" in listed.stdout
    assert made.stdout.strip() not in listed.stdout


def test_keys_can_be_made_and_listed_as_json(run: Run) -> None:
    made = json.loads(run("keys", "create", "--project", "reports", "--json").stdout)
    listed = json.loads(run("keys", "list", "--project", "reports", "--json").stdout)

    assert made["key"].startswith(f"sk-bf-{made['id']}-")
    assert [(key["id"], key["revoked_at"]) for key in listed] == [(made["id"], None)]


def test_a_key_is_revoked_by_its_id_or_itself_and_only_once(run: Run) -> None:
    first = json.loads(run("keys", "create", "--project", "reports", "--json").stdout)
    second = json.loads(run("keys", "create", "--project", "reports", "--json").stdout)

    assert run("keys", "revoke", first["id"]).exit_code == 0
    assert run("keys", "revoke", second["key"]).exit_code == 0
    again = run("keys", "revoke", first["id"])
    assert (again.exit_code, "already revoked" in again.stderr) == (1, True)


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\nb"])
def test_a_project_name_that_is_none_is_refused(run: Run, name: str) -> None:
    answer = run("keys", "create", "--project", name)
    assert answer.exit_code == 2
    assert "--project" in answer.stderr


def test_sql_answers_a_query_and_changes_nothing_unless_told(run: Run, gateway: Gateway) -> None:
    keys.create(gateway, project="alpha", name="")

    shown = run("db", "sql", "SELECT name FROM projects")
    refused = run("db", "sql", "UPDATE projects SET name = 'beta'")
    changed = run("db", "sql", "--write", "UPDATE projects SET name = 'beta'")

    assert shown.stdout.split() == ["name", "alpha"]
    assert (refused.exit_code, "Traceback" in refused.output) == (2, False)
    assert changed.stdout.strip() == "1 rows changed"
    assert run("db", "sql", "SELECT name FROM projects").stdout.split() == ["name", "beta"]


def test_the_small_prompt_reads_statements_to_their_semicolon(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # neither sqlite3 nor psql is found
    typed = "SELECT 41 + 1\nAS answer;\nnonsense;\n.tables\n.quit\n"
    answer = CliRunner(env=environment).invoke(batchgate, ["db", "sql"], input=typed)

    assert answer.exit_code == 0
    assert "answer\n42" in answer.stdout
    assert "virtual_keys" in answer.stdout
    assert "nonsense" in answer.stderr


def test_check_tells_whether_the_store_is_current(run: Run) -> None:
    assert run("db", "check").exit_code == 0


def test_commands_on_a_store_that_is_not_there_say_what_to_run(tmp_path: Path) -> None:
    runner = CliRunner(env={"BATCHGATE_HOME": str(tmp_path / "new"), "DATABASE_URL": ""})

    for command in (["db", "check"], ["db", "sql"], ["keys", "list"], ["sweep"]):
        answer = runner.invoke(batchgate, command)
        assert answer.exit_code in (1, 2)
        assert "batchgate db upgrade" in answer.stderr
    assert not (tmp_path / "new" / "batchgate.db").exists()
    assert runner.invoke(batchgate, ["db", "upgrade"]).exit_code == 0
    assert sqlite3.connect(tmp_path / "new" / "batchgate.db").execute("SELECT count(*) FROM v_files").fetchone() == (0,)


def test_a_database_that_is_away_is_told_without_a_trace() -> None:
    url = "postgresql://me:secret@127.0.0.1:9/none"
    answer = CliRunner(env={"DATABASE_URL": url, "BATCHGATE_SECRET_KEY": "x"}).invoke(batchgate, ["keys", "list"])
    assert answer.exit_code == 2
    assert "refused" in answer.stderr
    assert "secret" not in answer.output


def test_a_variable_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    answer = CliRunner(env={"BATCHGATE_HOME": str(tmp_path), "PORT": "many"}).invoke(batchgate, ["db", "upgrade"])
    assert answer.exit_code == 2
    assert "PORT" in answer.stderr


def test_sweep_tells_what_it_removed(run: Run) -> None:
    swept = json.loads(run("sweep", "--json").stdout)
    assert swept["blobs"] == 0


def test_dotenv_fills_in_what_the_environment_lacks(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# comment\nA=1\nexport B='two words' # why\nC=three # why\nD=\nnot a line\nE=x#y\n")
    environ = {"A": "kept"}
    dotenv.load(path, environ=environ)
    assert environ == {"A": "kept", "B": "two words", "C": "three", "D": "", "E": "x#y"}


def test_a_password_does_not_reach_the_command_line() -> None:
    url, environment = without_password("postgresql://me:p%40ss@host:5433/db?sslmode=require")
    assert url == "postgresql://me@host:5433/db?sslmode=require"
    assert environment == {"PGPASSWORD": "p@ss"}


def test_the_kept_key_goes_to_its_own_gateway_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (profile.API_KEY, profile.BASE_URL):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BATCHGATE_HOME", str(tmp_path))
    profile.save(tmp_path, profile.Profile(base_url="http://127.0.0.1:1", api_key="sk-bf-a-b"))

    assert (tmp_path / profile.FILE).stat().st_mode & 0o777 == 0o600
    sourced = ["sh", "-c", f'. {tmp_path / profile.SHELL_FILE} && echo "$OPENAI_BASE_URL $OPENAI_API_KEY"']
    assert (
        subprocess.run(sourced, capture_output=True, text=True, check=True).stdout
        == "http://127.0.0.1:1/v1 sk-bf-a-b\n"
    )
    assert profile.find(base_url=None, api_key=None).api_key == "sk-bf-a-b"
    assert profile.find(base_url="http://127.0.0.1:1/v1/", api_key=None).api_key == "sk-bf-a-b"
    with pytest.raises(Refused, match="BATCHGATE_API_KEY"):
        profile.find(base_url="http://elsewhere", api_key=None)
