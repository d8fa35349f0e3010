"""Batches that are steered while they wait and run: paused, put first, limited, put off."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from app.data.tables import batch_permits, batch_segments, batches, events
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.waiting import until

FAR = 4_000_000_000
MARK = re.compile(rb"mark-(\w+?)-(\d+)")


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_WORKER_CONCURRENCY": "4", "BATCHGATE_CHUNK_MS": "20"}


def marked(name: str, lines: int) -> bytes:
    return jsonl(chat_line(f"c{n}", f"mark-{name}-{n}") for n in range(lines))


def sent(fake: FakeServer) -> list[str]:
    """The name of the batch of each line that was sent, in order."""
    found = [MARK.search(request.body) for request in list(fake.requests)]
    return [match[1].decode() for match in found if match]


def steer(client: KeyClient, batch: dict[str, Any], act: str = "", **fields: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/batches/{batch['id']}{act}", json=fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


def is_leased(gateway: Gateway) -> bool:
    with gateway.database.read() as connection:
        held = select(batch_segments.c.id).where(batch_segments.c.worker.is_not(None))
        return connection.execute(held).first() is not None


def test_a_pause_stops_all_workers_and_after_it_each_line_is_sent_once(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(Fault(latency_s=0.15))
    for _ in range(3):
        workers.start()
    batch = create(client, marked("a", 240))
    until(lambda: len(fake.requests) >= 12)
    paused = steer(client, batch, "/pause")
    assert (paused["status"], paused["expires_at"]) == ("in_progress", batch["expires_at"])
    assert paused["waiting_on"]["reason"] == "paused_by_user"
    assert paused["paused_at"] == paused["waiting_on"]["since"]
    until(lambda: not is_leased(gateway) and fake.in_flight == 0)
    fake.faults.clear()
    before = len(sent(fake))
    assert before < 240
    ended(client, create(client, marked("b", 12))["id"])  # the workers work, but not on the paused one
    assert sent(fake).count("a") == before
    assert steer(client, batch, "/pause")["paused_at"] == paused["paused_at"]
    line = client.get(f"/v1/batches/{batch['id']}/lines?state=pending&limit=1").json["data"][0]
    assert line["waiting_on"]["reason"] == "paused_by_user"

    assert steer(client, batch, "/resume")["paused_at"] is None
    assert ended(client, batch["id"])["request_counts"]["completed"] == 240
    assert all(fake.count(f"mark-a-{n}") == 1 for n in range(240))
    with gateway.database.read() as connection:
        acts = connection.execute(select(events.c.operation).where(events.c.object_id == batch["id"])).scalars().all()
    assert acts == ["batch_create", "batch_pause", "batch_pause", "batch_resume"]


def test_a_batch_that_is_paused_can_be_cancelled(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    batch = create(client, marked("a", 5))
    steer(client, batch, "/pause")
    workers.start()
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    client.post(f"/v1/batches/{batch['id']}/cancel")
    over = ended(client, batch["id"])
    assert (over["status"], over["request_counts"]["canceled"], fake.requests) == ("cancelled", 5, [])
    answer = client.post(f"/v1/batches/{batch['id']}/resume")
    assert (answer.status_code, answer.json["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize("first", [{"priority": 5}, {"finish_by": "soon"}])
def test_what_comes_first_overtakes_what_a_worker_holds_already(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway, first: dict[str, Any]
) -> None:
    """Also a batch that was made last, while a worker has a whole segment of another."""
    if "finish_by" in first:
        first = {"finish_by": gateway.clock.now_ms() // 1000 + 3600}
    fake.faults.add(Fault(latency_s=0.05))
    workers.start()
    slow = create(client, marked("slow", 60))
    until(lambda: "slow" in sent(fake))
    urgent = create(client, marked("urgent", 8), **first)
    if "finish_by" in first:
        assert urgent["expires_at"] == urgent["finish_by"] == first["finish_by"]
        assert urgent["completion_window"] == "24h"
    ended(client, urgent["id"])
    assert retrieve(client, slow["id"])["request_counts"]["pending"] > 0
    order = sent(fake)
    between = order[order.index("urgent") : len(order) - 1 - order[::-1].index("urgent")]
    assert between.count("slow") <= 4 + 1  # those that were out, or next
    ended(client, slow["id"])


def test_a_changed_priority_counts_for_what_is_held_already(
    client: KeyClient, workers: Workers, fake: FakeServer
) -> None:
    fake.faults.add(Fault(latency_s=0.05))
    workers.start()
    one = create(client, marked("one", 90))
    until(lambda: "one" in sent(fake))
    two = create(client, marked("two", 16))
    assert steer(client, two, priority=10)["priority"] == 10
    ended(client, two["id"])
    assert retrieve(client, one["id"])["request_counts"]["pending"] > 0
    ended(client, one["id"])


def test_a_limit_of_a_batch_holds_over_all_workers(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(Fault(latency_s=0.02))
    for _ in range(3):
        workers.start()
    batch = create(client, marked("a", 60), concurrency=2)
    until(lambda: retrieve(client, batch["id"])["request_counts"]["completed"] >= 20)
    assert fake.most_in_flight <= 2
    assert steer(client, batch, concurrency=None)["concurrency"] is None
    assert ended(client, batch["id"])["request_counts"]["completed"] == 60
    assert all(fake.count(f"mark-a-{n}") == 1 for n in range(60))
    workers.stop()
    with gateway.database.read() as connection:
        assert connection.execute(select(batch_permits)).all() == []


def test_a_limit_holds_up_no_other_batch_of_its_project(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    fake.faults.add(Fault(containing=b"mark-held", hold_s=600))
    workers.start()
    held = create(client, marked("held", 40), concurrency=1)
    until(lambda: fake.in_flight == 1)
    for n in range(3):
        assert ended(client, create(client, marked(f"free{n}", 10))["id"])["status"] == "completed"
    until(lambda: retrieve(client, held["id"])["waiting_on"]["reason"] == "concurrency")
    assert sent(fake).count("held") == 1
    client.post(f"/v1/batches/{held['id']}/cancel")


def test_a_batch_begins_when_it_may(client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway) -> None:
    day = 86_400
    later = gateway.clock.now_ms() // 1000 + day
    batch = create(client, marked("a", 3), not_before=later)
    assert (batch["not_before"], batch["expires_at"]) == (later, later + day)
    workers.start()
    until(lambda: retrieve(client, batch["id"])["status"] == "in_progress")
    waits = retrieve(client, batch["id"])["waiting_on"]
    assert (waits["reason"], waits["until"]) == ("not_before", later)
    ended(client, create(client, marked("b", 3))["id"])
    assert sent(fake).count("a") == 0
    now = steer(client, batch, not_before=gateway.clock.now_ms() // 1000 - 1)
    assert now["expires_at"] == batch["created_at"] + day
    assert ended(client, batch["id"])["status"] == "completed"


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"priority": 11}, "priority"),
        ({"priority": -11}, "priority"),
        ({"concurrency": 0}, "concurrency"),
        ({"finish_by": 1}, "finish_by"),
        ({"finish_by": "tomorrow"}, "finish_by"),
        ({"finish_by": "2027-01-31T18:00:00"}, "finish_by"),
        ({"not_before": FAR}, "not_before"),
        ({"not_before": True}, "not_before"),
        ({"finish_by": 2 * 10**9, "not_before": 2 * 10**9}, "finish_by"),
        ({"paused": True}, "paused"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(client: KeyClient, fields: dict[str, Any], param: str) -> None:
    batch = create(client, marked("a", 1))
    answer = client.post(f"/v1/batches/{batch['id']}", json=fields)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, param), answer.text
    body = {"input_file_id": batch["input_file_id"], "endpoint": batch["endpoint"], **fields}
    answer = client.post("/v1/batches", json=body)
    assert (answer.status_code, answer.json["error"]["param"]) == (400, param), answer.text


@pytest.mark.one_database
def test_an_update_changes_what_it_names(client: KeyClient, gateway: Gateway) -> None:
    batch = create(client, marked("a", 1), priority=-3, concurrency=7)
    assert (batch["priority"], batch["concurrency"]) == (-3, 7)
    assert steer(client, batch, concurrency=9)["priority"] == -3
    with_end = steer(client, batch, finish_by="2026-12-20T18:00:00+01:00")
    assert with_end["expires_at"] == with_end["finish_by"]
    assert steer(client, batch, finish_by=None)["expires_at"] == batch["expires_at"]
    assert steer(client, batch)["priority"] == -3
    with gateway.database.read() as connection:
        assert connection.execute(select(batches.c.concurrency)).scalar_one() == 9
