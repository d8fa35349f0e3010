"""Every call of a batch goes wrong in every way, at each native provider; a few of these in short runs.

The second stage of CI has more of them: `tests/e2e/conformance/test_fault_matrix.py`.
"""

import os

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.conformance import fault_matrix
from tests.e2e.conformance.conftest import workers
from tests.e2e.conformance.test_fault_matrix import farm, server
from tests.fakes.serving import ServedApp

__all__ = ["farm", "server", "workers"]  # fixtures

EVERY = 120 if os.environ.get("BATCHGATE_SOAK") == "short" else 1
pytestmark = [pytest.mark.soak, pytest.mark.one_database]


@pytest.fixture
def environment(environment: dict[str, str], farm: object) -> dict[str, str]:
    return {**environment, **farm.environment, **fault_matrix.ENVIRONMENT}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("provider", "stage", "fault"), fault_matrix.cases()[::EVERY])
@pytest.mark.usefixtures("workers")
def test_one_call_of_a_batch_goes_wrong(
    client: KeyClient, gateway: Gateway, server: ServedApp, provider: str, stage: str, fault: str
) -> None:
    fault_matrix.run(client, gateway, server, provider, stage, fault)
