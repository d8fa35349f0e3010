"""Containers at a provider: what is asked there, how often, and what stays here."""

import io
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import APIConnectionError, InternalServerError, OpenAI
from sqlalchemy import select

from app.data.tables import container_files, containers
from app.services.containers import reconcile
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, html, overload
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.support.absences import minutes_pass
from tests.support.server import LiveServer


def made(client: KeyClient, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/containers", json={"name": "box", **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


def put(client: KeyClient, container: str, data: bytes = b"hello", name: str = "a.txt", **form: str) -> Any:
    fields = {"file": (io.BytesIO(data), name), **form}
    return client.post(f"/v1/containers/{container}/files", data=fields, content_type="multipart/form-data")


def calls(server: ServedApp) -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in server.requests]


def rows(gateway: Gateway) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(containers).order_by(containers.c.id)))


def test_a_container_is_made_at_the_provider_and_shown_as_it_is_there(
    client: KeyClient, app: OpenAIProviderApp, server: ServedApp
) -> None:
    box = made(client, memory_limit="4g", expires_after={"anchor": "last_active_at", "minutes": 5}, metadata={"a": "b"})

    [native] = app.containers.values()
    assert native.fields["memory_limit"] == "4g"
    assert native.fields["expires_after"]["minutes"] == 5
    assert (box["status"], box["memory_limit"], box["metadata"]) == ("running", "4g", {"a": "b"})
    assert (box["extra_fields"]["native_id"], box["extra_fields"]["provider"]) == (native.id, "openai")
    assert calls(server) == [("POST", "/v1/containers")]
    by_native_id = client.get(f"/v1/containers/{native.id}").json
    assert by_native_id["id"] == box["id"]
    listed = client.get("/v1/containers?provider=openai").json
    assert [item["id"] for item in listed["data"]] == [box["id"]]
    assert calls(server) == [("POST", "/v1/containers")], "fresh rows and lists ask nobody"


def test_files_of_the_project_are_copied_in_wherever_they_are(
    client: KeyClient, app: OpenAIProviderApp, server: ServedApp
) -> None:
    direct = client.post("/v1/files", data={"purpose": "user_data", "file": (io.BytesIO(b"direct"), "d.txt")}).json
    kept = client.post("/v1/files", data={"purpose": "batch", "file": (io.BytesIO(b"{}"), "k.jsonl")}).json
    box = made(client, file_ids=[direct["id"], kept["id"]])

    inside = sorted(data for data, _ in app.containers[box["extra_fields"]["native_id"]].files.values())
    assert inside == [b"direct", b"{}"]
    copied = [request for request in server.requests if b"file_id" in request.body]
    assert len(copied) == 1, "the file that is there already is copied there"
    later = client.post(f"/v1/containers/{box['id']}/files", json={"file_id": direct["id"]})
    assert later.status_code == 200
    assert later.json["path"].startswith("/mnt/data/")
    unknown = client.post(f"/v1/containers/{box['id']}/files", json={"file_id": "file-nope"})
    assert (unknown.status_code, unknown.json["error"]["param"]) == (400, "file_id")


def test_what_fails_on_the_way_leaves_nothing(client: KeyClient, app: OpenAIProviderApp, server: ServedApp) -> None:
    kept = client.post("/v1/files", data={"purpose": "batch", "file": (io.BytesIO(b"{}"), "k.jsonl")}).json
    server.faults.add(Fault(method="POST", path="/files", status=500))

    refused = client.post("/v1/containers", json={"name": "box", "file_ids": [kept["id"]]})

    assert refused.status_code == 502
    assert app.containers == {}
    assert client.get("/v1/containers").json["data"] == []


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (overload(retry_after="7"), 429),
        (Fault(status=500), 502),
        (Fault(reset=True), 502),
        (Fault(cut_at=20), 502),
        (html(status=200), 502),
        (Fault(status=401, body=b'{"error":{"message":"Incorrect API key provided: sk-canary-first."}}'), 502),
        (Fault(status=400, body=b'{"error":{"message":"No.","param":"name"}}'), 400),
    ],
    ids=["429", "500", "reset", "cut", "html", "401", "400"],
)
def test_faults_are_reported_and_a_post_is_sent_once(
    client: KeyClient, server: ServedApp, fault: Fault, status: int
) -> None:
    server.faults.add(fault)

    answer = client.post("/v1/containers", json={"name": "box"})

    assert answer.status_code == status
    assert "sk-canary" not in answer.text
    assert answer.json["is_bifrost_error"] is False
    assert answer.json["extra_fields"]["provider"] == "openai"
    assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)
    assert len(server.requests) == 1
    assert client.get("/v1/containers").json["data"] == []


def test_a_container_whose_creation_was_not_confirmed_is_deleted_by_the_sweeper(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    other = made(client, name="box")
    server.faults.add(Fault(method="POST", path="/containers", after_effect=True, reset=True))
    assert client.post("/v1/containers", json={"name": "box"}).status_code == 502
    assert len(app.containers) == 2

    assert reconcile.reconcile_due(gateway) == 1

    assert list(app.containers) == [other["extra_fields"]["native_id"]]
    assert reconcile.reconcile_due(gateway) == 0
    assert [row.status for row in rows(gateway)] == ["running", "deleted"]


def test_many_callers_at_once_make_one_call(client: KeyClient, gateway: Gateway, server: ServedApp) -> None:
    box = made(client)
    with gateway.database.write() as connection:
        connection.execute(containers.update().values(refreshed_at=0))
    server.forget()

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: client.get(f"/v1/containers/{box['id']}").json["id"], range(20)))

    assert set(found) == {box["id"]}
    assert len(server.requests) == 1


def test_an_expired_container_stays_readable(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    box, gone = made(client), made(client, name="gone")
    app.expire(box["extra_fields"]["native_id"])
    del app.containers[gone["extra_fields"]["native_id"]]
    with gateway.database.write() as connection:
        connection.execute(containers.update().values(refreshed_at=0))
    assert client.get(f"/v1/containers/{gone['id']}").json["status"] == "running"  # one 404 proves nothing
    minutes_pass(gateway)
    with gateway.database.write() as connection:
        connection.execute(containers.update().values(refreshed_at=0))

    for container in (box, gone):
        assert client.get(f"/v1/containers/{container['id']}").json["status"] == "expired"
        refused = client.get(f"/v1/containers/{container['id']}/files")
        assert (refused.status_code, refused.json["error"]["code"]) == (400, "container_expired")


def test_a_provider_that_is_down_does_not_hide_the_last_known_state(
    client: KeyClient, gateway: Gateway, server: ServedApp
) -> None:
    box = made(client)
    with gateway.database.write() as connection:
        connection.execute(containers.update().values(refreshed_at=0))
    server.faults.add(Fault(method="GET", status=500))
    server.faults.add(overload())

    assert client.get(f"/v1/containers/{box['id']}").json["status"] == "running"
    assert client.delete(f"/v1/containers/{box['id']}").status_code == 429
    server.faults.clear()
    server.forget()
    assert client.delete(f"/v1/containers/{box['id']}").json["deleted"] is True
    assert [method for method, _ in calls(server)] == ["DELETE"]
    assert client.get(f"/v1/containers/{box['id']}").status_code == 404


def test_files_that_a_model_makes_are_found(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    box = made(client)
    native = box["extra_fields"]["native_id"]
    for n in range(250):
        app.put(native, f"/mnt/data/{n:03}.txt", str(n).encode())
    seen: list[str] = []
    after = ""
    while True:
        page = client.get(f"/v1/containers/{box['id']}/files?limit=100&order=asc{after}").json
        seen += [item["path"] for item in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
        app.put(native, f"/mnt/data/new-{len(seen)}.txt", b"new")

    old, new = [f"/mnt/data/{n:03}.txt" for n in range(250)], ["/mnt/data/new-100.txt", "/mnt/data/new-200.txt"]
    assert seen == old + new, "each once, and what came meanwhile at the end"
    again = client.get(f"/v1/containers/{box['id']}/files?limit=100").json["data"]
    assert len({item["id"] for item in again}) == 100
    assert {item["source"] for item in again} == {"assistant"}
    with gateway.database.read() as connection:
        count = len(connection.execute(select(container_files.c.id)).all())
    assert count == 252


def test_one_file_is_asked_for_at_its_provider(client: KeyClient, app: OpenAIProviderApp, server: ServedApp) -> None:
    box = made(client)
    native = box["extra_fields"]["native_id"]
    at = f"/v1/containers/{box['id']}/files"
    model_made = app.put(native, "/mnt/data/plot.png", b"\x89PNG")
    server.forget()

    found = client.get(f"{at}/{model_made['id']}")
    assert (found.status_code, found.json["path"], found.json["source"]) == (200, "/mnt/data/plot.png", "assistant")
    assert found.json["id"].startswith("cfile_") and found.json["extra_fields"]["native_id"] == model_made["id"]
    assert len(server.requests) == 1
    server.forget()
    content = client.get(f"{at}/{found.json['id']}/content")
    assert (content.data, content.headers["Content-Length"]) == (b"\x89PNG", "4")
    assert "plot.png" in content.headers["Content-Disposition"]
    assert len(server.requests) == 1
    assert client.get(f"{at}/cfile_nope").status_code == 404
    server.forget()
    assert client.delete(f"{at}/{found.json['id']}").json["deleted"] is True
    assert len(server.requests) == 1
    assert client.get(f"{at}/{found.json['id']}").status_code == 404
    assert client.get(f"{at}/{found.json['id']}/content").status_code == 404


def test_a_file_is_added_and_its_bytes_are_not_kept(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp
) -> None:
    box = made(client)
    answer = put(client, box["id"], b"x" * 100_000, "data.bin", file_path="/mnt/data/wanted.bin")

    assert answer.status_code == 200, answer.text
    assert answer.json["bytes"] == 100_000
    assert answer.json["path"].endswith("wanted.bin")
    [(data, _)] = app.containers[box["extra_fields"]["native_id"]].files.values()
    assert data == b"x" * 100_000
    with gateway.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM blobs").scalar() == 0
    folder = put(client, box["id"], file_path="/mnt/data/sub/wanted.bin")
    assert (folder.status_code, folder.json["error"]["param"]) == (400, "file_path")


def test_a_body_truncated_upstream_is_truncated_here(
    client: KeyClient, app: OpenAIProviderApp, server: ServedApp, live_server: LiveServer
) -> None:
    with OpenAI(base_url=f"{live_server.url}/v1", api_key=live_server.key, max_retries=0) as sdk:
        box = sdk.containers.create(name="box")
        inside = sdk.containers.files.create(box.id, file=("a.bin", b"x" * 500_000))
        server.faults.add(Fault(path="/content", status=500, times=1))
        with pytest.raises(InternalServerError, match="502"):
            sdk.containers.files.content.retrieve(inside.id, container_id=box.id)
        server.faults.clear()
        server.faults.add(Fault(path="/content", cut_at=400_000, times=1))
        with pytest.raises(APIConnectionError):
            sdk.containers.files.content.retrieve(inside.id, container_id=box.id)
        assert len(sdk.containers.files.content.retrieve(inside.id, container_id=box.id).read()) == 500_000


def test_the_official_sdk_works_unchanged(live_server: LiveServer, app: OpenAIProviderApp) -> None:
    with OpenAI(base_url=f"{live_server.url}/v1", api_key=live_server.key, max_retries=0) as sdk:
        box = sdk.containers.create(name="box", expires_after={"anchor": "last_active_at", "minutes": 20})
        assert sdk.containers.retrieve(box.id).name == "box"
        assert [item.id for item in sdk.containers.list()] == [box.id]
        sent = sdk.containers.files.create(box.id, file=("a.txt", b"sent"))
        file = sdk.files.create(file=("b.txt", b"copied"), purpose="user_data")
        copied = sdk.containers.files.create(box.id, file_id=file.id)
        assert {item.id for item in sdk.containers.files.list(box.id, limit=1)} == {sent.id, copied.id}
        assert sdk.containers.files.retrieve(sent.id, container_id=box.id).bytes == 4
        assert sdk.containers.files.content.retrieve(copied.id, container_id=box.id).read() == b"copied"
        sdk.containers.files.delete(sent.id, container_id=box.id)
        sdk.containers.delete(box.id)
    assert app.containers == {}


def test_another_project_sees_nothing_and_no_provider_is_called(
    client: KeyClient, other_client: KeyClient, server: ServedApp
) -> None:
    box = made(client)
    inside = put(client, box["id"]).json
    server.forget()
    for container in (box["id"], box["extra_fields"]["native_id"]):
        at = f"/v1/containers/{container}"
        for path in (at, f"{at}/files", f"{at}/files/{inside['id']}", f"{at}/files/{inside['id']}/content"):
            assert other_client.get(path).status_code == 404
            assert other_client.delete(path).status_code in (404, 405)
        assert put(other_client, container).status_code == 404
    assert server.requests == []


def test_secrets_of_domains_go_to_the_provider_and_nowhere_else(
    client: KeyClient, gateway: Gateway, server: ServedApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = {"domain": "example.com", "name": "TOKEN", "value": "canary-domain-secret"}
    policy = {"type": "allowlist", "allowed_domains": ["example.com"], "domain_secrets": [secret]}
    box = made(client, network_policy=policy)

    assert server.requests[0].json["network_policy"] == policy
    assert box["network_policy"] == {"type": "allowlist", "allowed_domains": ["example.com"]}
    with gateway.database.read() as connection:
        for table in ("containers", "events", "idempotency_keys"):
            assert "canary-domain" not in str(connection.exec_driver_sql(f"SELECT * FROM {table}").fetchall())
    assert "canary-domain" not in caplog.text


def test_creating_a_container_where_there_are_none_is_refused(client: KeyClient, server: ServedApp) -> None:
    refused = client.post("/v1/containers", json={"name": "box", "provider": "groq"})

    assert (refused.status_code, refused.json["error"]["code"]) == (400, "unsupported_operation")
    assert "groq" in refused.json["error"]["message"] and "container_create" in refused.json["error"]["message"]
    assert server.requests == []
