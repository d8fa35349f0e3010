"""What came of the lines: results, states, retries, estimates."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.data.batches import inputs
from app.lib import json as fast_json
from app.services.gateway import Caller, Gateway
from tests.support.batch_states import RunningBatch, jsonl, put_file, request

LINES = 5
INPUT = jsonl([request(number) for number in range(1, LINES + 1)])


@pytest.fixture
def running(client: FlaskClient, gateway: Gateway, caller: Caller) -> RunningBatch:
    """A batch of five lines, none of them answered."""
    file_id = put_file(gateway, caller, INPUT)
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "1h"}
    batch = client.post("/v1/batches", json={**body, "metadata": {"k": "v"}}).json
    return RunningBatch(gateway, batch["id"], data=INPUT)


def results(client: FlaskClient, running: RunningBatch, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/v1/batches/{running.id}/results{query}")
    assert answer.status_code == 200, answer.json
    assert answer.mimetype == "application/x-ndjson"
    return [json.loads(line) for line in answer.data.splitlines()]


def test_finished_lines_in_input_order_while_it_runs(client: FlaskClient, running: RunningBatch) -> None:
    running.answer([4, 2])
    running.answer([3], state="failed", status_code=400)

    found = results(client, running)

    assert [line["custom_id"] for line in found] == ["r2", "r3", "r4"]
    assert found[0]["response"] == {"status_code": 200, "request_id": "req_2", "body": {"n": 2}}
    assert set(found[0]) == {"id", "custom_id", "response", "error"}
    assert found[1]["response"]["status_code"] == 400


@pytest.mark.parametrize(("ending", "code"), [("expired", "batch_expired"), ("cancelled", "batch_cancelled")])
def test_all_lines_after_the_end(client: FlaskClient, running: RunningBatch, ending: str, code: str) -> None:
    running.answer([2])
    running.end(ending)

    found = results(client, running)

    assert [line["custom_id"] for line in found] == ["r1", "r2", "r3", "r4", "r5"]
    assert found[0]["response"] is None
    assert found[0]["error"]["code"] == code
    assert found[1]["error"] is None
    assert found == results(client, running)


def test_nothing_yet(client: FlaskClient, running: RunningBatch) -> None:
    assert results(client, running) == []


def test_pages_of_the_stream(client: FlaskClient, running: RunningBatch) -> None:
    running.answer([1, 2, 3, 4, 5])

    first = results(client, running, "?limit=2")
    rest = results(client, running, f"?after={first[-1]['id']}")

    assert [line["custom_id"] for line in first + rest] == ["r1", "r2", "r3", "r4", "r5"]


def test_a_document_for_those_who_ask_for_json(client: FlaskClient, running: RunningBatch) -> None:
    running.answer([1, 2, 3])
    path, headers = f"/v1/batches/{running.id}/results", {"Accept": "application/json"}

    first = client.get(f"{path}?limit=2", headers=headers).json
    second = client.get(f"{path}?limit=2&after={first['next_cursor']}", headers=headers).json

    assert set(first) == {"batch_id", "results", "has_more", "next_cursor", "extra_fields"}
    assert [line["custom_id"] for line in first["results"]] == ["r1", "r2"]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
    assert [line["custom_id"] for line in second["results"]] == ["r3"]
    assert first["extra_fields"]["request_type"] == "batch_results"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "after=3", "after=batch_req_0", "after=" + "0" * 42])
@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_result_queries_that_are_wrong(client: FlaskClient, running: RunningBatch, query: str, accept: str) -> None:
    answer = client.get(f"/v1/batches/{running.id}/results?{query}", headers={"Accept": accept})

    assert answer.status_code == 400
    assert answer.json["error"]["param"] == query.split("=")[0]


def test_extras_are_not_for_azure_clients(client: FlaskClient, running: RunningBatch) -> None:
    assert client.get(f"/openai/openai/batches/{running.id}/results").status_code == 404


def test_lost_bytes_are_told_before_the_first_byte(
    client: FlaskClient, gateway: Gateway, running: RunningBatch
) -> None:
    running.answer([1])
    with gateway.database.read() as connection:
        sql = "SELECT key FROM blobs JOIN batch_chunks ON blobs.id = batch_chunks.blob_id"
        key = connection.exec_driver_sql(sql).scalar_one()
    gateway.blobs.delete(key)

    assert client.get(f"/v1/batches/{running.id}/results").status_code == 503


def test_states_of_lines(client: FlaskClient, running: RunningBatch) -> None:
    running.answer([1, 3])
    path = f"/v1/batches/{running.id}/lines"

    first = client.get(f"{path}?limit=2").json
    second = client.get(f"{path}?limit=3&after={first['last_id']}").json
    pending = client.get(f"{path}?state=pending").json

    assert [item["state"] for item in first["data"] + second["data"]] == [
        *("completed", "pending", "completed", "pending", "pending")
    ]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert first["data"][0] == {
        "id": first["first_id"],
        "object": "batch.line",
        "line": 1,
        "custom_id": "r1",
        "wire_id": None,
        "state": "completed",
        "running_since": None,
        "waiting_on": None,
        "attempts": 1,
        "unknown_attempts": 0,
        "status_code": 200,
        "error_code": None,
        "latency_ms": 5,
        "input_tokens": 3,
        "output_tokens": 4,
        "dropped_fields": [],
    }
    assert [item["line"] for item in pending["data"]] == [2, 4, 5]


@pytest.mark.parametrize("query", ["state=odd", "limit=1001", "after=x"])
def test_line_queries_that_are_wrong(client: FlaskClient, running: RunningBatch, query: str) -> None:
    answer = client.get(f"/v1/batches/{running.id}/lines?{query}")

    assert answer.json["error"]["param"] == query.split("=")[0]


def test_retry_makes_a_batch_of_what_came_to_nothing(
    client: FlaskClient, gateway: Gateway, caller: Caller, running: RunningBatch
) -> None:
    running.answer([1, 4])
    running.answer([2], state="failed", status_code=400)
    running.end("expired")

    again = client.post(f"/v1/batches/{running.id}/retry", content_type="application/json").json

    assert again["retry_of"] == running.id
    assert (again["status"], again["completion_window"], again["metadata"]) == ("validating", "1h", {"k": "v"})
    with gateway.database.read() as connection:
        found = inputs.find(connection, project_id=caller.project_id, given=again["input_file_id"])
    assert found is not None and found.key is not None
    lines = [fast_json.loads(line) for line in b"".join(gateway.blobs.stream(found.key)).splitlines()]
    assert lines == [request(2), request(3), request(5)]
    assert found.file.lines == 3


def test_retry_waits_for_the_end(client: FlaskClient, running: RunningBatch) -> None:
    answer = client.post(f"/v1/batches/{running.id}/retry")

    assert answer.status_code == 409
    assert "in_progress" in answer.json["error"]["message"]


def test_nothing_to_retry(client: FlaskClient, gateway: Gateway, running: RunningBatch) -> None:
    running.answer([1, 2, 3, 4, 5])
    running.end("completed")

    assert client.post(f"/v1/batches/{running.id}/retry").status_code == 400
    with gateway.database.read() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM blobs WHERE state <> 'live'").scalar_one() == 0


def test_retry_of_a_deleted_input(client: FlaskClient, gateway: Gateway, running: RunningBatch) -> None:
    running.end("cancelled")
    with gateway.database.write() as connection:
        connection.exec_driver_sql("UPDATE files SET deleted_at = 1, status = 'deleted', blob_id = NULL")

    answer = client.post(f"/v1/batches/{running.id}/retry")

    assert answer.status_code == 409
    assert "deleted" in answer.json["error"]["message"]


def test_estimate_reads_what_the_file_tells(client: FlaskClient, gateway: Gateway, caller: Caller) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}}
    parts = [{"type": "text", "text": "x" * 40}, image]
    lines = [
        request(1, body={"model": "a", "messages": [{"role": "user", "content": "y" * 40}], "max_tokens": 10, "n": 2}),
        request(2, body={"model": "b", "input": [{"role": "user", "content": parts}]}),
    ]
    file_id = put_file(gateway, caller, jsonl(lines) + b"not json\n")

    found = client.get(f"/v1/files/{file_id}/estimate").json

    del found["extra_fields"]
    # Of inputs: the text, each sign of the JSON around it, and 1000 for an image, whatever the size of its bytes.
    assert found == {
        "object": "file.estimate",
        "file_id": file_id,
        "lines": 3,
        "invalid_lines": 1,
        "execution": "gateway",
        "models": [
            {"model": "a", "lines": 1, "input_tokens": 58, "output_tokens": 20, "estimated_cost": None},
            {"model": "b", "lines": 1, "input_tokens": 1084, "output_tokens": 4096, "estimated_cost": None},
        ],
        "input_tokens": 1142,
        "max_output_tokens": 20,
        "lines_without_max_output_tokens": 1,
        "output_tokens": 4116,
        "default_output_tokens": 4096,
        "estimated_cost": None,
    }


def test_estimates_are_for_batch_inputs(
    client: FlaskClient, other_client: FlaskClient, gateway: Gateway, caller: Caller
) -> None:
    other = put_file(gateway, caller, b"text", purpose="user_data")
    mine = put_file(gateway, caller, INPUT)

    assert client.get(f"/v1/files/{other}/estimate").status_code == 400
    assert client.get("/v1/files/file-x/estimate").status_code == 404
    assert other_client.get(f"/v1/files/{mine}/estimate").status_code == 404
