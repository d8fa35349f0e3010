"""The gateway on a real socket, its provider `local` the fake server, and one worker."""

from collections.abc import Iterator

import openai
import pytest

from app.services.gateway import Gateway
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.server import LiveServer

# Every prefix, with and without naming the provider; it can be named in two ways.
POINTED = {
    "/v1": {},
    "/v1 query": {"default_query": {"provider": "local"}},
    "/openai/v1": {},
    "/openai/v1 header": {"default_headers": {"x-model-provider": "local"}},
    "/openai": {},
    "/openai query": {"default_query": {"provider": "local"}},
}


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def worker(gateway: Gateway) -> Iterator[None]:
    """One worker, as long as the test runs."""
    workers = Workers(gateway)
    workers.start()
    yield
    workers.stop()


@pytest.fixture(params=POINTED)
def sdk(request: pytest.FixtureRequest, live_server: LiveServer) -> Iterator[openai.OpenAI]:
    """The official SDK, unchanged, with and without naming the provider."""
    prefix = request.param.split()[0]
    named = POINTED[request.param]
    with openai.OpenAI(base_url=live_server.url + prefix, api_key=live_server.key, max_retries=0, **named) as client:
        yield client
