"""What comes with any request of the management API: who asks, and bodies that are none."""

from typing import Any

import pytest

from app.services.access import keys
from app.services.gateway import Gateway
from tests.api.management.conftest import client_of
from tests.conftest import KeyClient

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


NO_OBJECTS = ("null", "5", "[]", "{", '{"name": NaN}', b'{"name": "\xff"}', '{"name": "\\ud800"}', f'{{"x": {DEEP}}}')
LARGE = '{"name": "' + "x" * 5_000_000 + '"}'


def test_bodies_that_are_no_object_are_refused(admin: KeyClient, gateway: Gateway) -> None:
    key = keys.create(gateway, project="ops", name="k").public_id
    before = len(admin.get("/api/events?outcome=done").json["data"])
    for method, path in WRITES:
        url = path.replace("{key}", key)
        for body in NO_OBJECTS:
            answer = admin.open(url, method=method, data=body)
            assert (answer.status_code, answer.json["is_bifrost_error"]) == (400, True), (path, body[:20])
        assert admin.open(url, method=method, data=LARGE).status_code == 413, path
    assert len(admin.get("/api/events?outcome=done").json["data"]) == before


@pytest.mark.parametrize("field", ["nmae", "", "é", "a.b", "x" * 200])
def test_a_field_that_is_unknown_is_named_and_so_are_those_there_are(admin: KeyClient, field: str) -> None:
    answer = admin.put("/api/accounts/local/env", json={"weight": 5, field: 1})
    assert answer.status_code == 400
    assert field[:40] in answer.json["error"]["message"]
    assert "disabled, limits, max_concurrency, weight" in answer.json["error"]["message"]
    assert admin.get("/api/accounts").json["data"][0]["weight"] == 1


LISTS = ("projects", "accounts", "prices", "budgets", "usage", "events", "governance/virtual-keys")


def test_a_query_that_is_unknown_is_refused_everywhere(admin: KeyClient) -> None:
    for path in LISTS:
        for asked in ("nope=1", "limit=0", "limit=1001", "limit=x", "limit="):
            answer = admin.get(f"/api/{path}?{asked}")
            assert (answer.status_code, answer.json["error"]["param"]) == (400, asked.partition("=")[0]), (path, asked)


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
