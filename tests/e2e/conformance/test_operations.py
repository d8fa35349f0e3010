"""Every operation at every provider, through the gateway: done there, done here, or refused in words.

What is declared as native asks the provider, what is emulated never does, and what is neither answers 400
`unsupported_operation` with the names of provider and operation.
"""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.connectors.catalogue import registry
from app.connectors.contract.abilities import OPERATIONS, Support
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm, key_of
from tests.e2e.conformance.models import MODELS
from tests.support.batches import CHAT, TERMINAL, chat_line, jsonl, retrieve
from tests.support.waiting import until

Answer = Any
PROVIDERS = registry.names()
EACH = pytest.mark.parametrize("provider", PROVIDERS)
DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
REQUESTS: dict[str, Callable[[KeyClient, str], Answer]] = {
    "file_upload": lambda c, p: c.post(f"/v1/files?provider={p}", data=form()),
    "file_list": lambda c, p: c.get(f"/v1/files?provider={p}"),
    "file_retrieve": lambda c, p: c.get(f"/v1/files/file-x?provider={p}"),
    "file_delete": lambda c, p: c.delete(f"/v1/files/file-x?provider={p}"),
    "file_content": lambda c, p: c.get(f"/v1/files/file-x/content?provider={p}"),
    "batch_create": lambda c, p: c.post(f"/v1/batches?provider={p}", json={"endpoint": CHAT, "input_file_id": "x"}),
    "batch_list": lambda c, p: c.get(f"/v1/batches?provider={p}"),
    "batch_retrieve": lambda c, p: c.get(f"/v1/batches/batch_x?provider={p}"),
    "batch_cancel": lambda c, p: c.post(f"/v1/batches/batch_x/cancel?provider={p}"),
    "batch_delete": lambda c, p: c.delete(f"/v1/batches/batch_x?provider={p}"),
    "batch_results": lambda c, p: c.get(f"/v1/batches/batch_x/results?provider={p}"),
    "container_create": lambda c, p: c.post(f"/v1/containers?provider={p}", json={"name": "box"}),
    "container_list": lambda c, p: c.get(f"/v1/containers?provider={p}"),
    "container_retrieve": lambda c, p: c.get(f"/v1/containers/cntr_x?provider={p}"),
    "container_delete": lambda c, p: c.delete(f"/v1/containers/cntr_x?provider={p}"),
    "container_file_create": lambda c, p: c.post(f"/v1/containers/cntr_x/files?provider={p}", json={"file_id": "x"}),
    "container_file_list": lambda c, p: c.get(f"/v1/containers/cntr_x/files?provider={p}"),
    "container_file_retrieve": lambda c, p: c.get(f"/v1/containers/cntr_x/files/f?provider={p}"),
    "container_file_content": lambda c, p: c.get(f"/v1/containers/cntr_x/files/f/content?provider={p}"),
    "container_file_delete": lambda c, p: c.delete(f"/v1/containers/cntr_x/files/f?provider={p}"),
}


@pytest.fixture
def farm(request: pytest.FixtureRequest) -> Iterator[Farm]:
    """The fake of the test's provider, or of all."""
    provider = request.getfixturevalue("provider") if "provider" in request.fixturenames else None
    with Farm([provider] if provider else PROVIDERS) as running:
        yield running


def form(data: bytes = b"x", purpose: str = "user_data", name: str = "a.txt") -> dict[str, Any]:
    return {"purpose": purpose, "file": (io.BytesIO(data), name)}


def support(provider: str, operation: str) -> Support:
    return registry.abilities(provider).support(operation)


@DATABASE
@EACH
def test_what_a_provider_lacks_is_refused_in_words_and_it_is_never_asked(
    client: KeyClient, farm: Farm, provider: str
) -> None:
    assert set(REQUESTS) == set(OPERATIONS)
    wrong = []
    for operation, request in REQUESTS.items():
        answer = request(client, provider)
        refused = answer.status_code == 400 and answer.json["error"]["code"] == "unsupported_operation"
        if refused is not (support(provider, operation) is Support.NONE):
            wrong.append(f"{operation}: {answer.status_code} {answer.text[:200]}")
        if refused:
            message = answer.json["error"]["message"]
            assert provider in message and operation in message
            assert answer.json["extra_fields"]["provider"] == provider
        elif not operation.endswith(("_upload", "_create", "_list")):
            assert answer.status_code == 404, (operation, answer.text)
    assert wrong == []
    made = [request for request in farm.servers[provider].requests if request.method == "POST"]
    native = [name for name in ("file_upload", "container_create") if support(provider, name) is Support.NATIVE]
    assert len(made) <= len(native) + 1


@DATABASE
@pytest.mark.parametrize("provider", [name for name in PROVIDERS if support(name, "file_upload") is not Support.NONE])
def test_files_and_batches_go_through_their_life(
    client: KeyClient, gateway: Gateway, farm: Farm, provider: str, workers: Any
) -> None:
    server = farm.servers[provider]
    direct = sorted(registry.abilities(provider).files.direct)
    uploaded = client.post(f"/v1/files?provider={provider}", data=form(b"{}\n", direct[0] if direct else "user_data"))
    assert uploaded.status_code == 200, uploaded.text
    assert bool(server.requests) is bool(direct)
    assert (uploaded.json["extra_fields"]["native_id"] is not None) is bool(direct)
    server.forget()
    deleted = client.delete(f"/v1/files/{uploaded.json['id']}")
    assert deleted.json["deleted"] is True
    assert [request.method for request in server.requests if request.method == "DELETE"] == ["DELETE"] * bool(direct)
    if support(provider, "batch_create") is Support.NONE:
        return
    endpoint = min(registry.abilities(provider).lines, key=lambda name: name != CHAT)
    if support(provider, "batch_create") is Support.NATIVE:
        endpoint = min(registry.abilities(provider).jobs.endpoints, key=lambda name: name != CHAT)
    line = chat_line("a", model=MODELS.get(provider, "m")) if endpoint == CHAT else respond("a")
    source = client.post(f"/v1/files?provider={provider}", data=form(jsonl([line]), "batch", "in.jsonl")).json
    body = {"input_file_id": source["id"], "endpoint": endpoint, "completion_window": "24h", "provider": provider}
    batch = client.post("/v1/batches", json=body)
    assert batch.status_code == 200, batch.text
    until(lambda: retrieve(client, batch.json["id"])["status"] in TERMINAL)
    over = retrieve(client, batch.json["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 1), over
    assert client.get(f"/v1/files/{over['output_file_id']}/content").data.count(b"\n") == 1
    server.forget()
    assert client.delete(f"/v1/batches/{over['id']}").json["deleted"] is True
    deletes = [request for request in server.requests if request.method == "DELETE"]
    assert len(deletes) == (support(provider, "batch_delete") is Support.NATIVE)


@DATABASE
def test_no_credential_shows_anywhere(
    client: KeyClient, gateway: Gateway, farm: Farm, capfd: pytest.CaptureFixture[str]
) -> None:
    for server in farm.servers.values():
        server.app.api_key = "another"  # so that each is refused, and repeats the key that it got
    for provider in PROVIDERS:
        for request in REQUESTS.values():
            text = request(client, provider).text
            assert "canary" not in text
    out = capfd.readouterr()
    assert "canary" not in out.out + out.err
    with gateway.database.read() as connection:
        for table in ("events", "accounts", "native_objects", "files", "containers"):
            rows = str(connection.exec_driver_sql(f"SELECT * FROM {table}").fetchall())
            assert not any(key_of(provider) in rows for provider in PROVIDERS), table


def respond(custom_id: str) -> dict[str, Any]:
    url = "/v1/responses"
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {"model": "m", "input": "hello"}}
