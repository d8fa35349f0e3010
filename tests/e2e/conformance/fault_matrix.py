"""What can go wrong with each call of a batch at each native provider, and how the batch has to end."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.connectors.catalogue import registry
from app.connectors.contract.paging import each_page
from app.services.gateway import Gateway
from app.services.upkeep import sweep
from tests.conftest import KeyClient
from tests.e2e.conformance.models import model_of
from tests.e2e.conformance.test_faults import CREATE, DATA, PROVIDERS, assert_whole
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.jobs.conftest import jobs_of
from tests.support.batches import TERMINAL, create, ended, retrieve
from tests.support.waiting import until

CALL_S = 3.0
ENVIRONMENT = {
    "BATCHGATE_CALL_TIMEOUT_SECONDS": str(CALL_S),
    "BATCHGATE_DEFAULT_PROVIDER": "local",
    "BATCHGATE_CHUNK_BYTES": "8000",
    "BATCHGATE_JOB_POLL_SECONDS": "0.05",
    "BATCHGATE_REFRESH_SECONDS": "3600",
    "BATCHGATE_RECONCILE_SECONDS": "1",
}
# How each provider is sent the input of a job, if it is not in the request that makes the job.
UPLOAD = {
    "azure": ("POST", "/files"),
    "bedrock": ("PUT", ""),
    "cohere": ("POST", "/datasets"),
    "fireworks": ("POST", ":upload"),
    "mistral": ("POST", "/files"),
    "together": ("POST", "/files/upload"),
    "vertex": ("POST", "/o"),
    "xai": ("POST", "/files"),
}
CANCEL = {
    "azure": ("POST", "/cancel"),
    "anthropic": ("POST", "/cancel"),
    "bedrock": ("POST", "/stop"),
    "cohere": ("POST", ":cancel"),
    "fireworks": ("DELETE", ""),
    "gemini": ("POST", ":cancel"),
    "mistral": ("POST", "/cancel"),
    "together": ("POST", "/cancel"),
    "vertex": ("POST", ":cancel"),
    "xai": ("POST", ":cancel"),
}
REFUSAL = b'{"error": {"message": "Not now.", "type": "t", "code": "c"}}'
FAULTS = {
    "lost": Fault(after_effect=True, reset=True),
    "unsent": Fault(reset=True),
    "cut": Fault(cut_at=5),
    "slow": Fault(hold_s=2 * CALL_S),
    "dripped": Fault(drip_s=CALL_S / 3),
    "409": Fault(status=409, body=REFUSAL),
    "429": Fault(status=429, body=REFUSAL, headers={"Retry-After": "0"}),
    "500": Fault(status=500, body=REFUSAL, after_effect=True),
    "nonsense": Fault(status=200, body=b"[]", content_type="application/json", after_effect=True),
}
# Reads are polls, lists and results alike: whatever the batch needs to know.
STAGES = ("upload", "create", "read", "cancel", "delete")


def cases() -> list[tuple[str, str, str]]:
    """All of (provider, stage, fault) that there are."""
    return [
        (provider, stage, fault)
        for provider in PROVIDERS
        for stage in STAGES
        for fault in FAULTS
        if (stage != "upload" or provider in UPLOAD) and (stage != "cancel" or provider in CANCEL)
    ]


def run(client: KeyClient, gateway: Gateway, server: ServedApp, provider: str, stage: str, fault: str) -> None:
    """One batch with this fault: it ends right, of one job with one input, and nothing is left behind."""
    STAGE[stage](client, gateway, server, provider, FAULTS[fault])
    server.faults.clear()
    assert _inputs(gateway, provider) <= 1


def _upload(client: KeyClient, gateway: Gateway, server: ServedApp, provider: str, fault: Fault) -> None:
    method, path = UPLOAD[provider]
    server.faults.add(replace(fault, method=method, path=path, times=1))
    batch = _started(client, provider)

    def over() -> bool:
        sweep.sweep(gateway)  # looks for uploads whose answers were lost
        return retrieve(client, batch)["status"] in TERMINAL

    until(over, seconds=60, what="the end of the batch")
    assert_whole(client, gateway, server, batch)


def _create(client: KeyClient, gateway: Gateway, server: ServedApp, provider: str, fault: Fault) -> None:
    server.faults.add(replace(fault, method="POST", path=CREATE[provider], times=1))
    batch = _started(client, provider)
    if registry.abilities(provider).jobs.finds:
        assert_whole(client, gateway, server, batch)
        return
    # Jobs have no marker: one that nobody's list has is made again, one that may be there is the operator's.
    app: Any = server.app

    def in_doubt() -> bool:
        return any(job.state == "unknown" for job in jobs_of(gateway))

    until(lambda: in_doubt() or retrieve(client, batch)["status"] in TERMINAL, seconds=60, what="an end, or a doubt")
    assert len(app.jobs) == 1
    if not in_doubt():
        assert_whole(client, gateway, server, batch)


def _read(client: KeyClient, gateway: Gateway, server: ServedApp, provider: str, fault: Fault) -> None:
    server.faults.add(replace(fault, method="GET", every=3, times=3))
    assert_whole(client, gateway, server, _started(client, provider))


def _cancel(client: KeyClient, gateway: Gateway, server: ServedApp, provider: str, fault: Fault) -> None:
    app: Any = server.app
    app.looks_to_end = None
    batch = _started(client, provider)
    until(lambda: jobs_of(gateway) and jobs_of(gateway)[0].state == "running", seconds=30, what="a running job")
    method, path = CANCEL[provider]
    server.faults.add(replace(fault, method=method, path=path, times=1))
    assert client.post(f"/v1/batches/{batch}/cancel").status_code == 200
    assert ended(client, batch, seconds=60)["status"] == "cancelled"
    assert {job.state for job in app.jobs.values()} <= {"cancelled", "cancelling"}


def _delete(client: KeyClient, gateway: Gateway, server: ServedApp, provider: str, fault: Fault) -> None:
    batch = _started(client, provider)
    over = ended(client, batch, seconds=60)
    server.faults.add(replace(fault, method="DELETE", times=1))
    until(lambda: client.delete(f"/v1/batches/{batch}").status_code in (200, 404), seconds=30, what="its deletion")
    for name in ("input_file_id", "output_file_id", "error_file_id"):
        assert client.delete(f"/v1/files/{over[name]}").status_code == 200


STAGE: dict[str, Callable[..., None]] = {
    "upload": _upload,
    "create": _create,
    "read": _read,
    "cancel": _cancel,
    "delete": _delete,
}


def _started(client: KeyClient, provider: str) -> str:
    return str(create(client, DATA, provider=provider, **model_of(provider))["id"])


def _inputs(gateway: Gateway, provider: str) -> int:
    """How many inputs of jobs the provider keeps, once what is due for deletion is deleted."""
    account = gateway.accounts.choose(provider)
    assert account is not None
    sweep.sweep(gateway)
    return sum(
        file.filename.startswith("batchgate-")
        for page in each_page(account.connector.list_files)
        for file in page.items
        if not file.filename.endswith(".out")
    )
