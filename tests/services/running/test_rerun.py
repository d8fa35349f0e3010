"""Lines that run once more: on another model, at another provider, or all of them; and a project that is stopped."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from app.data.tables import events
from app.services.access import keys
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.anthropic_app import AnthropicApp
from tests.fakes.faults import Fault
from tests.fakes.openai_server import FakeServer
from tests.fakes.serving import ServedApp
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.waiting import until

LINES = jsonl([chat_line("good", "mark-good"), chat_line("bad", "mark-bad-1"), chat_line("worse", "mark-bad-2")])
DEFAULT = {"BATCHGATE_DEFAULT_PROVIDER": "local"}
PATH = "/api/projects/alpha/cancel_batches"
REFUSED = json.dumps({"error": {"message": "No.", "code": "bad", "type": "invalid_request_error"}}).encode()


@pytest.fixture
def other() -> Iterator[ServedApp]:
    with ServedApp(AnthropicApp(api_key="sk-ant-of-the-tests")) as server:
        yield server


@pytest.fixture
def environment(environment: dict[str, str], other: ServedApp) -> dict[str, str]:
    return {**environment, "ANTHROPIC_API_KEY": "sk-ant-of-the-tests", "ANTHROPIC_BASE_URL": other.url, **DEFAULT}


def test_lines_that_failed_with_one_code_run_again_without_the_others(
    client: KeyClient, workers: Workers, fake: FakeServer
) -> None:
    for mark, code in ((b"mark-bad-1", b"bad"), (b"mark-bad-2", b"worse")):
        fake.faults.add(Fault(status=400, body=REFUSED.replace(b"bad", code), containing=mark))
    workers.start()
    first = ended(client, create(client, LINES)["id"])
    assert first["request_counts"]["failed"] == 2
    refused = client.post(f"/v1/batches/{first['id']}/retry", json={"error_code": "none"})
    assert (refused.status_code, refused.json["error"]["param"]) == (400, "error_code")
    again = ended(client, client.post(f"/v1/batches/{first['id']}/retry", json={"error_code": "worse"}).json["id"])
    assert again["request_counts"]["total"] == 1
    assert [line["custom_id"] for line in read(client, again["error_file_id"])] == ["worse"]


def test_failed_lines_run_at_another_provider_translated_and_each_has_one_result(
    client: KeyClient, workers: Workers, fake: FakeServer, other: ServedApp
) -> None:
    fake.faults.add(Fault(status=400, body=REFUSED, containing=b"mark-bad"))
    workers.start()
    first = ended(client, create(client, LINES, priority=2)["id"])
    assert (first["request_counts"]["completed"], first["request_counts"]["failed"]) == (1, 2)
    there = {"provider": "anthropic", "model": "claude-haiku-4-5", "execution": "gateway"}
    answer = client.post(f"/v1/batches/{first['id']}/retry", json=there)
    assert answer.status_code == 200, answer.text
    again = ended(client, answer.json["id"])
    assert (again["status"], again["retry_of"], again["priority"]) == ("completed", first["id"], 2), again
    assert again["extra_fields"]["provider"] == "anthropic"
    results = [read(client, batch["output_file_id"]) for batch in (first, again)]
    assert [[line["custom_id"] for line in lines] for lines in results] == [["good"], ["bad", "worse"]]
    assert all(line["response"]["body"]["object"] == "chat.completion" for line in results[1])
    asked = [request.json for request in other.requests if request.path.endswith("/v1/messages")]
    assert [(body["model"], body["messages"][0]["role"]) for body in asked] == [("claude-haiku-4-5", "user")] * 2
    # A provider in the query is still that of the batch in the path.
    wrong = client.post(f"/v1/batches/{first['id']}/retry?provider=anthropic")
    assert wrong.status_code == 404


def test_a_clone_runs_all_lines_again(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    workers.start()
    first = ended(client, create(client, LINES, metadata={"a": "b"}, concurrency=2)["id"])
    answer = client.post(f"/v1/batches/{first['id']}/clone", json={"model": "other"})
    assert answer.status_code == 200, answer.text
    again = ended(client, answer.json["id"])
    assert (again["input_file_id"], again["metadata"], again["concurrency"]) == (first["input_file_id"], {"a": "b"}, 2)
    assert (again["retry_of"], again["request_counts"]["completed"]) == (None, 3)
    assert {request.json["model"] for request in fake.requests[3:]} == {"other"}
    client.delete(f"/v1/files/{first['input_file_id']}")
    gone = client.post(f"/v1/batches/{first['id']}/clone")
    assert (gone.status_code, "cloned" in gone.json["error"]["message"]) == (409, True)


def test_an_admin_cancels_all_batches_of_a_project(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(Fault(hold_s=600))
    made = [create(client, LINES)["id"] for _ in range(3)]
    workers.start()
    until(lambda: fake.in_flight)
    key = keys.create(gateway, project="ops", name="admin", role="admin").key
    admin = {"headers": {"Authorization": f"Bearer {key}"}}
    answer = client.post(PATH, **admin)
    assert (answer.status_code, answer.json["cancelled"]) == (200, 3), answer.text
    assert {ended(client, batch)["status"] for batch in made} == {"cancelled"}
    assert client.post(PATH, **admin).json["cancelled"] == 0
    assert client.post("/api/projects/nobodys/cancel_batches", **admin).status_code == 404
    assert all(retrieve(client, batch)["waiting_on"] is None for batch in made)
    with gateway.database.read() as connection:
        acts = connection.execute(select(events.c.object_id).where(events.c.operation == "batch_cancel")).scalars()
        assert set(acts) == set(made)
