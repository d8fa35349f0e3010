"""What is delivered, when, and how often: at least once, with patience, and without harm to anybody else."""

from typing import Any

import pytest
from openai import OpenAI
from sqlalchemy import select, update
from standardwebhooks import Webhook

from app.data.store.database import now_ms
from app.data.tables import batches, webhook_deliveries, webhook_endpoints
from app.data.webhooks import outbox
from app.engine.parts import KINDS
from app.services.gateway import Gateway
from app.services.running import due
from app.services.running.work import BatchWork
from app.services.webhooks import post
from app.services.webhooks.post import Postman
from tests.conftest import KeyClient
from tests.services.webhooks.conftest import Make, cancelled, deliver_all, started
from tests.support.batch_states import RunningBatch, jsonl, request
from tests.support.batches import CHAT, upload
from tests.support.receiver import Receiver
from tests.support.working import settle

HOUR_MS = 3_600_000
OPENAI = OpenAI(api_key="unused")


def rows(gateway: Gateway) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(webhook_deliveries).order_by(webhook_deliveries.c.id)))


def pass_time(gateway: Gateway, by_ms: int) -> None:
    """As if so much time had passed for all that waits."""
    with gateway.database.write() as connection:
        for table, names in (
            (webhook_deliveries, ("next_at", "expires_at", "created_at", "ended_at")),
            (webhook_endpoints, ("next_at", "paused_until", "lease_until", "old_secret_until", "updated_at")),
        ):
            connection.execute(update(table).values({name: table.c[name] - by_ms for name in names}))


def test_each_way_to_end_is_told_as_the_sdk_reads_it(
    client: KeyClient, gateway: Gateway, endpoint: Make, receiver: Receiver, postman: Postman
) -> None:
    thin, full = endpoint("/thin"), endpoint("/full", payload="full")
    endpoint("/other", event_types=["batch.expired"])
    data = jsonl([request(1), request(2)])
    made = {"input_file_id": upload(client, data), "endpoint": CHAT, "provider": "local", "metadata": {"for": "you"}}
    done = client.post("/v1/batches", json=made).json["id"]
    running = RunningBatch(gateway, done, data=data)
    running.answer([1])
    running.answer([2], state="failed", status_code=400)
    running.end("completed")
    invalid = client.post("/v1/batches", json=made | {"input_file_id": upload(client, b"{}\n")}).json["id"]
    late = started(client)
    with gateway.database.write() as connection:
        connection.execute(update(batches).where(batches.c.public_id == late).values(expires_at=now_ms() - 1))
    settle(BatchWork(gateway, worker="worker"))
    stopped = cancelled(client, gateway)
    deliver_all(postman)

    ended = {done: "batch.completed", invalid: "batch.failed", late: "batch.expired", stopped: "batch.cancelled"}
    told = {path: [r for r in receiver.received if r.path == path] for path in ("/thin", "/full", "/other")}
    assert {r.event["data"]["id"]: r.event["type"] for r in told["/thin"]} == ended
    assert {r.event["data"]["id"]: r.event["type"] for r in told["/full"]} == ended
    assert [r.event["data"]["id"] for r in told["/other"]] == [late]
    for r in told["/thin"]:
        event = OPENAI.webhooks.unwrap(r.body, r.headers, secret=thin["signing_secret"])
        assert set(r.event) == {"id", "object", "type", "created_at", "data"} and set(r.event["data"]) == {"id"}
        assert event.id == r.headers["webhook-id"]
        Webhook(thin["signing_secret"]).verify(r.body, r.headers)
    detailed = {r.event["data"]["id"]: r.event["data"] for r in told["/full"]}
    assert detailed[done] == {
        "id": done,
        "status": "completed",
        "endpoint": CHAT,
        "model": "tiny",
        "execution": "gateway",
        "request_counts": {"total": 2, "completed": 1, "failed": 1},
        "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
        "output_file_id": None,
        "error_file_id": None,
        "metadata": {"for": "you"},
    }
    assert detailed[late]["error_file_id"] == client.get(f"/v1/batches/{late}").json["error_file_id"] is not None
    Webhook(full["signing_secret"]).verify(told["/full"][0].body, told["/full"][0].headers)
    # Both endpoints are told of the same event.
    assert {r.headers["webhook-id"] for r in told["/thin"]} == {r.headers["webhook-id"] for r in told["/full"]}
    assert {row.state for row in rows(gateway)} == {"delivered"}
    listed = client.get("/v1/webhook_deliveries", query_string={"batch_id": late}).json["data"]
    assert {row["webhook_endpoint_id"] for row in listed} >= {thin["id"], full["id"]} and len(listed) == 3


def test_an_endpoint_that_is_down_for_an_hour_gets_everything(
    client: KeyClient, gateway: Gateway, endpoint: Make, receiver: Receiver, postman: Postman
) -> None:
    made = endpoint()
    receiver.statuses = [500]
    ended = [cancelled(client, gateway) for _ in range(8)]
    passed = 0
    while passed < HOUR_MS:
        deliver_all(postman)
        pass_time(gateway, 20_000)
        passed += 20_000
    # After five failures in a row one message asks from time to time, however many wait.
    tried = len(receiver.received)
    assert 8 <= tried <= 20
    shown = client.get(f"/v1/webhook_endpoints/{made['id']}").json
    assert shown["failures_in_a_row"] == tried and shown["paused_until"] is not None
    assert {row.state for row in rows(gateway)} == {"pending"}
    receiver.statuses = [204]
    pass_time(gateway, HOUR_MS + HOUR_MS // 4)
    deliver_all(postman)
    assert {request.event["data"]["id"] for request in receiver.received[tried:]} == set(ended)
    assert {row.state for row in rows(gateway)} == {"delivered"}
    assert len(set(receiver.event_ids)) == 8  # the same id, however often
    assert client.get(f"/v1/webhook_endpoints/{made['id']}").json["failures_in_a_row"] == 0


def test_what_nobody_takes_is_given_up_after_three_days_and_can_be_replayed(
    client: KeyClient, gateway: Gateway, endpoint: Make, receiver: Receiver, postman: Postman
) -> None:
    endpoint()
    receiver.statuses = [302]
    receiver.answer_headers = [("Location", f"{receiver.url}/elsewhere")]
    batch = cancelled(client, gateway)
    for _ in range(80):
        deliver_all(postman)
        pass_time(gateway, HOUR_MS)
    (row,) = rows(gateway)
    assert (row.state, row.status_code) == ("failed", 302)
    assert row.error == "The endpoint answered 302; redirects are not followed."
    assert 10 <= row.attempts == len(receiver.received) <= 20
    assert {request.path for request in receiver.received} == {"/hook"}

    receiver.statuses = [200]
    path = f"/v1/webhook_deliveries/{row.public_id}/replay"
    headers = {"Idempotency-Key": "again"}
    replays = [client.post(path, headers=headers).json for _ in range(2)]
    assert replays[0]["id"] == replays[1]["id"] != row.public_id
    assert client.post(f"/v1/webhook_deliveries/{replays[0]['id']}/replay").status_code == 409
    deliver_all(postman)
    shown = client.get(f"/v1/webhook_deliveries/{replays[0]['id']}").json
    assert (shown["state"], shown["origin"], shown["batch_id"]) == ("delivered", "replay", batch)
    assert receiver.event_ids[-1] == row.event_id == shown["event_id"]
    pages = client.get("/v1/webhook_deliveries", query_string={"limit": 1}).json
    assert pages["has_more"] and pages["data"][0]["id"] == shown["id"]
    older = client.get("/v1/webhook_deliveries", query_string={"after": shown["id"], "state": "failed"}).json
    assert [item["id"] for item in older["data"]] == [row.public_id]


def test_deliveries_wait_longer_each_time_and_a_pause_ends() -> None:
    delays = [post.delay_ms(attempts, spread=0) / 1000 for attempts in range(1, 16)]
    assert delays[:5] == [5, 15, 45, 135, 405] and delays[-1] == 12 * 3600 and post.delay_ms(10**6) > 0
    assert [post.pause_ms(failures, spread=0) / 1000 for failures in (1, 5, 6, 12, 10**6)] == [30, 30, 60, 3600, 3600]
    assert {post.delay_ms(3, spread=s) for s in (-1, 1)} == {36_000, 54_000}


def test_a_deleted_endpoint_is_told_nothing_more(
    client: KeyClient, gateway: Gateway, endpoint: Make, receiver: Receiver, postman: Postman
) -> None:
    made = endpoint()
    cancelled(client, gateway)
    assert client.delete(f"/v1/webhook_endpoints/{made['id']}").status_code == 200
    cancelled(client, gateway)
    deliver_all(postman)
    assert receiver.received == []
    (row,) = rows(gateway)
    assert row.state == "dropped"
    assert client.post(f"/v1/webhook_deliveries/{row.public_id}/replay").status_code == 409


def test_who_comes_late_changes_nothing(
    client: KeyClient, gateway: Gateway, endpoint: Make, receiver: Receiver, postman: Postman
) -> None:
    """A worker whose lease ended sends once more at most; what the other one wrote stays."""
    endpoint()
    cancelled(client, gateway)
    claimed = postman._claim()
    assert claimed is not None and not due.find(gateway, KINDS).kinds
    _, lease = claimed
    with gateway.database.write() as connection:
        letter = outbox.begin(connection, lease, lease_ms=1000)
    assert letter is not None
    pass_time(gateway, 60_000)
    deliver_all(Postman(gateway, worker="another"))
    with gateway.database.write() as connection:
        values = {"status_code": 500, "error": "late", "latency_ms": 1, "again_in_ms": 1, "pause_ms": 1}
        assert outbox.failed(connection, lease, letter.id, **values) is None
        assert not outbox.delivered(connection, lease, letter.id, status_code=200, latency_ms=1)
        outbox.give_back(connection, lease)
    (row,) = rows(gateway)
    assert (row.state, row.attempts, row.status_code) == ("delivered", 2, 200)
    assert len(receiver.received) == 1


@pytest.mark.one_database
def test_a_slow_project_leaves_threads_to_others(
    client: KeyClient, other_client: KeyClient, gateway: Gateway, receiver: Receiver, postman: Postman
) -> None:
    for each in (client, other_client):
        for n in range(post.PER_PROJECT + 1):
            body = {"name": "hook", "url": f"{receiver.url}/{n}", "event_types": ["batch.cancelled"]}
            assert each.post("/v1/webhook_endpoints", json=body).status_code == 200
        cancelled(each, gateway)
    with gateway.database.read() as connection:
        projects = [due.project_id for due in outbox.due(connection, skip=(), limit=10)]
    held = [claimed[0].project_id for _ in range(post.THREADS) if (claimed := postman._claim()) is not None]
    assert len(set(projects)) == 2
    assert sorted(held) == sorted([*set(projects)] * post.PER_PROJECT)
    assert postman._claim() is None  # two of each project are left, for other processes
