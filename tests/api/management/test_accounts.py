"""Accounts over HTTP."""

from typing import Any

import pytest

from app.services.accounts import add
from app.services.accounts.add import NewAccount
from app.services.gateway import Gateway
from tests.conftest import KeyClient


@pytest.fixture
def team_a(gateway: Gateway) -> str:
    """The id of an account that is kept in the store."""
    new = NewAccount("openai", name="team-a", credential="sk-canary-0123456789", base_url="http://127.0.0.1:9/v1")
    add.add(gateway, new)
    return "openai/team-a"


def test_accounts_are_listed_without_their_keys(admin: KeyClient, team_a: str) -> None:
    answer = admin.get("/api/accounts")
    found = {account["id"]: account for account in answer.json["data"]}
    assert set(found) == {"local/env", team_a}
    assert (found[team_a]["state"], found[team_a]["weight"], found[team_a]["limits"]) == ("enabled", 1, {})
    assert "canary" not in answer.text


def test_an_account_is_changed(admin: KeyClient, team_a: str, gateway: Gateway) -> None:
    asked = {"weight": 3, "max_concurrency": 7, "limits": {"open_batches": 2}}
    changed = admin.put(f"/api/accounts/{team_a}", json=asked)
    assert changed.status_code == 200, changed.text
    assert {name: changed.json[name] for name in asked} == asked
    account = gateway.accounts.choose("openai", name="team-a")
    assert account is not None and account.limits == {"open_batches": 2}

    off = admin.put(f"/api/accounts/{team_a}", json={"disabled": True}).json
    assert (off["state"], off["weight"]) == ("disabled", 3)
    assert gateway.accounts.choose("openai") is None
    assert admin.put(f"/api/accounts/{team_a}", json={"disabled": False, "limits": {}}).json["limits"] == {}
    assert gateway.accounts.choose("openai") is not None
    told = admin.get("/api/events?operation=account_change&order=asc").json["data"]
    assert [event["detail"] for event in told][:2] == [asked, {"disabled": True}]


WRONG_WITH_A_CHANGE: list[tuple[Any, ...]] = [
    ({}, None),
    ({"weight": 0}, "weight"),
    ({"weight": None}, "weight"),
    ({"weight": "1.5"}, "weight"),
    ({"max_concurrency": 0}, "max_concurrency"),
    ({"disabled": 1}, "disabled"),
    ({"limits": {"requests_per_minute": 5}}, "limits"),
    ({"limits": {"open_batches": -1}}, "limits.open_batches"),
    ({"credential": "sk-new"}, "credential"),
    ({"base_url": "http://elsewhere"}, "base_url"),
]


def test_what_is_wrong_with_a_change_is_named(admin: KeyClient, team_a: str) -> None:
    for body, param in WRONG_WITH_A_CHANGE:
        before = admin.get("/api/accounts").json["data"]
        answer = admin.put(f"/api/accounts/{team_a}", json=body)
        assert (answer.status_code, answer.json["error"]["param"]) == (400, param)
        assert admin.get("/api/accounts").json["data"] == before


def test_the_concurrency_of_the_environment_is_set_there(admin: KeyClient) -> None:
    answer = admin.put("/api/accounts/local/env", json={"max_concurrency": 5})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "max_concurrency")


@pytest.mark.parametrize("account", ["openai/nope", "nope/env", "local/a%00b", "%C3%9C/env"])
def test_unknown_accounts_are_404(admin: KeyClient, account: str) -> None:
    assert admin.put(f"/api/accounts/{account}", json={"weight": 1}).status_code == 404


def test_pages_hold_together(admin: KeyClient, team_a: str) -> None:
    first = admin.get("/api/accounts?limit=1").json
    rest = admin.get(f"/api/accounts?limit=1&after={first['last_id']}").json
    assert [first["data"][0]["id"], rest["data"][0]["id"]] == ["local/env", team_a]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert admin.get("/api/accounts?after=nope").json["error"]["param"] == "after"
