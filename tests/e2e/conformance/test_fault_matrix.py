"""One call of a batch goes wrong, at each native provider: a sample of all cases (tests/e2e/soak has the others)."""

from collections.abc import Iterator

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.conformance import fault_matrix
from tests.e2e.conformance.farm import Farm
from tests.fakes.serving import ServedApp

pytestmark = pytest.mark.one_database

# Every 11th: all faults, stages and providers are among them.
SAMPLE = fault_matrix.cases()[::11]


@pytest.fixture
def farm(provider: str) -> Iterator[Farm]:
    """The fake of one provider."""
    with Farm([provider]) as running:
        yield running


@pytest.fixture
def server(farm: Farm, provider: str) -> ServedApp:
    """Its socket, with fault switches."""
    return farm.servers[provider]


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, **fault_matrix.ENVIRONMENT}


def test_the_sample_has_every_fault_and_stage_and_provider() -> None:
    for place in range(3):
        assert {case[place] for case in SAMPLE} == {case[place] for case in fault_matrix.cases()}


@pytest.mark.parametrize(("provider", "stage", "fault"), SAMPLE)
@pytest.mark.usefixtures("workers")
def test_one_call_of_a_batch_goes_wrong(
    client: KeyClient, gateway: Gateway, server: ServedApp, provider: str, stage: str, fault: str
) -> None:
    fault_matrix.run(client, gateway, server, provider, stage, fault)
