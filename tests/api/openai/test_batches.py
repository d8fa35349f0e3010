"""Batches as a client makes, reads, lists, cancels and deletes them."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from app.data.files import files
from app.services.gateway import Caller, Gateway
from tests.support.batch_states import RunningBatch, jsonl, put_file, request

FIELDS = {
    *("id", "object", "endpoint", "model", "input_file_id", "completion_window", "status", "errors"),
    *("output_file_id", "error_file_id", "request_counts", "usage", "metadata", "created_at", "in_progress_at"),
    *("expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at"),
    *("processing_status", "results_url", "operation_name", "execution", "retry_of", "waiting_on", "extra_fields"),
    "webhook",
    *("priority", "concurrency", "finish_by", "not_before", "off_peak", "paused_at", "progress"),
}
THREE = jsonl([request(1), request(2), request(3)])


@pytest.fixture
def file_id(gateway: Gateway, caller: Caller) -> str:
    return put_file(gateway, caller, THREE)


def wanted(file_id: str, **changes: Any) -> dict[str, Any]:
    return {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h", **changes}


def create(client: FlaskClient, file_id: str, **changes: Any) -> dict[str, Any]:
    answer = client.post("/v1/batches", json=wanted(file_id, **changes))
    assert answer.status_code == 200, answer.text
    return answer.json


def test_create_answers_the_whole_object(client: FlaskClient, file_id: str) -> None:
    batch = create(client, file_id, metadata={"a": "b"}, output_expires_after={"anchor": "created_at", "seconds": 3600})

    assert set(batch) == FIELDS
    assert batch["status"] == "validating"
    assert batch["processing_status"] == "in_progress"
    assert batch["input_file_id"] == file_id
    assert batch["expires_at"] - batch["created_at"] == 86_400
    assert batch["metadata"] == {"a": "b"}
    assert batch["execution"] == "gateway"
    assert set(batch["request_counts"].values()) == {0}
    assert batch["usage"]["input_tokens_details"] == {"cached_tokens": 0}
    assert batch["results_url"].endswith(f"/v1/batches/{batch['id']}/results")
    assert batch["extra_fields"]["request_type"] == "batch_create"
    assert batch["extra_fields"]["provider"] == "local"


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/openai", "/openai/openai"])
def test_every_route_of_the_face(client: FlaskClient, file_id: str, prefix: str) -> None:
    batch = client.post(f"{prefix}/batches", json=wanted(file_id)).json

    assert client.get(f"{prefix}/batches/{batch['id']}").json["id"] == batch["id"]
    assert client.get(f"{prefix}/batches").json["data"][0]["id"] == batch["id"]
    assert client.post(f"{prefix}/batches/{batch['id']}/cancel").json["status"] == "cancelling"


def test_model_names_provider_and_model(client: FlaskClient, file_id: str) -> None:
    batch = create(client, file_id, model="local/some/model")

    assert batch["model"] == "some/model"
    assert batch["extra_fields"]["model_requested"] == "some/model"


@pytest.mark.parametrize(("window", "seconds"), [("15m", 900), ("1h", 3600), ("7d", 604_800)])
def test_windows_of_the_connector(client: FlaskClient, file_id: str, window: str, seconds: int) -> None:
    batch = create(client, file_id, completion_window=window)

    assert batch["expires_at"] - batch["created_at"] == seconds


def test_window_is_a_day_when_left_out(client: FlaskClient, file_id: str) -> None:
    assert create(client, file_id, completion_window=None)["completion_window"] == "24h"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input_file_id": None}, "input_file_id"),
        ({"input_file_id": "file-unknown"}, "input_file_id"),
        ({"input_file_id": "file-\x00"}, "input_file_id"),
        ({"input_file_id": 7}, "input_file_id"),
        ({"requests": [request(1)]}, "requests"),
        ({"requests": "all"}, "requests"),
        ({"endpoint": None}, "endpoint"),
        ({"endpoint": "/v1/nothing"}, "endpoint"),
        ({"endpoint": "/v1/images/generations"}, "endpoint"),
        ({"completion_window": "5 minutes"}, "completion_window"),
        ({"completion_window": 24}, "completion_window"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "metadata"),
        ({"metadata": {"k": "x" * 513}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "never", "seconds": 3600}}, "output_expires_after.anchor"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 2_592_001}}, "output_expires_after.seconds"),
        ({"execution": "elsewhere"}, "execution"),
        ({"provider": "nobody"}, "provider"),
        ({"provider": "ollama"}, "provider"),
        ({"model": 5}, "model"),
    ],
)
def test_what_can_be_known_is_refused_at_once(
    client: FlaskClient, file_id: str, changes: dict[str, Any], param: str
) -> None:
    answer = client.post("/v1/batches", json=wanted(file_id, **changes))

    assert answer.status_code == 400, answer.json
    assert answer.json["error"]["param"].startswith(param)
    assert param.split(".")[0] in answer.json["error"]["message"].lower()
    assert client.get("/v1/batches").json["data"] == []


@pytest.mark.parametrize("endpoint", ["/v1/messages", "/v1/responses"])
def test_other_dialects_of_chats_run_wherever_chats_do(client: FlaskClient, file_id: str, endpoint: str) -> None:
    assert create(client, file_id, endpoint=endpoint)["endpoint"] == endpoint


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b'{"a": 1} x', b'{"a": "\xff"}', b'{"a": NaN}', b'{"a":' * 300]
)
def test_a_body_that_is_no_json_object(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/v1/batches", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


def test_a_body_beyond_the_limit(client: FlaskClient, gateway: Gateway) -> None:
    body = b'{"metadata": "%s"}' % (b"x" * (gateway.settings.max_json_bytes + 2**20))

    assert client.post("/v1/batches", data=body).status_code == 413


def test_provider_execution_where_the_provider_has_none(client: FlaskClient, file_id: str) -> None:
    answer = client.post("/v1/batches", json=wanted(file_id, execution="provider"))

    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "unsupported_operation"
    assert "local" in answer.json["error"]["message"]


def test_a_provider_without_account_tells_what_to_set(client: FlaskClient, file_id: str) -> None:
    answer = client.post("/v1/batches", json=wanted(file_id, provider="ollama"))

    assert "OLLAMA_BASE_URL" in answer.json["error"]["message"]


def test_a_file_of_another_purpose(client: FlaskClient, gateway: Gateway, caller: Caller) -> None:
    other = put_file(gateway, caller, THREE, purpose="user_data")

    answer = client.post("/v1/batches", json=wanted(other))

    assert answer.status_code == 400
    assert "user_data" in answer.json["error"]["message"]


def test_a_file_of_another_project_is_unknown(other_client: FlaskClient, file_id: str) -> None:
    answer = other_client.post("/v1/batches", json=wanted(file_id))

    assert answer.status_code == 400
    assert answer.json["error"]["param"] == "input_file_id"


def test_a_file_in_use_cannot_be_deleted(client: FlaskClient, gateway: Gateway, caller: Caller, file_id: str) -> None:
    create(client, file_id)

    with gateway.database.write() as connection:
        row = files.find(connection, caller.project_id, file_id)
        assert row is not None
        assert files.delete(connection, row.id) is None


@pytest.mark.parametrize("batch_id", ["batch_unknown", "x" * 300, "%00", "..", "%2e%2e%2fetc", "%F0%9F%98%80"])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/lines")])
def test_ids_that_name_nothing(client: FlaskClient, batch_id: str, method: str, path: str) -> None:
    assert client.open(f"/v1/batches/{batch_id}{path}", method=method).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/results"), ("GET", "/lines"), ("POST", "/retry")],
)
def test_another_project_sees_nothing(
    client: FlaskClient, other_client: FlaskClient, file_id: str, method: str, path: str
) -> None:
    batch = create(client, file_id)

    assert other_client.open(f"/v1/batches/{batch['id']}{path}", method=method).status_code == 404
    assert other_client.get("/v1/batches").json["data"] == []


def test_a_provider_that_contradicts_the_row(client: FlaskClient, file_id: str) -> None:
    batch = create(client, file_id)

    assert client.get(f"/v1/batches/{batch['id']}?provider=openai").status_code == 404
    assert client.get(f"/v1/batches/{batch['id']}?provider=local").status_code == 200


def test_pages_newest_first_also_while_deleting(client: FlaskClient, gateway: Gateway, file_id: str) -> None:
    made = [create(client, file_id)["id"] for _ in range(5)]

    first = client.get("/v1/batches?limit=2").json
    with gateway.database.write() as connection:
        connection.exec_driver_sql("UPDATE batches SET status = 'completed'")
    assert client.delete(f"/v1/batches/{first['last_id']}").json["deleted"] is True
    second = client.get(f"/v1/batches?limit=2&after={first['last_id']}").json
    third = client.get(f"/v1/batches?limit=2&after={second['last_id']}").json

    pages = [[item["id"] for item in page["data"]] for page in (first, second, third)]
    assert [id_ for page in pages for id_ in page] == made[::-1]
    assert [page["has_more"] for page in (first, second, third)] == [True, True, False]
    assert first["first_id"] == made[-1]
    assert first["data"][0]["extra_fields"]["provider"] == "local"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("after=batch_x", "after"),
        ("status=odd", "status"),
    ],
)
def test_list_queries_that_are_wrong(client: FlaskClient, query: str, param: str) -> None:
    answer = client.get(f"/v1/batches?{query}")

    assert answer.status_code == 400
    assert answer.json["error"]["param"] == param


@pytest.mark.parametrize("spelling", ["cancelled", "canceled", "ended"])
def test_status_filter_knows_every_spelling(client: FlaskClient, gateway: Gateway, file_id: str, spelling: str) -> None:
    batch = create(client, file_id)
    create(client, file_id)
    with gateway.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE batches SET status = 'cancelled' WHERE public_id = '{batch['id']}'")

    assert [item["id"] for item in client.get(f"/v1/batches?status={spelling}").json["data"]] == [batch["id"]]
    assert client.get(f"/v1/batches?status={spelling}&provider=openai").json["data"] == []


def test_cancel_once(client: FlaskClient, file_id: str) -> None:
    batch = create(client, file_id)

    cancelled = client.post(f"/v1/batches/{batch['id']}/cancel", content_type="application/json").json
    again = client.post(f"/v1/batches/{batch['id']}/cancel")

    assert (cancelled["status"], cancelled["processing_status"]) == ("cancelling", "canceling")
    assert cancelled["cancelling_at"] is not None
    assert again.status_code == 409
    assert "cancelling" in again.json["error"]["message"]


@pytest.mark.parametrize("status", ["finalizing", "completed", "failed", "expired", "cancelled"])
def test_cancel_after_the_end(client: FlaskClient, gateway: Gateway, file_id: str, status: str) -> None:
    batch = create(client, file_id)
    with gateway.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE batches SET status = '{status}'")

    answer = client.post(f"/v1/batches/{batch['id']}/cancel")

    assert answer.status_code == 409
    assert status in answer.json["error"]["message"]
    assert client.get(f"/v1/batches/{batch['id']}").json["status"] == status


def test_delete_waits_for_the_end_and_leaves_the_file(client: FlaskClient, gateway: Gateway, file_id: str) -> None:
    batch = create(client, file_id)
    early = client.delete(f"/v1/batches/{batch['id']}", content_type="application/json")
    running = RunningBatch(gateway, batch["id"], data=THREE)
    running.end("cancelled")

    deleted = client.delete(f"/v1/batches/{batch['id']}")

    assert early.status_code == 409
    assert (deleted.json["id"], deleted.json["deleted"]) == (batch["id"], True)
    assert client.get(f"/v1/batches/{batch['id']}").status_code == 404
    assert client.get(f"/v1/files/{file_id}/estimate").json["lines"] == 3


def test_counts_are_live_and_add_up(client: FlaskClient, gateway: Gateway, file_id: str) -> None:
    batch = create(client, file_id)
    running = RunningBatch(gateway, batch["id"], data=THREE)
    running.answer([2])
    midway = client.get(f"/v1/batches/{batch['id']}").json
    running.answer([1], state="failed", status_code=400)
    running.end("expired")
    ended = client.get(f"/v1/batches/{batch['id']}").json

    assert midway["request_counts"] == {
        "total": 3,
        "completed": 1,
        "failed": 0,
        "succeeded": 1,
        "expired": 0,
        "canceled": 0,
        "pending": 2,
    }
    assert ended["request_counts"] == {
        "total": 3,
        "completed": 1,
        "failed": 2,
        "succeeded": 1,
        "expired": 1,
        "canceled": 0,
        "pending": 0,
    }
    assert (ended["status"], ended["processing_status"]) == ("expired", "ended")


def test_errors_are_a_list(client: FlaskClient, gateway: Gateway, file_id: str) -> None:
    batch = create(client, file_id)
    with gateway.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE batches SET status = 'failed', "
            """errors = '[{"code": "empty_file", "message": "none", "param": null, "line": null}]'"""
        )

    errors = client.get(f"/v1/batches/{batch['id']}").json["errors"]

    assert errors["object"] == "list"
    assert errors["data"][0]["code"] == "empty_file"


def test_the_same_idempotency_key_makes_one_batch(client: FlaskClient, file_id: str) -> None:
    headers = {"Idempotency-Key": "once"}

    first = client.post("/v1/batches", json=wanted(file_id), headers=headers)
    second = client.post("/v1/batches", json=wanted(file_id), headers=headers)
    other = client.post("/v1/batches", json=wanted(file_id, metadata={"a": "b"}), headers=headers)

    assert first.json["id"] == second.json["id"]
    assert other.status_code == 409
    assert len(client.get("/v1/batches").json["data"]) == 1
