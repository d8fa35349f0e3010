"""`batchgate projects` and the API are clients of the same services, on the same store."""

import json
from typing import Any

import pytest

from app.services.access import keys
from app.services.gateway import Gateway
from tests.api.management.conftest import Run, client_of
from tests.conftest import KeyClient


def projects(run: Run, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("projects", "list", "--json", *options).stdout)
    return found


def test_a_project_of_the_command_line_is_one_of_the_api(run: Run, admin: KeyClient) -> None:
    made = run(
        *("projects", "create", "reports", "--description", "Nightly", "--default-provider", "local"),
        *("--limit", "open_batches=20", "--limit", "uploads_per_day=5"),
    )
    assert (made.exit_code, made.stdout.strip()) == (0, "Project reports is made.")
    wire = admin.get("/api/projects/reports").json
    (told,) = [project for project in projects(run) if project["name"] == "reports"]
    assert {**wire, **told} == wire, "each field that both have is the same"
    assert told["limits"] == {"open_batches": 20, "uploads_per_day": 5}

    admin.post("/api/projects", json={"name": "theirs"})
    assert [project["name"] for project in projects(run)] == ["ops", "reports", "theirs"]
    assert "Nightly" in run("projects", "list").stdout


def test_a_project_is_changed_archived_and_restored(run: Run, admin: KeyClient, gateway: Gateway) -> None:
    run("projects", "create", "reports", "--description", "d", "--limit", "open_batches=1")
    holder = client_of(gateway, keys.create(gateway, project="reports", name="").key)
    assert run("projects", "set", "reports", "--limit", "open_batches=2", "--clear", "description").exit_code == 0
    wire = admin.get("/api/projects/reports").json
    assert (wire["limits"], wire["description"]) == ({"open_batches": 2}, None)

    assert run("projects", "archive", "reports").exit_code == 0
    assert [project["name"] for project in projects(run, "--archived")] == ["reports"]
    assert holder.get("/v1/files").status_code == 401
    assert run("projects", "set", "reports", "--restore").exit_code == 0
    assert holder.get("/v1/files").status_code == 200
    told = admin.get("/api/events?order=asc&project=reports").json["data"]
    by_operator = [event["operation"] for event in told if event["actor"] == "operator"]
    assert by_operator == ["project_create", "key_create", "project_change", "project_archive", "project_restore"]
    assert {event["source"] for event in told} == {"cli"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("create", "ops"), "already"),
        (("create", " "), "printable"),
        (("create", "new", "--limit", "x=1"), "limits"),
        (("create", "new", "--limit", "open_batches"), "NAME=N"),
        (("create", "new", "--default-provider", "nonesuch"), "nonesuch"),
        (("set", "ops"), "Nothing to change"),
        (("set", "ops", "--limit", "open_batches=1", "--clear", "limits"), "both set and cleared"),
        (("set", "nope", "--description", "x"), "no project 'nope'"),
        (("archive", "nope"), "no project 'nope'"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(
    run: Run, admin: KeyClient, arguments: tuple[str, ...], text: str
) -> None:
    answer = run("projects", *arguments)
    assert (answer.exit_code, text in answer.stderr) == (2, True), answer.stderr
    assert [project["name"] for project in projects(run)] == ["ops"]


def test_keys_accounts_and_budgets_are_the_same_in_both(run: Run, admin: KeyClient) -> None:
    made = json.loads(run("keys", "create", "--project", "ops", "--name", "k", "--role", "viewer", "--json").stdout)
    assert admin.get(f"/api/governance/virtual-keys/{made['id']}").json["role"] == "viewer"
    admin.put(f"/api/governance/virtual-keys/{made['id']}", json={"role": "member"})
    (told,) = [key for key in json.loads(run("keys", "list", "--json").stdout) if key["id"] == made["id"]]
    assert told["role"] == "member"

    assert run("accounts", "apply").exit_code == 0
    assert run("accounts", "set", "local", "env", "--limit", "open_batches=3").exit_code == 0
    assert admin.get("/api/accounts").json["data"][0]["limits"] == {"open_batches": 3}
    admin.put("/api/accounts/local/env", json={"limits": {}, "disabled": True})
    (account,) = json.loads(run("accounts", "list", "--json").stdout)
    assert (account["limits"], account["state"]) == ({}, "disabled")

    assert run("budgets", "set", "--project", "ops", "--period", "day", "2.50").exit_code == 0
    assert admin.get("/api/budgets").json["data"][0]["max_limit"] == "2.50"
    admin.put("/api/budgets", json={"project": "ops", "period": "day", "max_limit": 4})
    assert json.loads(run("budgets", "list", "--json").stdout)[0]["limit"] == "4.00"
