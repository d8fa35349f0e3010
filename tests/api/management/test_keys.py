"""Virtual keys over HTTP."""

from typing import Any

import pytest

from app.services.access import keys
from app.services.gateway import Gateway
from tests.api.management.conftest import client_of
from tests.conftest import KeyClient

KEYS = "/api/governance/virtual-keys"


@pytest.fixture
def made(admin: KeyClient) -> dict[str, Any]:
    """A key of project reports, as it was answered."""
    assert admin.post("/api/projects", json={"name": "reports"}).status_code == 200
    answer = admin.post(KEYS, json={"name": "nightly", "project": "reports"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def test_a_key_is_shown_once_and_opens_the_gateway(admin: KeyClient, gateway: Gateway, made: dict[str, Any]) -> None:
    assert made["value"].startswith(f"sk-bf-{made['id']}-")
    assert client_of(gateway, made["value"]).get("/v1/files").status_code == 200
    shown = admin.get(f"{KEYS}/{made['id']}")
    assert "value" not in shown.json
    secret = made["value"].split("-", 3)[3]
    for path in (KEYS, f"{KEYS}/{made['id']}", "/api/events"):
        assert secret not in admin.get(path).text
    assert (shown.json["project"], shown.json["role"], shown.json["is_active"]) == ("reports", "member", True)


def test_fields_as_bifrost_has_them(admin: KeyClient, made: dict[str, Any]) -> None:
    asked = {
        "name": "b",
        "project": "reports",
        "description": "From Bifrost",
        "provider_configs": [
            {"provider": "openai", "allowed_models": ["gpt-5*", "o3"]},
            {"provider": "local", "allowed_models": ["*"]},
        ],
        "budget": {"max_limit": 12.5, "reset_duration": "1d"},
        "rate_limit": {"request_max_limit": 60, "request_reset_duration": "1m", "token_max_limit": 5000},
    }
    found = admin.post(KEYS, json=asked).json

    assert found["provider_configs"] == asked["provider_configs"]
    assert (found["providers"], found["models"]) == (["openai", "local"], ["openai/gpt-5*", "openai/o3", "local/*"])
    assert found["limits"] == {"requests_per_minute": 60, "tokens_per_day": 5000}
    assert found["rate_limit"] == {
        "request_max_limit": 60,
        "request_reset_duration": "1m",
        "token_max_limit": 5000,
        "token_reset_duration": "1d",
    }
    (budget,) = found["budgets"]
    assert (budget["max_limit"], budget["period"], budget["reset_duration"]) == ("12.50", "day", "1d")

    changed = admin.put(f"{KEYS}/{found['id']}", json={"rate_limit": {"token_max_limit": None}}).json
    assert changed["limits"] == {"requests_per_minute": 60}
    changed = admin.put(f"{KEYS}/{found['id']}", json={"provider_configs": None, "rate_limit": None}).json
    assert (changed["provider_configs"], changed["models"], changed["limits"]) == (None, None, {})


def test_all_models_of_some_providers_are_no_list_of_models(admin: KeyClient, made: dict[str, Any]) -> None:
    asked = {"name": "b", "project": "reports", "provider_configs": [{"provider": "openai", "allowed_models": []}]}
    found = admin.post(KEYS, json=asked).json
    assert (found["providers"], found["models"]) == (["openai"], None)
    assert found["provider_configs"] == [{"provider": "openai", "allowed_models": ["*"]}]


def test_a_change_sets_what_is_sent(admin: KeyClient, made: dict[str, Any]) -> None:
    asked = {
        "name": "other",
        "role": "viewer",
        "networks": ["10.0.0.0/8"],
        "endpoints": ["/v1/embeddings"],
        "accounts": ["team-a"],
        "models": ["gpt-5*"],
        "expires_at": "2099-01-01",
        "limits": {"open_batches": 3},
    }
    changed = admin.put(f"{KEYS}/{made['id']}", json=asked).json
    assert {key: changed[key] for key in asked} == {**asked, "expires_at": 4_070_908_800}
    again = admin.put(f"{KEYS}/{made['id']}", json={"description": "kept", "expires_at": None}).json
    assert (again["name"], again["description"], again["expires_at"]) == ("other", "kept", None)


def test_a_rotated_key_has_another_secret_at_once(admin: KeyClient, gateway: Gateway, made: dict[str, Any]) -> None:
    rotated = admin.post(f"{KEYS}/{made['id']}/rotate").json
    assert (rotated["id"], rotated["value"] != made["value"]) == (made["id"], True)
    assert client_of(gateway, made["value"]).get("/v1/files").status_code == 401
    assert client_of(gateway, rotated["value"]).get("/v1/files").status_code == 200

    third = admin.post(f"{KEYS}/{made['id']}/rotate", json={"grace_seconds": 60}).json
    assert third["previous_until"] is not None
    for value in (rotated["value"], third["value"]):
        assert client_of(gateway, value).get("/v1/files").status_code == 200


def test_a_key_is_inactive_until_it_is_active_again(admin: KeyClient, gateway: Gateway, made: dict[str, Any]) -> None:
    holder = client_of(gateway, made["value"])
    stopped = admin.put(f"{KEYS}/{made['id']}", json={"is_active": False}).json
    assert (stopped["is_active"], stopped["state"], holder.get("/v1/files").status_code) == (False, "expired", 401)
    back = admin.put(f"{KEYS}/{made['id']}", json={"is_active": True}).json
    assert (back["is_active"], holder.get("/v1/files").status_code) == (True, 200)
    assert admin.post(f"{KEYS}/{made['id']}/expire").json["state"] == "expired"
    assert holder.get("/v1/files").status_code == 401


def test_a_key_can_be_made_inactive(admin: KeyClient, gateway: Gateway, made: dict[str, Any]) -> None:
    asked = {"name": "b", "project": "reports", "is_active": False}
    found = admin.post("/api/governance/virtual-keys", json=asked).json
    assert (found["state"], client_of(gateway, found["value"]).get("/v1/files").status_code) == ("expired", 401)


def test_a_revoked_key_is_over_for_good(admin: KeyClient, gateway: Gateway, made: dict[str, Any]) -> None:
    gone = admin.delete(f"{KEYS}/{made['id']}").json
    assert {key: gone[key] for key in ("id", "object", "deleted")} == {
        "id": made["id"],
        "object": "virtual_key.deleted",
        "deleted": True,
    }
    assert client_of(gateway, made["value"]).get("/v1/files").status_code == 401
    assert admin.get(f"{KEYS}/{made['id']}").json["state"] == "revoked"
    for path, body in (
        ("/rotate", None),
        ("/expire", None),
        ("/revoke", {"stop": False}),
        ("", {"name": "x"}),
        ("", {"is_active": True}),
        ("", {"is_active": False}),
    ):
        method = "PUT" if path == "" else "POST"
        answer = admin.open(f"{KEYS}/{made['id']}{path}", method=method, json=body)
        assert (answer.status_code, answer.json["error"]["code"]) == (409, "conflict"), (path, body)
    assert admin.delete(f"{KEYS}/{made['id']}").status_code == 409
    stopped = admin.post(f"{KEYS}/{made['id']}/revoke", json={"stop": True})
    assert (stopped.status_code, stopped.json["state"]) == (200, "stopped")
    assert admin.post(f"{KEYS}/{made['id']}/revoke", json={"stop": True}).status_code == 409


WRONG_WITH_A_KEY: list[tuple[Any, ...]] = [
    ({}, "name"),
    ({"name": ""}, "name"),
    ({"name": 5}, "name"),
    ({"project": None}, "project"),
    ({"project": "nope"}, "project"),
    ({"role": "owner"}, "role"),
    ({"role": None}, "role"),
    ({"providers": "openai"}, "providers"),
    ({"providers": ["nonesuch"]}, "providers"),
    ({"models": [5]}, "models[0]"),
    ({"models": ["m"] * 201}, "models"),
    ({"endpoints": ["chat"]}, "endpoints"),
    ({"networks": ["everywhere"]}, "networks"),
    ({"accounts": ["a b"]}, "accounts"),
    ({"limits": {"x": 1}}, "limits"),
    ({"limits": {"open_batches": True}}, "limits.open_batches"),
    ({"expires_at": "tomorrow"}, "expires_at"),
    ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
    ({"expires_at": True}, "expires_at"),
    ({"expires_at": 10**14}, "expires_at"),
    ({"expires_at": 1000}, "expires_at"),
    ({"is_active": None}, "is_active"),
    ({"is_active": False, "expires_at": "2099-01-01"}, "is_active"),
    ({"team_id": "t"}, "team_id"),
    ({"value": "sk-bf-mine"}, "value"),
    ({"provider_configs": [{"provider": "openai", "weight": 1}]}, "provider_configs[0].weight"),
    ({"provider_configs": [{}]}, "provider_configs[0].provider"),
    ({"provider_configs": [{"provider": "nonesuch"}]}, "providers"),
    ({"provider_configs": [], "models": []}, "provider_configs"),
    ({"rate_limit": {"request_max_limit": 1, "request_reset_duration": "1h"}}, "rate_limit.request_reset_duration"),
    ({"rate_limit": {}, "limits": {}}, "rate_limit"),
    ({"budget": {"max_limit": "lots"}}, "budget.max_limit"),
    ({"budget": {"max_limit": -1}}, "budget.max_limit"),
    ({"budget": {"max_limit": True}}, "budget.max_limit"),
    ({"budget": {"max_limit": 10**9}}, "budget.max_limit"),
    ({"budget": {"max_limit": 5, "reset_duration": "1w"}}, "budget.reset_duration"),
    ({"budget": {"reset_duration": "1d"}}, "budget.max_limit"),
]


def test_what_is_wrong_with_a_key_is_named(admin: KeyClient, made: dict[str, Any]) -> None:
    for body, param in WRONG_WITH_A_KEY:
        before = len(admin.get(KEYS).json["data"])
        whole = {"name": "b", "project": "reports", **body} if body else {}
        answer = admin.post(KEYS, json=whole)
        assert (answer.status_code, answer.json["error"]["param"]) == (400, param), answer.text
        assert len(admin.get(KEYS).json["data"]) == before


WRONG_WITH_AN_END: list[tuple[Any, ...]] = [
    ("/rotate", {"grace_seconds": -1}, "grace_seconds"),
    ("/rotate", {"grace": 1}, "grace"),
    ("/expire", {"at": 1}, "at"),
    ("/revoke", {"stop": "yes"}, "stop"),
    ("/revoke", {"stop": 1}, "stop"),
]


def test_what_is_wrong_with_an_end_is_named(admin: KeyClient, made: dict[str, Any]) -> None:
    for path, body, param in WRONG_WITH_AN_END:
        answer = admin.post(f"{KEYS}/{made['id']}{path}", json=body)
        assert (answer.status_code, answer.json["error"]["param"]) == (400, param)
        assert admin.get(f"{KEYS}/{made['id']}").json["is_active"]


WRONG_WITH_A_CHANGE: list[tuple[Any, ...]] = [
    ({"project": "ops"}, "project"),
    ({}, None),
    ({"budget": None}, "budget"),
    ({"is_active": "yes"}, "is_active"),
    ({"is_active": False, "expires_at": "2099-01-01"}, "is_active"),
    ({"name": None}, "name"),
]


def test_what_is_wrong_with_a_change_is_named(admin: KeyClient, made: dict[str, Any]) -> None:
    for body, param in WRONG_WITH_A_CHANGE:
        answer = admin.put(f"{KEYS}/{made['id']}", json=body)
        assert (answer.status_code, answer.json["error"]["param"]) == (400, param)
        assert admin.get(f"{KEYS}/{made['id']}").json["state"] == "active"


@pytest.mark.parametrize("key_id", ["nope", "a%00b", "%C3%9Cbung", "x" * 300])
def test_unknown_keys_are_404(admin: KeyClient, key_id: str) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", {"name": "x"}),
        ("PUT", "", {"is_active": False}),
        ("DELETE", "", None),
        ("POST", "/rotate", None),
        ("POST", "/expire", None),
        ("POST", "/revoke", {"stop": True}),
    ):
        answer = admin.open(f"{KEYS}/{key_id}{path}", method=method, json=body)
        assert answer.status_code == 404, (method, path)


def test_pages_hold_together(admin: KeyClient, gateway: Gateway) -> None:
    ids = [keys.create(gateway, project="many", name=str(number)).public_id for number in range(5)]
    first = admin.get(f"{KEYS}?project=many&limit=3").json
    rest = admin.get(f"{KEYS}?project=many&limit=3&after={first['last_id']}").json

    assert [key["id"] for key in first["data"] + rest["data"]] == ids
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert admin.get(f"{KEYS}?after=nope").json["error"]["param"] == "after"
    assert admin.get(f"{KEYS}?projct=many").json["error"]["param"] == "projct"


def test_the_quota_is_no_key_for_any_method(admin: KeyClient) -> None:
    for method in ("PUT", "DELETE", "POST"):
        refused = admin.open(f"{KEYS}/quota", method=method, json={"description": "d"})
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS"), method
    assert admin.options(f"{KEYS}/quota").headers["Allow"] == "GET, HEAD, OPTIONS"
