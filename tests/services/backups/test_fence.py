"""What processes do on a store that is fenced, while they start and while they run."""

from collections.abc import Iterator

import pytest

from app.data.batches import workers
from app.services.backups import fence
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.support.batches import chat_line, create, ended, jsonl, retrieve
from tests.support.process import Process
from tests.support.waiting import until

pytestmark = pytest.mark.spread


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as running:
        yield running


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


def set_fence(gateway: Gateway) -> None:
    gateway.database.run(lambda connection: fence.fence(connection, reason="restored"))


def is_working(gateway: Gateway) -> bool:
    with gateway.database.read() as connection:
        return bool(workers.alive(connection, within_ms=60_000))


def test_a_worker_waits_at_the_fence(
    gateway: Gateway, client: KeyClient, environment: dict[str, str], fake: FakeServer
) -> None:
    batch = create(client, jsonl([chat_line("a")]))
    set_fence(gateway)
    with Process("worker", environment) as worker:
        assert not is_working(gateway) and retrieve(client, batch["id"])["status"] == "validating"
        fence.take_over(gateway)
        done = ended(client, batch["id"])
        assert done["request_counts"]["completed"] == 1, done
        assert worker.ended() == 0


def test_a_worker_that_runs_stops_when_its_store_is_fenced(
    gateway: Gateway, client: KeyClient, environment: dict[str, str], fake: FakeServer
) -> None:
    with Process("worker", environment) as worker:
        until(lambda: is_working(gateway))
        set_fence(gateway)
        assert worker.status() == 1
    batch_of_the_future = client.post("/v1/batches", json={})
    assert batch_of_the_future.json["error"]["code"] == "store_fenced"
    assert not is_working(gateway)
