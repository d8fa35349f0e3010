"""Files at a provider on a real socket: what goes wrong there, and what the caller gets."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

import app as batchgate
from app.connectors.catalogue import registry
from app.connectors.contract.base import Target
from app.data.tables import blobs, files
from app.services.access import keys
from app.services.copies import reconcile
from app.services.gateway import Gateway
from app.settings import Settings
from tests.api.openai.test_files import made, send, stored
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, html, overload
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.services.copies.conftest import MemoryAccounts, account_of
from tests.services.copies.rows import all_rows, backdate, states
from tests.support.server import LiveServer
from tests.support.statements import sharing
from tests.support.web import application

DATA = b"0123456789" * 100


@pytest.fixture
def app() -> OpenAIProviderApp:
    return OpenAIProviderApp()


@pytest.fixture
def server(app: OpenAIProviderApp) -> Iterator[ServedApp]:
    with ServedApp(app) as served:
        yield served


@pytest.fixture
def gateway(settings: Settings, server: ServedApp) -> Iterator[Gateway]:
    """With one account at openai, which is not waited for for long."""
    built = sharing(batchgate.build_gateway(settings))
    target = Target(
        provider="openai",
        base_url=f"{server.url}/v1",
        credential="sk-test",
        abilities=registry.abilities("openai"),
        call_timeout_s=0.5,
        silence_timeout_s=0.5,
        retry_pause_s=0.001,
    )
    account = account_of(built, registry.load(target))
    yield replace(built, accounts=MemoryAccounts([account]))
    account.connector.close()
    built.database.dispose()


def asked(server: ServedApp, method: str) -> int:
    return sum(1 for request in server.requests if request.method == method)


FAULTS = [
    (overload(retry_after="7", path="/files", method="POST"), 429),
    (Fault(path="/files", method="POST", status=500, body=b'{"error":{"message":"It broke."}}'), 502),
    (Fault(path="/files", method="POST", status=500, after_effect=True), 502),
    (Fault(path="/files", method="POST", reset=True), 502),
    (Fault(path="/files", method="POST", reset=True, after_effect=True), 502),
    (Fault(path="/files", method="POST", cut_at=20), 502),
    (html(status=200, path="/files", method="POST", after_effect=True), 502),
    (Fault(path="/files", method="POST", hold_s=5), 504),
]


@pytest.mark.parametrize(("fault", "status"), FAULTS)
def test_a_failed_upload_is_reported_sent_once_and_leaves_nothing(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp, server: ServedApp, fault: Fault, status: int
) -> None:
    server.faults.add(fault)
    response = send(client, DATA, provider="openai")
    assert response.status_code == status, response.json
    assert response.json["extra_fields"]["provider"] == "openai"
    assert (response.headers.get("Retry-After") == "7") is (status == 429)
    assert asked(server, "POST") == 1
    assert all_rows(gateway, files) == all_rows(gateway, blobs) == stored(gateway) == []
    backdate(gateway)
    reconcile.sweep(gateway)
    assert (app.files, [state for state in states(gateway) if state != "deleted"]) == ({}, [])


def test_one_call_for_each_of_upload_content_and_delete_and_none_for_lists(
    client: KeyClient, app: OpenAIProviderApp, server: ServedApp
) -> None:
    body = made(client, DATA, name="d.jsonl", purpose="fine-tune", provider="openai", storage_config='{"api": {}}')
    assert client.get(f"/v1/files/{body['id']}/content").data == DATA
    assert client.get("/v1/files?provider=openai").json["data"][0]["id"] == body["id"]
    assert client.delete(f"/v1/files/{body['id']}").status_code == 200
    assert [(request.method, request.path.split("/")[-1]) for request in server.requests] == [
        ("POST", "files"),
        ("GET", "content"),
        ("DELETE", body["extra_fields"]["native_id"]),
    ]
    assert app.files == {}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (overload(retry_after="7", path="/content"), 429),
        (Fault(path="/content", status=500), 502),
        (Fault(path="/content", reset=True), 502),
        (Fault(path="/content", hold_s=5), 504),
    ],
)
def test_content_that_fails_before_its_first_byte(
    client: KeyClient, server: ServedApp, fault: Fault, status: int
) -> None:
    body = made(client, DATA, name="d.jsonl", purpose="fine-tune", provider="openai", storage_config='{"api": {}}')
    server.faults.add(fault)
    answer = client.get(f"/v1/files/{body['id']}/content")
    assert (answer.status_code, answer.json["is_bifrost_error"]) == (status, False)


def test_content_truncated_upstream_is_truncated_here(gateway: Gateway, client: KeyClient, server: ServedApp) -> None:
    body = made(client, DATA, name="d.jsonl", purpose="fine-tune", provider="openai", storage_config='{"api": {}}')
    server.faults.add(Fault(path="/content", cut_at=300))
    key = keys.create(gateway, project="alpha", name="live").key
    headers = {"Authorization": f"Bearer {key}"}
    with LiveServer(application(gateway), key=key) as live, pytest.raises(requests.RequestException):
        requests.get(f"{live.url}/v1/files/{body['id']}/content", headers=headers, timeout=10)


def test_a_refusal_is_the_caller_s(client: KeyClient, app: OpenAIProviderApp, server: ServedApp) -> None:
    app.quirks = replace(app.quirks, purposes=("batch",))
    response = send(client, DATA, provider="openai")
    assert (response.status_code, response.json["error"]["param"]) == (400, "purpose")
    assert response.json["error"]["message"].startswith("openai: 'user_data' is not one of")
