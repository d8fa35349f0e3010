"""What can go wrong between the gateway and a provider that has jobs of its own: nothing is made twice or lost.

Each case on one of the databases: what differs between them is in tests/services/jobs.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.connectors.catalogue import registry
from app.connectors.contract.abilities import Support
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import OWN, Farm
from tests.e2e.conformance.models import MODELS, model_of
from tests.e2e.conformance.test_golden import EVERY, INPUT, LINES, golden, plain
from tests.e2e.crash.audit import assert_clean, assert_lines_counted_once
from tests.fakes.faults import Fault, html, overload
from tests.fakes.serving import ServedApp
from tests.services.jobs.conftest import jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import create, ended, jsonl, read
from tests.support.process import Process
from tests.support.waiting import until

REFUSED = LINES // EVERY
DATA = jsonl(INPUT)
PROVIDERS = [name for name in OWN if registry.abilities(name).support("batch_create") is Support.NATIVE]
# Where each makes a job.
CREATE = {
    "azure": "/batches",
    "anthropic": "/batches",
    "bedrock": "/model-invocation-job",
    "cohere": "/v2/batches",
    "fireworks": "/batchInferenceJobs",
    "gemini": ":batchGenerateContent",
    "mistral": "/batch/jobs",
    "openrouter": "/batches",
    "together": "/batches",
    "vertex": "/batchPredictionJobs",
    "xai": "/batches",
}
# Those that speak a dialect of their own meet every fault, the others the first of each kind.
DIALECTS = [name for name in PROVIDERS if name in MODELS]
LOST = {
    "reset": Fault(after_effect=True, reset=True, times=1),
    "500": Fault(after_effect=True, status=500, times=1),
    "cut": Fault(cut_at=5, times=1),
}
LOOKS = {
    "cut": Fault(method="GET", every=3, times=5, cut_at=30),
    "500": Fault(method="GET", every=3, times=5, status=500),
    "reset": Fault(method="GET", every=3, times=5, reset=True),
    "html": html(method="GET", every=3, times=5),
    "429": overload(method="GET", every=3, times=5, retry_after="0"),
    "nonsense": Fault(method="GET", every=3, times=3, body=b"[]", content_type="application/json"),
}
CRASHES = ("job.before_create", "job.after_create", "harvest.before_commit:2", "harvest.after_commit:2")
EACH = pytest.mark.parametrize("provider", PROVIDERS)


def each_with(faults: dict[str, Fault]) -> pytest.MarkDecorator:
    """Every provider with the first fault, those of DIALECTS with all."""
    first = next(iter(faults))
    pairs = [(name, kind) for name in PROVIDERS for kind in faults if name in DIALECTS or kind == first]
    return pytest.mark.parametrize(
        ("provider", "fault"), [pytest.param(name, faults[kind], id=f"{name}-{kind}") for name, kind in pairs]
    )


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
    own = {"BATCHGATE_CHUNK_BYTES": "8000", "BATCHGATE_DEFAULT_PROVIDER": "local"}
    return {**environment, **own, "BATCHGATE_CALL_TIMEOUT_SECONDS": "5"}  # what a dead worker's call may have lasted


def started(client: KeyClient, provider: str) -> str:
    return str(create(client, DATA, provider=provider, **model_of(provider))["id"])


def assert_whole(client: KeyClient, gateway: Gateway, server: ServedApp, batch_id: str) -> None:
    """Every line has its one result, and the provider has one job."""
    over = ended(client, batch_id, seconds=60)
    assert over["status"] == "completed", over
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (LINES - REFUSED, REFUSED)
    assert plain(read(client, over["output_file_id"])) == golden("output")
    assert plain(read(client, over["error_file_id"])) == golden("errors")
    assert_lines_counted_once(gateway)
    made: Any = server.app
    assert len(made.jobs) == len(jobs_of(gateway)) == 1


@each_with(LOST)
def test_a_job_whose_making_was_not_heard_of(
    client: KeyClient, gateway: Gateway, workers: Workers, server: ServedApp, provider: str, fault: Fault
) -> None:
    server.faults.add(replace(fault, path=CREATE[provider], method="POST"))
    batch = started(client, provider)
    if registry.abilities(provider).jobs.finds:
        assert_whole(client, gateway, server, batch)
    else:
        until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "unknown", what="a job in doubt")
    asked = [r for r in server.requests if r.method == "POST" and r.path.endswith(CREATE[provider])]
    assert len(asked) == 1


@each_with(LOOKS)
@pytest.mark.usefixtures("workers")
def test_every_third_look_goes_wrong(
    client: KeyClient, gateway: Gateway, server: ServedApp, provider: str, fault: Fault
) -> None:
    server.faults.add(fault)
    assert_whole(client, gateway, server, started(client, provider))


@EACH
@pytest.mark.usefixtures("workers")
def test_a_provider_without_room_is_asked_again(
    client: KeyClient, gateway: Gateway, server: ServedApp, provider: str
) -> None:
    server.faults.add(overload(method="POST", path=CREATE[provider], retry_after="0", times=2))
    assert_whole(client, gateway, server, started(client, provider))


@pytest.mark.parametrize("provider", DIALECTS)
@pytest.mark.parametrize("point", CRASHES)
def test_a_worker_that_dies(
    client: KeyClient,
    gateway: Gateway,
    environment: dict[str, str],
    tmp_path: Path,
    server: ServedApp,
    provider: str,
    point: str,
) -> None:
    batch = started(client, provider)
    armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("worker", environment | armed) as worker:
        until(lambda: worker.died, seconds=30, what=f"the death at {point}")
    with Process("worker", environment):
        if point == "job.after_create" and not registry.abilities(provider).jobs.finds:
            until(lambda: jobs_of(gateway)[0].state == "unknown", seconds=30, what="a job in doubt")
            return
        assert_whole(client, gateway, server, batch)
    assert_clean(gateway)
