"""Two projects on one store and its workers, and a provider whose latency outweighs everything else.

A worker is a thread of the test's process. In soak runs (BATCHGATE_SOAK) workers are processes, one and two of them.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.neighbours.street import CONCURRENCY, LATENCY_S, Street, Tenant
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.process import Process

IS_SOAK = "BATCHGATE_SOAK" in os.environ


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """The provider of both projects."""
    with FakeServer(models=(), latency_s=LATENCY_S, record=False) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    limit = str(CONCURRENCY)
    return {**environment, "LOCAL_MAX_CONCURRENCY": limit, "BATCHGATE_WORKER_CONCURRENCY": limit}


@pytest.fixture(params=(1, 2) if IS_SOAK else (1,), ids="{}-workers".format)
def worker_count(request: pytest.FixtureRequest) -> int:
    """How many workers share the store."""
    return int(request.param)


@pytest.fixture
def street(
    gateway: Gateway,
    environment: dict[str, str],
    fake: FakeServer,
    worker_count: int,
    client: KeyClient,
    other_client: KeyClient,
) -> Iterator[Street]:
    """The good project and the hostile one, with workers that run already."""
    with ExitStack() as stack:
        if IS_SOAK:
            for _ in range(worker_count):
                stack.enter_context(Process("worker", environment))
        else:
            workers = Workers(gateway)
            stack.callback(workers.stop)
            for _ in range(worker_count):
                workers.start()
        yield Street(fake, good=Tenant(client, "good"), hostile=Tenant(other_client, "hostile"))
