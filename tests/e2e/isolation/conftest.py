"""A gateway with a provider of its own and one that has files, batches and containers; two projects with all of it."""

import json
from collections.abc import Iterator

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.isolation.callers import ISSUERS, Callers
from tests.e2e.isolation.world import Belongings, batch, furnish, new_client, over, post
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.openai_server import FakeServer
from tests.fakes.serving import ServedApp
from tests.services.running.conftest import Workers
from tests.support.receiver import ALLOWED

SPARE_BATCHES = 13  # of alpha, to be deleted: under five prefixes by keys of two roles, once by tokens of both
PROVIDER_KEY = "sk-of-the-operator-0123456789"


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """Where provider `local` runs lines."""
    with FakeServer(models=()) as server:
        yield server


@pytest.fixture
def local_base_url(fake: FakeServer) -> str:
    return fake.base_url


@pytest.fixture
def server() -> Iterator[ServedApp]:
    """Provider `openai`: both projects use one account there."""
    with ServedApp(OpenAIProviderApp(api_key=PROVIDER_KEY)) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], server: ServedApp) -> dict[str, str]:
    return {
        **environment,
        "OPENAI_API_KEY": PROVIDER_KEY,
        "OPENAI_BASE_URL": server.base_url,
        "BATCHGATE_DEFAULT_PROVIDER": "local",
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_LOG_LEVEL": "error",
        "BATCHGATE_JWT_ISSUERS": json.dumps(ISSUERS),
        **ALLOWED,
    }


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    """Starts workers; all are stopped in good order at the end."""
    found = Workers(gateway)
    yield found
    found.stop()


@pytest.fixture
def world(gateway: Gateway, workers: Workers) -> tuple[Belongings, Belongings]:
    """What alpha and beta have. No worker runs any more."""
    workers.start()
    found = furnish(gateway, "alpha"), furnish(gateway, "beta")
    alpha = found[0]
    alpha.spare = [post(alpha.client, "/v1/batches", json=batch("alpha"))["id"] for _ in range(SPARE_BATCHES)]
    over(alpha.client, *alpha.spare)
    workers.stop()
    return found


@pytest.fixture
def sparse(gateway: Gateway) -> tuple[Belongings, Belongings]:
    """As `world`, but no batch has run: it takes a tenth of the time."""
    return furnish(gateway, "alpha", is_run=False), furnish(gateway, "beta", is_run=False)


@pytest.fixture
def callers(gateway: Gateway) -> Callers:
    """Credentials of every kind."""
    return Callers(gateway)


@pytest.fixture
def beta(gateway: Gateway) -> KeyClient:
    """A member of project beta."""
    return new_client(gateway, "beta")
