"""Requests inside POST /batches: read as a stream, whatever their number and the order of the members."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.data.batches import inputs
from app.data.files import blobs
from app.services.gateway import Caller, Gateway
from tests.support.batch_states import request
from tests.support.web import application

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


def lines_of(gateway: Gateway, caller: Caller, file_id: str) -> list[dict[str, Any]]:
    with gateway.database.read() as connection:
        found = inputs.find(connection, project_id=caller.project_id, given=file_id)
    assert found is not None and found.key is not None
    return [json.loads(line) for line in b"".join(gateway.blobs.stream(found.key)).splitlines()]


def count(gateway: Gateway, table: str) -> int:
    with gateway.database.read() as connection:
        return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar_one())


def post(client: FlaskClient, body: Any) -> Any:
    return client.post("/v1/batches", data=json.dumps(body), content_type="application/json")


def test_requests_become_a_batch_input(client: FlaskClient, gateway: Gateway, caller: Caller) -> None:
    batch = post(client, {"requests": [request(1), request(2)], "endpoint": CHAT}).json

    assert batch["status"] == "validating"
    assert lines_of(gateway, caller, batch["input_file_id"]) == [request(1), request(2)]
    with gateway.database.read() as connection:
        row = connection.exec_driver_sql(
            "SELECT purpose, origin, home, lines, expires_at - created_at FROM files"
        ).one()
    assert tuple(row) == ("batch", "inline", "local", 2, 30 * 24 * 3600 * 1000)


@pytest.mark.parametrize("endpoint_first", [True, False])
def test_missing_method_and_url_are_filled_in(
    client: FlaskClient, gateway: Gateway, caller: Caller, endpoint_first: bool
) -> None:
    bare = {"custom_id": "r1", "body": {"model": "tiny", "n": 1.5}}
    members = [("endpoint", CHAT), ("requests", [bare, request(2)])]

    batch = post(client, dict(members if endpoint_first else members[::-1])).json

    assert lines_of(gateway, caller, batch["input_file_id"])[0] == {**bare, "method": "POST", "url": CHAT}
    assert count(gateway, "blobs") == 1


def test_the_endpoint_is_the_url_that_all_requests_share(client: FlaskClient) -> None:
    assert post(client, {"requests": [request(1), request(2)]}).json["endpoint"] == CHAT


@pytest.mark.parametrize("endpoint", [None, MESSAGES])
def test_anthropic_form_asks_for_messages(
    client: FlaskClient, gateway: Gateway, caller: Caller, endpoint: str | None
) -> None:
    params = {"model": "m", "max_tokens": 5}
    batch = post(client, {"requests": [{"custom_id": "a", "params": params}], "endpoint": endpoint}).json

    assert batch["endpoint"] == MESSAGES
    [line] = lines_of(gateway, caller, batch["input_file_id"])
    assert line == {"custom_id": "a", "method": "POST", "url": MESSAGES, "body": params}


def test_anthropic_form_at_another_endpoint(client: FlaskClient, gateway: Gateway) -> None:
    answer = post(client, {"requests": [{"custom_id": "a", "params": {"model": "m"}}], "endpoint": CHAT})

    assert (answer.status_code, answer.json["error"]["param"]) == (400, "requests[0].params")
    assert count(gateway, "blobs") == 0


@pytest.mark.parametrize(
    ("requests", "param"),
    [
        ([], "requests"),
        ({}, "requests"),
        ([request(1), 7], "requests[1]"),
        ([request(1, custom_id=None)], "requests[0].custom_id"),
        ([request(1, custom_id=9)], "requests[0].custom_id"),
        ([request(1, custom_id="")], "requests[0].custom_id"),
        ([request(1, custom_id="\0")], "requests[0].custom_id"),
        ([request(1, custom_id="x" * 513)], "requests[0].custom_id"),
        ([request(1), request(2, body="hello")], "requests[1].body"),
        ([request(1, body=None)], "requests[0].body"),
        ([{"custom_id": "a", "params": [1]}], "requests[0].params"),
        ([{"custom_id": "a", "params": None}], "requests[0].params"),
        ([{"custom_id": "a", "params": {}, "url": CHAT}], "requests[0].url"),
        ([{"custom_id": "a", "params": {}, "body": {}}], "requests[0].params"),
        ([request(1), {"custom_id": "a", "params": {}}], "requests[1].params"),
        ([{"custom_id": "a", "params": {}}, {"custom_id": "b", "body": {}}], "requests[1].body"),
        ([request(1, method="GET")], "requests[0].method"),
        ([request(1, method=["POST"])], "requests[0].method"),
        ([request(1, url=["x"])], "requests[0].url"),
        ([request(1), request(2, url="/v1/embeddings")], "requests[1].url"),
        ([request(1, body={"n": 2**70})], "requests[0]"),
        ([{"custom_id": "a", "body": {}}], "endpoint"),
    ],
)
def test_what_is_wrong_is_named_and_leaves_nothing(
    client: FlaskClient, gateway: Gateway, requests: Any, param: str
) -> None:
    answer = post(client, {"requests": requests})

    assert answer.status_code == 400, answer.json
    assert answer.json["error"]["param"] == param
    assert [count(gateway, table) for table in ("blobs", "files", "batches")] == [0, 0, 0]


def test_a_url_that_is_not_the_endpoint(client: FlaskClient) -> None:
    answer = post(client, {"requests": [request(1)], "endpoint": "/v1/embeddings"})

    assert answer.json["error"]["param"] == "requests[0].url"


@pytest.mark.parametrize(
    "body", [b'{"requests":[{"custom_id":"a"', b'{"requests":[],"requests":[]}', b'{"requests":[[[[']
)
def test_broken_bodies_leave_nothing(client: FlaskClient, gateway: Gateway, body: bytes) -> None:
    assert client.post("/v1/batches", data=body).status_code == 400
    assert count(gateway, "blobs") == 0


def test_nesting_without_end(client: FlaskClient) -> None:
    body = b'{"requests":[{"custom_id":"a","body":{"x":' + b"[" * 50_000

    answer = client.post("/v1/batches", data=body)

    assert answer.status_code == 400
    assert answer.json["error"]["param"] == "requests[0]"


def test_digits_without_end(client: FlaskClient) -> None:
    body = b'{"requests":[{"custom_id":"a","body":{"x":' + b"9" * 50_000 + b"}}]}"

    assert client.post("/v1/batches", data=body).status_code == 400


def test_a_refused_file_beside_requests_leaves_nothing(client: FlaskClient, gateway: Gateway) -> None:
    answer = post(client, {"requests": [request(1)], "input_file_id": "file-x"})

    assert answer.status_code == 400
    assert count(gateway, "blobs") == 0


def test_a_request_longer_than_a_line_may_be(client: FlaskClient, gateway: Gateway) -> None:
    long = request(2, body={"model": "m", "text": "x" * (gateway.settings.max_line_bytes + 1)})

    answer = post(client, {"requests": [request(1), long]})

    assert answer.status_code == 400
    assert answer.json["error"]["param"] == "requests[1]"


def test_a_body_that_comes_in_pieces_of_unknown_length(live_server: Any, gateway: Gateway) -> None:
    import requests as http

    def pieces() -> Iterator[bytes]:
        yield b'{"requests":['
        for number in range(1, 3001):
            yield (b"" if number == 1 else b",") + json.dumps(request(number)).encode()
        yield b'],"metadata":{"k":"v"}}'

    headers = {"Authorization": f"Bearer {live_server.key}", "Content-Type": "application/json"}
    answer = http.post(f"{live_server.url}/v1/batches", data=pieces(), headers=headers, timeout=30)

    assert answer.status_code == 200, answer.text
    assert answer.json()["metadata"] == {"k": "v"}
    with gateway.database.read() as connection:
        assert connection.exec_driver_sql("SELECT lines FROM files").scalar_one() == 3000


def test_idempotency_covers_the_requests(client: FlaskClient, gateway: Gateway) -> None:
    headers = {"Idempotency-Key": "once", "Content-Type": "application/json"}
    answers = [
        client.post("/v1/batches", data=json.dumps({"requests": [request(number)]}), headers=headers)
        for number in (1, 1, 2)
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 409]
    assert answers[0].json["id"] == answers[1].json["id"]
    assert [count(gateway, table) for table in ("blobs", "files", "batches")] == [1, 1, 1]
    with gateway.database.read() as connection:
        assert blobs.count_orphans(connection) == 0


def test_more_requests_than_the_operator_allows(client: FlaskClient, gateway: Gateway) -> None:

    small = replace(gateway, settings=replace(gateway.settings, max_batch_lines=2))
    flask_app = application(small)
    headers = {"Authorization": f"Bearer {client.key}"}  # type: ignore[attr-defined]

    answer = flask_app.test_client().post(
        "/v1/batches", json={"requests": [request(1), request(2), request(3)]}, headers=headers
    )

    assert answer.status_code == 400
    assert answer.json["error"]["param"] == "requests"
