"""Answers and lines mutated at random: all end, the store takes every result, and nothing logs a traceback.

Seeded, so that a failure can be repeated; BATCHGATE_SEED is another seed. The soak tests have the long version.
"""

from collections.abc import Callable
from random import Random

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm
from tests.e2e.fuzz import runs

LINES = 8


# The pickier of the two: it takes neither NUL nor a text that is too long.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "run", [runs.answers_to_lines, runs.jobs_and_rows, runs.lines_at_the_gateway, runs.lines_at_providers]
)
def test_whatever_comes_ends_and_is_stored(
    client: KeyClient, gateway: Gateway, farm: Farm, random: Random, run: Callable[..., None]
) -> None:
    run(client, gateway, farm, random, lines=LINES)
