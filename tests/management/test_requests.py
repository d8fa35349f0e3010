"""What comes with any request of the management API: who asks, and bodies that are none."""

from typing import Any

import pytest

from app.services import keys
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.management.conftest import client_of

DEEP = "[" * 100_000 + "]" * 100_000
WRITES = [
    ("POST", "/api/projects"),
    ("PUT", "/api/projects/ops"),
    ("POST", "/api/governance/virtual-keys"),
    ("PUT", "/api/governance/virtual-keys/{key}"),
    ("POST", "/api/governance/virtual-keys/{key}/rotate"),
    ("POST", "/api/governance/virtual-keys/{key}/expire"),
    ("POST", "/api/governance/virtual-keys/{key}/revoke"),
    ("PUT", "/api/accounts/local/env"),
    ("POST", "/api/prices"),
    ("PUT", "/api/budgets"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_bodies_that_are_no_object_are_refused(admin: KeyClient, gateway: Gateway, method: str, path: str) -> None:
    key = keys.create(gateway, project="ops", name="k").public_id
    before = len(admin.get("/api/events?outcome=done").json["data"])
    for body in (
        "null",
        "5",
        "[]",
        "{",
        '{"name": NaN}',
        b'{"name": "\xff"}',
        '{"name": "\\ud800"}',
        '{"x": ' + DEEP + "}",
    ):
        answer = admin.open(path.replace("{key}", key), method=method, data=body)
        assert (answer.status_code, answer.json["is_bifrost_error"]) == (400, True), body[:20]
    too_large = admin.open(path.replace("{key}", key), method=method, data='{"name": "' + "x" * 5_000_000 + '"}')
    assert too_large.status_code == 413
    assert len(admin.get("/api/events?outcome=done").json["data"]) == before


@pytest.mark.parametrize("field", ["nmae", "", "é", "a.b", "x" * 200])
def test_a_field_that_is_unknown_is_named_and_so_are_those_there_are(admin: KeyClient, field: str) -> None:
    answer = admin.put("/api/accounts/local/env", json={"weight": 5, field: 1})
    assert answer.status_code == 400
    assert field[:40] in answer.json["error"]["message"]
    assert "disabled, limits, max_concurrency, weight" in answer.json["error"]["message"]
    assert admin.get("/api/accounts").json["data"][0]["weight"] == 1


@pytest.mark.parametrize("query", ["/api/projects", "/api/accounts", "/api/prices", "/api/budgets", "/api/usage",
                                   "/api/events", "/api/governance/virtual-keys"])  # fmt: skip
def test_a_query_that_is_unknown_is_refused_everywhere(admin: KeyClient, query: str) -> None:
    for asked in ("nope=1", "limit=0", "limit=1001", "limit=x", "limit="):
        answer = admin.get(f"{query}?{asked}")
        assert (answer.status_code, answer.json["error"]["param"]) == (400, asked.partition("=")[0]), asked


def test_an_admin_whose_key_ends_is_none_any_more(admin: KeyClient, gateway: Gateway) -> None:
    assert admin.get("/api/projects").status_code == 200
    keys.update(gateway, admin.key.split("-")[2], role="member")
    assert admin.get("/api/projects").status_code == 403
    keys.expire(gateway, admin.key.split("-")[2])
    refused = admin.get("/api/projects")
    assert (refused.status_code, refused.json["error"]["code"]) == (401, "invalid_api_key")


def test_an_admin_can_end_the_key_that_it_asks_with(admin: KeyClient) -> None:
    own = admin.key.split("-")[2]
    assert admin.delete(f"/api/governance/virtual-keys/{own}").status_code == 200
    assert admin.get("/api/projects").status_code == 401


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_other_roles_change_nothing(admin: KeyClient, gateway: Gateway, role: str) -> None:
    holder = client_of(gateway, keys.create(gateway, project="ops", name="", role=role).key)
    bodies: dict[str, Any] = {"/api/projects": {"name": "mine"}, "/api/projects/ops": {"description": "mine"}}
    for method, path in WRITES:
        answer = holder.open(path.replace("{key}", "x"), method=method, json=bodies.get(path, {}))
        assert (answer.status_code, answer.json["error"]["code"]) == (403, "permission_denied"), path
    assert [project["description"] for project in admin.get("/api/projects").json["data"]] == [None]
