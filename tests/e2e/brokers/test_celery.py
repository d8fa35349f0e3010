"""Celery as the engine, with a real Redis: a message is a hint, and the database decides."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.data.batches import workers
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.celery import CeleryWorker
from tests.support.receiver import ALLOWED, Receiver
from tests.support.redis import Redis
from tests.support.waiting import until

LINES = 120


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path) as running:
        yield running


@pytest.fixture
def environment(environment: dict[str, str], redis: Redis) -> dict[str, str]:
    return environment | {
        "BATCHGATE_ENGINE": "celery",
        "BATCHGATE_BROKER_URL": redis.url,
        "BATCHGATE_LEASE_SECONDS": "1",
        "BATCHGATE_TASK_SECONDS": "1",
        **ALLOWED,
    }


def batch_of(client: KeyClient, lines: int = LINES) -> str:
    return str(create(client, jsonl(chat_line(f"c{n}") for n in range(lines)))["id"])


def posted(fake: FakeServer) -> list[object]:
    return [request for request in fake.requests if request.method == "POST"]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_batch_runs_and_the_worker_stops_in_good_order(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], fake: FakeServer, pool: str
) -> None:
    with Receiver() as receiver, CeleryWorker(environment, pool=pool) as worker:
        hook = {"name": "hook", "url": receiver.url, "event_types": ["batch.completed"]}
        client.post("/v1/webhook_endpoints", json=hook)
        over = ended(client, batch_of(client), seconds=60)
        assert (over["status"], over["request_counts"]["completed"]) == ("completed", LINES)
        until(lambda: [request.event["data"]["id"] for request in receiver.received] == [over["id"]])
        assert worker.ended() == 0
    with gateway.database.read() as connection:
        assert workers.alive(connection, within_ms=60_000) == []


def test_a_worker_that_dies_loses_nothing(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], fake: FakeServer
) -> None:
    fake.latency_s = 0.2
    batch = batch_of(client, 60)
    with CeleryWorker(environment) as worker:
        until(lambda: retrieve(client, batch)["request_counts"]["completed"] > 0, seconds=60)
        worker.kill()
    fake.latency_s = 0.0
    with CeleryWorker(environment, processes=2):
        over = ended(client, batch, seconds=60)
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 60)


def test_a_long_line_outlives_its_task_and_a_stop_waits_for_it(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], fake: FakeServer
) -> None:
    fake.latency_s = 3.0  # three times the length of a task
    batch = batch_of(client, 2)
    with CeleryWorker(environment | {"BATCHGATE_DRAIN_SECONDS": "20"}) as worker:
        until(lambda: len(posted(fake)) == 2, seconds=60)
        assert worker.ended() == 0
    assert retrieve(client, batch)["request_counts"]["completed"] == 2
    assert len(posted(fake)) == 2


def test_the_broker_goes_and_comes_back(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], redis: Redis
) -> None:
    redis.kill()
    first = batch_of(client, 3)  # web goes on
    with CeleryWorker(environment):
        redis.start()
        assert ended(client, first, seconds=60)["status"] == "completed"
        redis.kill()
        second = batch_of(client, 3)
        redis.start()
        assert ended(client, second, seconds=60)["status"] == "completed"
