"""Whatever comes, errors have Anthropic's form, no answer is a 5xx, and nothing is left behind."""

import io
from typing import Any

import pytest
from sqlalchemy import func, select

from app.api.anthropic import wire
from app.data.tables import batches, blobs, files
from app.services.batches import batches as batch_service
from app.services.batches import outcomes
from app.services.gateway import Caller, Gateway
from app.services.lines import output
from tests.conftest import KeyClient
from tests.support.batches import CHAT, chat_line, jsonl, upload
from tests.support.messages import MESSAGES

pytestmark = pytest.mark.one_database
BASE = "/anthropic/v1"
GOOD = {"custom_id": "a", "params": {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}}
NONSENSE: tuple[Any, ...] = (None, True, 0, -1, 1.5, "", "x" * 70, "\0", [], {}, [[]], {"a": {}}, "é", "a b", 2**70)
QUERIES = (
    "limit=0", "limit=1001", "limit=x", "limit=1.5", "after_id=none", "before_id=none", "after_id=a&before_id=b",
    "page=none", "page=page_none", "page=page_a&after_id=b", "after=x", "cursor=x", "limit=1&limit=2",
    "after_id=" + "x" * 300, "page=page_" + "x" * 300, "ids[]=a&limit=1", "&".join(f"ids[]=f{n}" for n in range(101)),
    "after_id=%00", "provider=nobody",
)  # fmt: skip


def refused(answer: Any, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    body = answer.json
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert body["error"]["type"].endswith("_error") or body["error"]["type"] == "request_too_large"
    assert body["error"]["message"]
    assert answer.headers["request-id"] == answer.headers["x-request-id"] == body["request_id"]


def test_lists_refuse_what_they_do_not_know(client: KeyClient) -> None:
    for path in ("/files", "/messages/batches", "/models"):
        for query in QUERIES:
            answer = client.get(f"{BASE}{path}?{query}")
            if (path != "/files" and query.startswith(("page", "ids"))) or answer.status_code != 200:
                refused(answer, 400)
            else:
                assert query == "limit=1&limit=2" or path == "/files", (path, query)


def test_requests_that_are_none(client: KeyClient, gateway: Gateway) -> None:
    bodies: list[Any] = [{"requests": value} for value in NONSENSE if value is not None]
    bodies += [{"requests": [value]} for value in NONSENSE]
    bodies += [{"requests": [{**GOOD, "custom_id": value}]} for value in NONSENSE]
    bodies += [{"requests": [{**GOOD, "params": value}]} for value in NONSENSE if not isinstance(value, dict)]
    bodies += [{"requests": [GOOD, GOOD]}, {"requests": [{**GOOD, "body": {}}]}, {"requests": [GOOD], "more": 1}, {}]
    bodies += [{"requests": [GOOD], "provider": value} for value in ("nobody", 5, [], "")]
    bodies.append({"requests": [{**GOOD, "params": {**GOOD["params"], "model": "openai/m"}}], "provider": "local"})
    for body in bodies:
        refused(client.post(f"{BASE}/messages/batches", json=body), 400)
    for data in (b"", b"[]", b"{", b'{"requests":[', b"\xff", b'{"requests":' + b"[" * 5000):
        refused(client.post(f"{BASE}/messages/batches", data=data, content_type="application/json"), 400)
    with gateway.database.read() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar() for table in (batches, files, blobs)
        ]
    assert counts == [0, 0, 0]


def test_uploads_that_are_none(client: KeyClient) -> None:
    for fields in ({"expires_in_seconds": "5"}, {"expires_in_seconds": "x"}, {"other": "x"}, {"provider": "nobody"}):
        refused(client.post(f"{BASE}/files", data={**fields, "file": (io.BytesIO(b"x"), "x.txt")}), 400)
    refused(client.post(f"{BASE}/files", data={"file": (io.BytesIO(b""), "x.txt")}), 400)
    refused(client.post(f"{BASE}/files", json={}), 400)
    assert client.get(f"{BASE}/files").json["data"] == []


def test_objects_that_are_not_there(client: KeyClient) -> None:
    for name in ("none", "file_" + "0" * 30, "msgbatch_" + "0" * 30, "%00", "x" * 600, "..%2f..", "s3://b/k"):
        refused(client.get(f"{BASE}/files/{name}"), 404)
        refused(client.delete(f"{BASE}/files/{name}"), 404)
        refused(client.get(f"{BASE}/files/{name}/content"), 404)
        refused(client.get(f"{BASE}/messages/batches/{name}"), 404)
        refused(client.post(f"{BASE}/messages/batches/{name}/cancel"), 404)
        refused(client.get(f"{BASE}/messages/batches/{name}/results"), 404)
    refused(client.patch(f"{BASE}/files"), 405)
    refused(client.get("/anthropic/v2/files"), 404)
    refused(client.get(f"{BASE}/files", headers={"Authorization": "Bearer no"}), 401)


def test_an_answer_that_cannot_be_read_is_the_servers_fault(
    gateway: Gateway, client: KeyClient, caller: Caller
) -> None:
    body = {"input_file_id": upload(client, jsonl([chat_line("a")])), "endpoint": CHAT, "completion_window": "24h"}
    made = client.post("/v1/batches", json=body).json["id"]
    found = batch_service.retrieve(gateway, caller, made)
    line = output.answered_line(made, 1, "a", status_code=200, request_id="r", body=b'{"choices":[]}')
    outcome = outcomes.read(found, line, MESSAGES)
    assert (outcome.kind, outcome.status) == (outcomes.ERRORED, None)
    assert wire.error_type(wire.status_of(outcome.code)) == "api_error"
