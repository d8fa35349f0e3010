"""`GET /v1/batches/{id}/results?format=raw`: what the provider wrote, read from there once more."""

import json
from typing import Any

import pytest
from sqlalchemy import update

from app.connectors.contract.errors import UpstreamError
from app.data.tables import batch_jobs
from app.services.access import keys
from app.services.batches import raw_results
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, overload
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.waiting import until

KEY = "jobs-canary/0123456789"


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "JOBS_API_KEY": KEY, "JOBS_DIALECT_API_KEY": KEY}


def lines(count: int) -> bytes:
    return jsonl(chat_line(f"c{n}", "refuse-this" if n == 1 else f"text {n}") for n in range(count))


def raw(client: KeyClient, batch_id: str, **more: Any) -> Any:
    return client.get(f"/v1/batches/{batch_id}/results?format=raw", **more)


def over(client: KeyClient, workers: Workers, **fields: Any) -> str:
    workers.start()
    return str(ended(client, create(client, lines(6), **fields)["id"])["id"])


def test_the_lines_are_those_of_the_provider(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    batch = over(client, workers)
    job = next(iter(app.jobs.values()))
    answer = raw(client, batch)
    assert (answer.status_code, answer.mimetype) == (200, "application/jsonl")
    assert answer.data == app.files[str(job.output_id)].data + app.files[str(job.error_id)].data
    assert client.get(f"/v1/batches/{batch}/results?format=openai").data == (
        client.get(f"/v1/batches/{batch}/results").data
    )


def test_jobs_follow_each_other_in_order_with_the_ids_that_went_out(
    client: KeyClient, workers: Workers, gateway: Gateway
) -> None:
    batch = over(client, workers, provider="jobs-split")
    found = [json.loads(line)["custom_id"] for line in raw(client, batch).data.splitlines()]
    assert (sorted(found[:4]), sorted(found[4:])) == (["c0", "c1", "c2", "c3"], ["c4", "c5"])


def test_custom_ids_are_wire_ids(client: KeyClient, workers: Workers) -> None:
    workers.start()
    data = jsonl([chat_line("ümlaut"), chat_line("plain")])
    batch = ended(client, create(client, data, provider="jobs-dialect")["id"])["id"]
    assert {json.loads(line)["custom_id"] for line in raw(client, batch).data.splitlines()} == {"bg-1", "plain"}
    assert [line["wire_id"] for line in client.get(f"/v1/batches/{batch}/lines").json["data"]] == ["bg-1", None]


def test_head_asks_nobody(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    batch = over(client, workers)
    server.forget()
    answer = client.head(f"/v1/batches/{batch}/results?format=raw")
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "application/jsonl", b"")
    assert not server.requests


def test_before_the_end_the_caller_is_told_when_to_come_back(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    app.looks_to_end = None
    batch = create(client, lines(3))["id"]
    waiting = raw(client, batch)
    workers.start()
    until(lambda: retrieve(client, batch)["status"] == "in_progress")
    for answer in (waiting, raw(client, batch)):
        assert (answer.status_code, answer.json["error"]["code"]) == (409, "conflict")
        assert int(answer.headers["Retry-After"]) > 0


def test_what_never_went_out_has_no_lines(client: KeyClient, workers: Workers) -> None:
    workers.start()
    batch = ended(client, create(client, jsonl([chat_line("a", container="cntr_1")]))["id"])["id"]
    answer = raw(client, batch)
    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize("query", ["format=csv", "format=raw&after=x", "format=raw&limit=3"])
def test_queries_that_make_no_sense(client: KeyClient, workers: Workers, query: str) -> None:
    answer = client.get(f"/v1/batches/batch_x/results?{query}")
    assert answer.status_code == 400
    assert answer.json["error"]["param"] in ("format", "after", "limit")


def test_a_batch_that_the_gateway_ran_has_none(client: KeyClient) -> None:
    batch = create(client, lines(2), provider="local")["id"]
    answer = raw(client, batch)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "format")
    assert "leave out format" in answer.json["error"]["message"]


def test_batches_of_others_are_not_there(client: KeyClient, other_client: KeyClient, workers: Workers) -> None:
    batch = over(client, workers)
    assert raw(other_client, batch).status_code == 404
    assert client.get(f"/v1/batches/{batch}/results?format=raw&provider=local").status_code == 404


def test_results_that_the_provider_has_no_longer(
    client: KeyClient, gateway: Gateway, workers: Workers, app: JobsApp
) -> None:
    batch = over(client, workers)
    app.files.clear()
    answer = raw(client, batch)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")  # they may not be visible yet
    with gateway.database.write() as connection:
        connection.execute(update(batch_jobs).values(ended_at=1))
    answer = raw(client, batch)
    assert (answer.status_code, answer.json["error"]["param"]) == (404, "batch_id")
    assert "no longer" in answer.json["error"]["message"]
    assert client.get(f"/v1/batches/{batch}/results").status_code == 200


def test_a_failure_before_the_first_byte_is_told(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    batch = over(client, workers)
    server.faults.add(overload(path="/content", retry_after="7", times=1))
    answer = raw(client, batch)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    server.faults.add(Fault(path="/content", status=401, body=b'{"error":{"message":"x","code":"y","param":null}}'))
    answer = raw(client, batch)
    assert (answer.status_code, answer.json["error"]["code"]) == (502, "provider_auth_error")


def test_a_failure_after_it_cuts_the_answer(
    client: KeyClient,
    workers: Workers,
    server: ServedApp,
    app: JobsApp,
    gateway: Gateway,
    capfd: pytest.CaptureFixture[str],
) -> None:
    batch = over(client, workers)
    job = next(iter(app.jobs.values()))
    server.faults.add(Fault(path=f"{job.error_id}/content", status=500, body=b"{}"))
    caller = keys.authenticate(gateway, client.key, request_id="req_test")
    pieces = raw_results.stream(gateway, raw_results.find(gateway, caller, batch), buffer_bytes=1)
    assert next(pieces)
    with pytest.raises(UpstreamError):
        list(pieces)
    assert "raw_results.cut" in capfd.readouterr().err


def test_no_connection_is_held_while_lines_are_sent(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    batch = over(client, workers, provider="jobs-split")
    workers.stop()
    caller = keys.authenticate(gateway, client.key, request_id="req_test")
    found = raw_results.find(gateway, caller, batch)
    pieces = raw_results.stream(gateway, found)
    next(pieces)
    assert [engine.pool.checkedout() for engine in (gateway.database.readers, gateway.database.writers)] == [0, 0]  # type: ignore[attr-defined]
    pieces.close()  # type: ignore[attr-defined]


@pytest.mark.one_database
@pytest.mark.parametrize(
    "spelled",
    [KEY, KEY.replace("/", "\\/"), "".join(f"\\u{ord(letter):04X}" for letter in KEY), KEY.replace("c", "\\u0063")],
)
@pytest.mark.parametrize("provider", ["jobs", "jobs-dialect"])
def test_no_row_has_the_key_of_the_account(
    client: KeyClient, workers: Workers, server: ServedApp, gateway: Gateway, spelled: str, provider: str
) -> None:
    batch = over(client, workers, provider=provider)
    rows = b'{"custom_id": "c1", "error": "no access for %b"}\n{"custom_id":  "c2"}\n' % spelled.encode()
    server.faults.add(Fault(path="/content", method="GET", status=200, body=rows))
    answer = raw(client, batch)
    first, second, *_ = answer.data.splitlines()
    assert json.loads(first)["error"] == "no access for [redacted]"
    assert second == b'{"custom_id":  "c2"}'  # byte by byte
