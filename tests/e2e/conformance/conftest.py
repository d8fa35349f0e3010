"""A gateway with an account at every provider."""

from collections.abc import Iterator

import pytest

from app.connectors.catalogue import registry
from app.services.gateway import Gateway
from tests.e2e.conformance.farm import Farm
from tests.services.running.conftest import Workers


@pytest.fixture
def farm() -> Iterator[Farm]:
    """The fakes of all providers."""
    with Farm(registry.names()) as running:
        yield running


@pytest.fixture
def environment(environment: dict[str, str], farm: Farm) -> dict[str, str]:
    return {
        **environment,
        **farm.environment,
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_REFRESH_SECONDS": "3600",
        "BATCHGATE_RECONCILE_SECONDS": "1",
    }


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    """A worker in a thread, stopped in good order at the end."""
    found = Workers(gateway)
    found.start()
    yield found
    found.stop()
