"""A gateway with accounts at fakes of providers with dialects of their own, and a log that must stay quiet."""

import os
from collections.abc import Iterator
from random import Random

import pytest

from tests.e2e.conformance.farm import Farm
from tests.e2e.fuzz.runs import PROVIDERS


@pytest.fixture
def random() -> Random:
    return Random(os.environ.get("BATCHGATE_SEED", "7"))


@pytest.fixture
def farm() -> Iterator[Farm]:
    """The fakes of several providers."""
    with Farm(PROVIDERS) as running:
        yield running


@pytest.fixture
def environment(environment: dict[str, str], farm: Farm) -> dict[str, str]:
    return {
        **environment,
        **farm.environment,
        "BATCHGATE_REFRESH_SECONDS": "3600",
        "BATCHGATE_RECONCILE_SECONDS": "0",
        "BATCHGATE_LEASE_SECONDS": "600",
    }


@pytest.fixture(autouse=True)
def no_traceback(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing is logged with a traceback, and no flush is refused."""
    yield
    logged = capfd.readouterr().err
    assert "Traceback" not in logged, logged[-5000:]
    assert ".refused" not in logged, logged[-5000:]
