"""`batchgate accounts` and `batchgate providers`."""

import json
from pathlib import Path

import pytest
from sqlalchemy import update

from app.data import tables
from app.services.accounts import admin
from app.services.gateway import Gateway
from tests.fakes.serving import ServedApp
from tests.services.accounts.conftest import KEY, Process, Run, hold_file, row

SECRET = "xai-canary-of-a-key-42"


def listed(run: Run) -> dict[str, dict[str, object]]:
    found = json.loads(run("accounts", "list", "--json").stdout)
    return {f"{account['provider']}/{account['name']}": account for account in found}


def test_an_account_is_added_listed_and_tried(run: Run, xai: ServedApp) -> None:
    xai.app.api_key = SECRET
    added = run(
        *("accounts", "add", "xai", "--name", "team-a", "--key-stdin", "--weight", "3", "--max-concurrency", "9"),
        *("--base-url", xai.base_url, "--model", "gpt=grok-4", "--option", "region=eu"),
        input=f"{SECRET}\n",
    )
    tried = run("accounts", "test", "xai", "team-a")
    found = listed(run)["xai/team-a"]

    assert (added.exit_code, added.stdout.strip()) == (0, "Account xai/team-a is added.")
    assert (tried.exit_code, tried.stdout.startswith("xai/team-a  works (")) == (0, True)
    assert found.pop("id")
    assert found == {
        "provider": "xai",
        "name": "team-a",
        "source": "command line",
        "state": "enabled",
        "base_url": xai.base_url,
        "weight": 3,
        "max_concurrency": 9,
        "limits": {},
        "models": {"gpt": "grok-4"},
        "options": ["region"],
        "abilities": None,
    }
    assert "team-a" in run("accounts", "list").stdout


def test_an_account_of_the_environment_is_listed_as_such(run: Run) -> None:
    found = listed(run)

    assert set(found) == {"local/env", "xai/env"}
    assert (found["xai/env"]["source"], found["xai/env"]["state"]) == ("environment", "enabled")
    elsewhere = json.loads(run("accounts", "list", "--json", environ={"XAI_API_KEY": None}).stdout)
    assert elsewhere == list(found.values())  # they are those of web, whatever this shell has


def test_a_key_that_does_not_work_is_a_clear_verdict_and_status_1(run: Run, xai: ServedApp) -> None:
    run("accounts", "add", "xai", "--name", "wrong", "--key-stdin", "--base-url", xai.base_url, input=SECRET)
    one = run("accounts", "test", "xai", "wrong")
    several = run("accounts", "test", "xai")

    assert one.exit_code == 1
    assert "xai/wrong  FAILED: " in one.stdout
    assert several.exit_code == 1
    assert "xai/env  works" in several.stdout
    assert run("accounts", "test", "xai", "nobody").exit_code == 2


@pytest.mark.parametrize("way", ["--key-file", "--key-env", "--key-stdin", "prompt"])
def test_a_key_comes_from_anywhere_but_the_arguments(run: Run, process: Process, tmp_path: Path, way: str) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    options = {"--key-file": [way, str(tmp_path / "key")], "--key-env": [way, "TEAM_KEY"], "--key-stdin": [way]}
    answer = run(
        *("accounts", "add", "xai", "--name", "a", *options.get(way, [])),
        environ={"TEAM_KEY": SECRET},
        input=SECRET if way == "--key-stdin" else None,
    )
    if way == "prompt":  # nobody is there to ask
        assert (answer.exit_code, "--key-stdin" in answer.stderr) == (2, True)
        return
    assert answer.exit_code == 0, answer.output
    assert process().accounts.choose("xai", name="a").connector.target.credential == SECRET


def test_a_name_is_unique_at_its_provider_and_free_after_removal(run: Run) -> None:
    add = ("accounts", "add", "xai", "--name", "a", "--key-stdin")
    assert run(*add, input=SECRET).exit_code == 0
    again = run(*add, input=SECRET)
    assert (again.exit_code, "already has an account 'a'" in again.stderr) == (2, True)
    assert run("accounts", "remove", "xai", "a").exit_code == 0
    assert run(*add, input=SECRET).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "key", "told"),
    [
        (["nothing"], SECRET, "Known providers: openai, azure"),
        (["openai", "--base-url", "ftp://x"], SECRET, "--base-url must be a URL"),
        (["openai", "--base-url", "https://user:pass@x/v1"], SECRET, "no user, password"),
        (["openai"], "  \n", "key is empty"),
        (["openai"], "two words", "one word of printable ASCII"),
        (["openai"], "tab\tbed", "one word of printable ASCII"),
        (["openai"], '{"tenant": ', "starts like a JSON object"),
        (["openai", "--name", "env"], SECRET, "not 'env'"),
        (["openai", "--name", "A B"], SECRET, "--name"),
        (["openai", "--option", "client_secret=x"], SECRET, "put secrets into the key"),
        (["openai", "--model", "justone"], SECRET, "NAME=NATIVE"),
        (["openai", "--weight", "0"], SECRET, "--weight"),
        (["openai", SECRET], SECRET, "PROVIDER is the only argument"),
        (["azure"], SECRET, "needs --base-url"),
        (["openai", "--compatible"], SECRET, "omit --compatible"),
        (["My Corp", "--compatible", "--base-url", "http://x"], SECRET, "must be lower case"),
        (["mycorp", "--compatible"], SECRET, "needs --base-url"),
        (["mycorp", "--base-url", "http://x"], SECRET, "--compatible"),
        (["openai", "--probe"], SECRET, "need --compatible"),
        (["mycorp", "--compatible", "--base-url", "http://x", "--ability", "chat=native"], SECRET, "files or batches"),
    ],
)
def test_what_cannot_be_is_refused_in_words(run: Run, arguments: list[str], key: str, told: str) -> None:
    answer = run("accounts", "add", *arguments, "--key-stdin", input=key)

    assert answer.exit_code == 2, answer.output
    assert told in answer.stderr
    assert key.strip() == "" or key.strip() not in answer.output


def test_a_json_credential_is_kept_as_one(run: Run, process: Process) -> None:
    key = '{\n "tenant_id": "t",\n "client_secret": "s s"\n}\n'
    assert run("accounts", "add", "xai", "--name", "j", "--key-stdin", input=key).exit_code == 0
    assert json.loads(process().accounts.choose("xai", name="j").connector.target.credential) == json.loads(key)


def test_removal_keeps_the_key_until_the_last_work_is_over(run: Run, gateway: Gateway) -> None:
    run("accounts", "add", "xai", "--name", "a", "--key-stdin", input=SECRET)
    gateway.accounts.reread()
    account = gateway.accounts.choose("xai", name="a")
    hold_file(gateway, account.id, "file_1")
    removed = run("accounts", "remove", "xai", "a")

    assert "key is kept until" in removed.stdout
    gateway.accounts.reread()
    assert gateway.accounts.choose("xai", name="a") is None
    assert gateway.accounts.by_id(account.id).connector is account.connector
    assert listed(run)[f"xai/a~{account.id}"]["state"] == "retired"
    assert admin.retire_due(gateway) == 0

    with gateway.database.write() as connection:
        connection.execute(update(tables.native_objects).values(state="deleted"))
    assert admin.retire_due(gateway) == 0  # a request may be about to put down more work
    retired_long_ago(gateway, account.id)
    assert admin.retire_due(gateway) == 1
    assert admin.retire_due(gateway) == 0
    after = row(gateway, account.id)
    assert (after.sealed_credential, after.fingerprint, after.options) == (None, None, None)
    gateway.accounts.reread()
    assert gateway.accounts.by_id(account.id) is None
    assert f"xai/a~{account.id}" not in listed(run)


def retired_long_ago(gateway: Gateway, account_id: int) -> None:
    with gateway.database.write() as connection:
        table = tables.accounts
        connection.execute(update(table).where(table.c.id == account_id).values(retired_at=1))


def test_removal_without_work_wipes_the_key_soon(run: Run, gateway: Gateway) -> None:
    run("accounts", "add", "xai", "--name", "a", "--key-stdin", input=SECRET)
    gateway.accounts.reread()
    account_id = gateway.accounts.choose("xai", name="a").id

    assert "its key is wiped within minutes" in run("accounts", "remove", "xai", "a").stdout
    missing = run("accounts", "remove", "xai", "a")
    assert (missing.exit_code, "has no account 'a'" in missing.stderr) == (2, True)
    retired_long_ago(gateway, account_id)
    assert json.loads(run("sweep", "--json").stdout)["accounts"] == 1
    assert row(gateway, account_id).sealed_credential is None


def test_what_operators_do_is_an_event(run: Run, gateway: Gateway) -> None:
    run("accounts", "add", "xai", "--name", "a", "--key-stdin", input=SECRET)
    for act in ("disable", "enable", "remove"):
        run("accounts", act, "xai", "a")
    with gateway.database.read() as connection:
        told = connection.exec_driver_sql(
            "SELECT operation, object_id, source FROM events WHERE source = 'cli' ORDER BY id"
        ).all()
    acts = ("account_add", "account_disable", "account_enable", "account_remove")
    assert [tuple(event) for event in told] == [(act, "xai/a", "cli") for act in acts]


def test_an_account_of_the_environment_is_removed_there(run: Run) -> None:
    refused = run("accounts", "remove", "xai", "env")
    assert (refused.exit_code, "unset its variables" in refused.stderr) == (2, True)
    assert run("accounts", "remove", "xai", "env", environ={"XAI_API_KEY": None}).exit_code == 0


def test_disabling_and_enabling(run: Run) -> None:
    assert run("accounts", "disable", "xai", "env").exit_code == 0
    assert listed(run)["xai/env"]["state"] == "disabled"
    assert run("accounts", "enable", "xai", "env").exit_code == 0
    assert listed(run)["xai/env"]["state"] == "enabled"


def test_an_account_is_changed(run: Run) -> None:
    set_env = ("accounts", "set", "xai", "env")
    assert run(*set_env, "--weight", "5", "--model", "gpt=grok-4").exit_code == 0
    assert (listed(run)["xai/env"]["weight"], listed(run)["xai/env"]["models"]) == (5, {"gpt": "grok-4"})
    assert run(*set_env, "--no-models").exit_code == 0
    assert (listed(run)["xai/env"]["weight"], listed(run)["xai/env"]["models"]) == (5, {})
    assert run(*set_env).exit_code == 2
    assert "set the variable" in run(*set_env, "--max-concurrency", "3").stderr


def test_the_matrix_has_every_provider_and_its_accounts(run: Run) -> None:
    text = run("providers").stdout
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line}
    found = {entry["provider"]: entry for entry in json.loads(run("providers", "--json").stdout)}

    assert len(found) == 26
    assert rows["xai"][1:4] == ["NNNNN", "NNNNEN", "---------"]
    assert rows["anthropic"][1:3] == ["NNNNN", "NNNNNN"]
    assert rows["xai"][-1] == "1"
    assert (found["xai"]["accounts"], found["openai"]["accounts"]) == (1, 0)
    assert found["together"]["batch_limits"]["line_bytes"] == 10 * 2**20


def test_the_matrix_needs_no_store(tmp_path: Path, run: Run) -> None:
    new = {"BATCHGATE_HOME": str(tmp_path / "new"), "DATABASE_URL": None, "XAI_API_KEY": None, "LOCAL_BASE_URL": None}
    assert "huggingface" in run("providers", environ=new).stdout
    assert not (tmp_path / "new").exists()


def test_a_key_of_a_project_can_be_bound_to_accounts(run: Run) -> None:
    made = run("keys", "create", "--project", "p", "--account", "team-a", "--account", "xai/env", "--json")
    assert json.loads(made.stdout)["accounts"] == ["team-a", "xai/env"]
    assert "team-a, xai/env" in run("keys", "list").stdout
    assert run("keys", "create", "--project", "p", "--account", "a b").exit_code == 2


def test_the_environment_key_never_shows(run: Run) -> None:
    for arguments in (["accounts", "list"], ["accounts", "list", "--json"], ["accounts", "test"], ["providers"]):
        assert KEY not in run(*arguments).output
