"""Fakes that last a session, and an account of a specimen at a fresh application of its fake."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from app.connectors.catalogue import registry
from app.connectors.contract.base import Connector, Target
from tests.connectors.contract.specimen import Specimen
from tests.e2e.conformance.farm import Farm, app_of
from tests.fakes.serving import ServedApp

Farms = Callable[[str], Farm]


@pytest.fixture(scope="session")
def farms() -> Iterator[Farms]:
    """The farm of one provider: each is started once."""
    started: dict[str, Farm] = {}
    with ExitStack() as stack:

        def start(provider: str) -> Farm:
            if provider not in started:
                started[provider] = stack.enter_context(Farm([provider]))
            return started[provider]

        yield start


@pytest.fixture
def server(farms: Farms, specimen: Specimen) -> ServedApp:
    """The fake of the specimen's provider, which knows of no file and no job."""
    server = farms(specimen.provider).servers[specimen.provider]
    server.app = app_of(specimen.provider)
    server.faults.clear()
    server.forget()
    return server


@pytest.fixture
def connector(farms: Farms, server: ServedApp, specimen: Specimen) -> Iterator[Connector]:
    """The account of the specimen at its fake."""
    [account] = registry.configured(farms(specimen.provider).environment)
    entry = registry.find(specimen.provider)
    assert entry is not None
    connector = registry.load(
        Target(
            account.provider,
            account.base_url,
            credential=specimen.credential or account.api_key,
            abilities=entry.abilities,
            options={**entry.options, **account.options, **specimen.options},
            call_timeout_s=5.0,
            silence_timeout_s=5.0,
            retry_pause_s=0.001,
        )
    )
    yield connector
    connector.close()
