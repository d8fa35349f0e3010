"""Projects over HTTP."""

import threading
from typing import Any
from urllib.parse import quote

import pytest

from app.services.access import keys
from app.services.gateway import Gateway
from tests.api.management.conftest import client_of
from tests.conftest import KeyClient


def names(client: KeyClient, query: str = "") -> list[str]:
    return [project["id"] for project in client.get(f"/api/projects{query}").json["data"]]


def test_a_project_is_made_found_changed_and_listed(admin: KeyClient) -> None:
    asked = {"name": "reports", "description": "Nightly", "default_provider": "local", "limits": {"open_batches": 5}}
    made = admin.post("/api/projects", json=asked)

    assert made.status_code == 200
    assert made.json["extra_fields"]["request_type"] == "project_create"
    body = {key: value for key, value in made.json.items() if key not in ("extra_fields", "created_at")}
    assert body == {**asked, "id": "reports", "object": "project", "is_active": True, "archived_at": None}

    changed = admin.put("/api/projects/reports", json={"description": None, "limits": {"uploads_per_day": 7}})
    assert (changed.json["description"], changed.json["limits"]) == (None, {"uploads_per_day": 7})
    assert changed.json["default_provider"] == "local", "what is not sent stays"
    found = admin.get("/api/projects/reports").json
    assert {**found, "extra_fields": None} == {**changed.json, "extra_fields": None}
    assert names(admin) == ["ops", "reports"]


def test_an_archived_project_ends_its_keys_until_it_is_restored(admin: KeyClient, gateway: Gateway) -> None:
    member = client_of(gateway, keys.create(gateway, project="reports", name="").key)
    assert member.get("/v1/files").status_code == 200

    archived = admin.delete("/api/projects/reports")
    assert (archived.json["is_active"], archived.json["archived_at"] is not None) == (False, True)
    assert member.get("/v1/files").status_code == 401
    assert admin.post("/api/governance/virtual-keys", json={"name": "x", "project": "reports"}).status_code == 409
    assert names(admin, "?archived=false") == ["ops"]
    assert names(admin, "?archived=true") == ["reports"]
    assert admin.delete("/api/projects/reports").json["archived_at"] == archived.json["archived_at"]

    assert admin.put("/api/projects/reports", json={"archived": False}).json["is_active"]
    assert member.get("/v1/files").status_code == 200


@pytest.mark.parametrize("name", ["a b", "Übung", "team/a", "100%", "a?b", "x" * 64])
def test_names_that_need_encoding_are_found(admin: KeyClient, name: str) -> None:
    assert admin.post("/api/projects", json={"name": name}).status_code == 200
    assert admin.get(f"/api/projects/{quote(name, safe='')}").json["name"] == name
    assert names(admin, f"?after={quote(name, safe='')}") == [other for other in ["ops"] if other > name]


WRONG_WITH_A_NEW_PROJECT: list[tuple[Any, ...]] = [
    ({}, "name"),
    ({"name": ""}, "name"),
    ({"name": " a"}, "name"),
    ({"name": ".."}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "x" * 65}, "name"),
    ({"name": 5}, "name"),
    ({"name": None}, "name"),
    ({"name": "a", "nmae": "b"}, "nmae"),
    ({"name": "a", "archived": True}, "archived"),
    ({"name": "a", "description": 5}, "description"),
    ({"name": "a", "description": "x" * 257}, "description"),
    ({"name": "a", "default_provider": "nonesuch"}, "default_provider"),
    ({"name": "a", "limits": []}, "limits"),
    ({"name": "a", "limits": {"open_batches": "many"}}, "limits.open_batches"),
    ({"name": "a", "limits": {"open_batches": -1}}, "limits.open_batches"),
    ({"name": "a", "limits": {"open_batches": 1.5}}, "limits.open_batches"),
    ({"name": "a", "limits": {"open_botches": 1}}, "limits"),
]


def test_what_is_wrong_with_a_new_project_is_named(admin: KeyClient) -> None:
    for body, param in WRONG_WITH_A_NEW_PROJECT:
        answer = admin.post("/api/projects", json=body)
        assert (answer.status_code, answer.json["error"]["param"]) == (400, param)
        assert param in answer.json["error"]["message"]
        assert names(admin) == ["ops"]


WRONG_WITH_A_CHANGE: list[tuple[Any, ...]] = [
    ({}, None),
    ({"name": "new"}, "name"),
    ({"archived": "no"}, "archived"),
    ({"archived": 1}, "archived"),
    ({"archived": None}, "archived"),
    ({"default_provider": "nonesuch"}, "default_provider"),
    ({"limits": {"x": 1}}, "limits"),
]


def test_what_is_wrong_with_a_change_is_named(admin: KeyClient) -> None:
    for body, param in WRONG_WITH_A_CHANGE:
        answer = admin.put("/api/projects/ops", json=body)
        assert (answer.status_code, answer.json["error"]["param"]) == (400, param)


@pytest.mark.parametrize("name", ["nope", "a%00b", "%ed%a0%80", "x" * 3000])
def test_unknown_projects_are_404(admin: KeyClient, name: str) -> None:
    for method, body in (("GET", None), ("PUT", {"description": "x"}), ("DELETE", None)):
        answer = admin.open(f"/api/projects/{name}", method=method, json=body)
        assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found"), method


def test_a_name_is_taken_once_also_by_an_archived_one(admin: KeyClient) -> None:
    assert admin.post("/api/projects", json={"name": "a"}).status_code == 200
    admin.delete("/api/projects/a")
    again = admin.post("/api/projects", json={"name": "a"})
    assert (again.status_code, again.json["error"]["param"]) == (409, "name")


def test_of_many_who_make_the_same_name_at_once_one_does(admin: KeyClient) -> None:
    statuses: list[int] = []
    ready = threading.Barrier(6)

    def make() -> None:
        client = admin.application.test_client()
        client.key = admin.key  # type: ignore[attr-defined]
        ready.wait(10)
        statuses.append(client.post("/api/projects", json={"name": "one"}).status_code)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
    done = admin.get("/api/events?operation=project_create&outcome=done").json["data"]
    assert [event["object_id"] for event in done] == ["one"]


def test_pages_hold_together(admin: KeyClient) -> None:
    for name in ("a", "b", "c", "d"):
        admin.post("/api/projects", json={"name": name})
    first = admin.get("/api/projects?limit=3").json
    rest = admin.get(f"/api/projects?limit=3&after={first['last_id']}").json

    assert [project["id"] for project in first["data"] + rest["data"]] == ["a", "b", "c", "d", "ops"]
    assert (first["has_more"], rest["has_more"], first["first_id"], rest["last_id"]) == (True, False, "a", "ops")


def test_what_lies_below_a_project_is_no_project(admin: KeyClient) -> None:
    for method in ("GET", "PUT", "DELETE"):
        refused = admin.open("/api/projects/reports/cancel_batches", method=method, json={"description": "d"})
        assert (refused.status_code, refused.headers["Allow"]) == (405, "OPTIONS, POST"), method
