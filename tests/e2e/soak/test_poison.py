"""A hundred thousand mutated answers and as many lines: no flush fails twice, no worker logs a traceback."""

import os
from collections.abc import Callable
from random import Random

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm
from tests.e2e.fuzz import runs
from tests.e2e.fuzz.conftest import environment, farm, no_traceback  # noqa: F401
from tests.e2e.soak.conftest import tell

pytestmark = pytest.mark.soak

LINES = 500
ROUNDS = 1 if os.environ.get("BATCHGATE_SOAK") == "short" else 25


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    "run", [runs.answers_to_lines, runs.jobs_and_rows, runs.lines_at_the_gateway, runs.lines_at_providers]
)
def test_whatever_comes_ends_and_is_stored(
    client: KeyClient,
    gateway: Gateway,
    farm: Farm,  # noqa: F811
    seed: int,
    run: Callable[..., None],
) -> None:
    tell(f"\n{run.__name__}: seed {seed}")
    random = Random(seed)
    for _ in range(ROUNDS):
        run(client, gateway, farm, random, lines=LINES)
