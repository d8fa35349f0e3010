"""Only what serves applies the accounts of its environment; a command in a shell changes nothing that is shared."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import batchgate as command_line
from app.data.store.database import Database
from app.services.access import keys
from app.services.events.record import OPERATOR
from app.services.gateway import Gateway
from app.settings import from_environment
from app.wiring import build_gateway
from tests.fakes.serving import ServedApp
from tests.fakes.xai_app import XAIApp
from tests.services.accounts.conftest import KEY, Process, Run, hold_file

OTHER = "xai-another-key-0123456789"
ELSEWHERE = "http://127.0.0.1:1/v1"
# Every command that shows something, and one that changes something else.
READING = [
    ["accounts", "list"],
    ["accounts", "list", "--json"],
    ["accounts", "test", "xai"],
    ["providers"],
    ["keys", "list"],
    ["projects", "list"],
    ["events", "tail", "--json"],
    ["budgets", "list"],
    ["prices", "list"],
    ["usage"],
    ["batches", "jobs", "batch_0"],
    ["secrets", "status"],
    ["files", "adopt", "--provider", "xai", "--project", "p"],
    ["batches", "adopt", "--provider", "xai", "--project", "p"],
    ["db", "check"],
    ["db", "sql", "SELECT * FROM v_accounts"],
]


def everything(database: Database) -> dict[str, list[Any]]:
    """All rows of all tables."""
    from app.data.tables import metadata

    with database.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(table.select())] for table in metadata.sorted_tables
        }


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_command_that_reads_writes_nothing(run: Run, gateway: Gateway, arguments: list[str]) -> None:
    keys.create(gateway, project="p", name="")
    before = everything(gateway.database)
    other = {"LOCAL_BASE_URL": ELSEWHERE, "XAI_API_KEY": OTHER, "OPENAI_API_KEY": "sk-other"}
    assert run(*arguments, environ=other).exit_code == (2 if "batch_0" in arguments else 0)

    assert everything(gateway.database) == before
    assert gateway.accounts.of("xai").connector.target.credential == KEY


def test_reading_a_new_store_writes_nothing(environment: dict[str, str], database_url: str) -> None:
    database = Database(database_url)
    before = everything(database)
    for arguments in (
        ["accounts", "list"],
        ["accounts", "test"],
        ["providers"],
        ["keys", "list"],
        ["secrets", "status"],
    ):
        CliRunner(env=environment).invoke(command_line, arguments, catch_exceptions=False)

    assert everything(database) == before
    database.dispose()


def test_a_change_of_something_else_does_not_change_an_account(run: Run, gateway: Gateway) -> None:
    local = gateway.accounts.of("local")
    other = {"LOCAL_BASE_URL": ELSEWHERE, "XAI_API_KEY": OTHER}
    assert run("keys", "create", "--project", "p", environ=other).exit_code == 0
    assert run("accounts", "set", "xai", "env", "--weight", "7", environ=other).exit_code == 0
    assert run("sweep", environ=other).exit_code == 0
    gateway.accounts.reread()

    assert gateway.accounts.of("local").base_url == local.base_url
    assert (gateway.accounts.of("xai").connector.target.credential, gateway.accounts.of("xai").weight) == (KEY, 7)


def test_what_this_shell_describes_otherwise_is_noted(run: Run) -> None:
    assert run("accounts", "list").stderr == ""
    noted = run("accounts", "list", environ={"LOCAL_BASE_URL": ELSEWHERE, "OPENAI_API_KEY": "sk-other"}).stderr
    assert "local/env is not stored as this shell's variables describe it" in noted
    assert "openai/env" in noted and "xai/env" not in noted and "sk-other" not in noted


def test_the_explicit_command_applies_the_shells_variables_as_the_operators_act(run: Run, gateway: Gateway) -> None:
    applied = run("accounts", "apply", environ={"LOCAL_BASE_URL": ELSEWHERE})
    gateway.accounts.reread()

    assert (applied.exit_code, applied.stdout.splitlines()) == (0, ["xai/env  is stored", "local/env  is stored"])
    assert gateway.accounts.of("local").base_url == ELSEWHERE
    [line] = run("events", "tail", "--operation", "account_change", "--json").stdout.splitlines()
    event = json.loads(line)
    assert (event["source"], event["object_id"], event["detail"]["base_url"]["to"]) == ("cli", "local/env", ELSEWHERE)
    assert run("accounts", "list", environ={"LOCAL_BASE_URL": ELSEWHERE}).stderr == ""


def test_applying_says_when_a_provider_is_away(run: Run, gateway: Gateway, xai: ServedApp) -> None:
    hold_file(gateway, gateway.accounts.of("xai").id, "file_1")
    answer = run("accounts", "apply", environ={"XAI_API_KEY": OTHER, "XAI_BASE_URL": ELSEWHERE})
    assert answer.exit_code == 1
    assert "xai/env  FAILED" in answer.stdout
    none = {"XAI_API_KEY": None, "LOCAL_BASE_URL": None}
    assert run("accounts", "apply", environ=none).exit_code == 2


def test_an_account_that_nobody_stored_is_a_hint(environment: dict[str, str]) -> None:
    answer = CliRunner(env=environment).invoke(command_line, ["accounts", "disable", "xai", "env"])
    assert answer.exit_code == 2
    assert "batchgate accounts apply" in answer.stderr


def test_each_change_by_the_environment_is_an_event(process: Process, xai: ServedApp, gateway: Gateway) -> None:
    first = process()
    hold_file(first, first.accounts.of("xai").id, xai.app.add_file(b"{}\n", filename="in.jsonl", purpose="batch").id)
    process().accounts.providers()  # the same: no event
    process(XAI_MAX_CONCURRENCY="3").accounts.providers()
    xai.app.api_key = OTHER
    process(XAI_API_KEY=OTHER).accounts.providers()
    with ServedApp(XAIApp(api_key=OTHER)) as elsewhere:
        process(XAI_API_KEY=OTHER, XAI_BASE_URL=elsewhere.base_url).accounts.providers()
        with gateway.database.read() as connection:
            select = "SELECT operation, source, detail FROM events WHERE object_id = 'xai/env' ORDER BY id"
            events = [tuple(row) for row in connection.exec_driver_sql(select)]

    assert [event[:2] for event in events] == [
        ("account_add", "environment"),
        ("account_change", "environment"),
        ("account_change", "environment"),
        ("account_replace", "environment"),
    ]
    details = [detail if isinstance(detail, dict) else json.loads(detail) for *_, detail in events]
    assert details[1] == {"max_concurrency": {"from": 64, "to": 3}}
    assert details[2] == {"key": "changed", "max_concurrency": {"from": 3, "to": 64}}
    assert details[3] == {"base_url": {"from": xai.base_url, "to": elsewhere.base_url}}
    assert OTHER not in str(events) and KEY not in str(events)


def test_a_gateway_that_applies_nothing_uses_what_others_stored(environment: dict[str, str], gateway: Gateway) -> None:
    gateway.accounts.providers()
    shell = environment | {"XAI_API_KEY": OTHER}
    reader = build_gateway(from_environment(shell), applied_by=None)
    try:
        assert reader.accounts.of("xai").connector.target.credential == KEY
        assert reader.accounts.unapplied() == ["xai/env"]
    finally:
        reader.database.dispose()
    writer = build_gateway(from_environment(shell), applied_by=OPERATOR)
    try:
        assert writer.accounts.of("xai").connector.target.credential == OTHER
    finally:
        writer.database.dispose()
