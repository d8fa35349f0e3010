"""The command line on the test's store, and a second, empty place to copy it to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import batchgate
from tests.support import postgres
from tests.support.spread import DATABASES

Run = Callable[..., Result]


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs `batchgate`, by default on the test's store."""

    def invoke(*arguments: str, on: dict[str, str] | None = None) -> Result:
        runner = CliRunner(env=on or environment)
        return runner.invoke(batchgate, [str(each) for each in arguments], catch_exceptions=False)

    return invoke


@pytest.fixture(params=DATABASES)
def elsewhere(request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an empty place, with the same key ring: a database and a blob folder of its own."""
    home = tmp_path / "elsewhere"
    if request.param == "sqlite":
        yield environment | {"BATCHGATE_HOME": str(home), "DATABASE_URL": f"sqlite:///{home / 'batchgate.db'}"}
        return
    url = postgres.create()
    yield environment | {"BATCHGATE_HOME": str(home), "DATABASE_URL": url}
    postgres.drop(url)
