"""A gateway with accounts at providers that run batches themselves, and the fake behind all of them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from app.connectors.catalogue import registry
from app.data.tables import batch_jobs
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.running.conftest import Workers

OUTSIDE = str(Path(__file__).parent / "outside")
PROVIDERS = (
    "JOBS",
    "JOBS_SPLIT",
    "JOBS_BIG",
    "JOBS_BLIND",
    "JOBS_STUBBORN",
    "JOBS_INLINE",
    "JOBS_DIALECT",
    "JOBS_OPERATION",
    "JOBS_LEAST",
    "JOBS_SMALL",
    "JOBS_MIXED",
)


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of providers is installed."""
    monkeypatch.syspath_prepend(OUTSIDE)
    registry._known.cache_clear()
    yield
    registry._known.cache_clear()
    for name in [name for name in sys.modules if name.startswith("batchgate_jobs")]:
        del sys.modules[name]


@pytest.fixture
def app() -> JobsApp:
    """What the fake provider knows."""
    return JobsApp(looks_to_end=2)


@pytest.fixture
def server(app: JobsApp) -> Iterator[ServedApp]:
    """The fake provider on its socket, with fault switches."""
    with ServedApp(app) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], server: ServedApp) -> dict[str, str]:
    return {
        **environment,
        **{f"{name}_BASE_URL": server.base_url for name in PROVIDERS},
        "PYTHONPATH": os.pathsep.join((os.getcwd(), OUTSIDE)),
        "BATCHGATE_DEFAULT_PROVIDER": "jobs",
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_REFRESH_SECONDS": "3600",
        "BATCHGATE_RECONCILE_SECONDS": "1",
    }


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    """Starts workers; all are stopped in good order at the end."""
    found = Workers(gateway)
    yield found
    found.stop()


def asked(server: ServedApp, method: str, ending: str) -> int:
    """How often the provider was asked `method` of a path with this ending."""
    return sum(1 for r in server.requests if r.method == method and r.path.endswith(ending))


def jobs_of(gateway: Gateway) -> list[Any]:
    """All rows of batch_jobs, in order."""
    with gateway.database.read() as connection:
        return list(connection.execute(select(batch_jobs).order_by(batch_jobs.c.batch_id, batch_jobs.c.number)))


def assert_tell_the_reason(client: KeyClient, over: dict[str, Any], code: str, message: str) -> None:
    """Whatever is asked about the lines of a batch that failed as a whole, the answer is why it did."""
    below = f"/v1/batches/{over['id']}"
    results = [orjson.loads(line) for line in client.get(f"{below}/results").data.splitlines()]
    assert results
    assert {(line["error"]["code"], line["error"]["message"]) for line in results} == {(code, message)}
    assert {line["error_code"] for line in client.get(f"{below}/lines").json["data"]} == {code}
    raw = client.get(f"{below}/results?format=raw")
    assert (raw.status_code, raw.json["error"]["param"]) == (404, "batch_id")
    assert message in raw.json["error"]["message"]
