"""What a caller is told when a provider fails, for everything that is done in containers; what is sent how often."""

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest

from app.services.accounts import add
from app.services.accounts.add import NewAccount
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, html, overload
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.services.containers.conftest import OTHER_KEY
from tests.services.containers.test_containers import calls, made, put

pytestmark = pytest.mark.one_database

SECRET = "canary-domain-secret"


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_CALL_TIMEOUT_SECONDS": "0.5", "BATCHGATE_SILENCE_TIMEOUT_SECONDS": "0.5"}


Work = Callable[[KeyClient, str, str, str], Any]
WORKS: dict[str, tuple[str, Work]] = {
    "make": ("POST", lambda client, *_: client.post("/v1/containers", json={"name": "new"})),
    "delete": ("DELETE", lambda client, box, *_: client.delete(f"/v1/containers/{box}")),
    "put": ("POST", lambda client, box, *_: put(client, box)),
    "copy": (
        "POST",
        lambda client, box, _, kept: client.post(f"/v1/containers/{box}/files", json={"file_id": kept}),
    ),
    "list": ("GET", lambda client, box, *_: client.get(f"/v1/containers/{box}/files")),
    "look": ("GET", lambda client, box, inside, _: client.get(f"/v1/containers/{box}/files/{inside}")),
    "read": ("GET", lambda client, box, inside, _: client.get(f"/v1/containers/{box}/files/{inside}/content")),
    "remove": ("DELETE", lambda client, box, inside, _: client.delete(f"/v1/containers/{box}/files/{inside}")),
}
FAULTS: dict[str, tuple[Fault, int]] = {
    "429": (overload(retry_after="7"), 429),
    "500": (Fault(status=500), 502),
    "reset": (Fault(reset=True), 502),
    "html": (html(status=200), 502),
    "silence": (Fault(latency_s=1.2), 504),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("work", WORKS)
def test_every_failure_is_reported_and_writes_are_sent_once(
    client: KeyClient, server: ServedApp, work: str, fault: str
) -> None:
    method, do = WORKS[work]
    wrong, status = FAULTS[fault]
    box = made(client)["id"]
    inside = put(client, box).json["id"]
    kept = client.post("/v1/files", data={"purpose": "batch", "file": (io.BytesIO(b"{}"), "k.jsonl")}).json["id"]
    server.forget()
    server.faults.add(wrong)

    answer = do(client, box, inside, kept)

    if (work, fault) == ("read", "html"):
        assert answer.status_code == 200  # bytes of a file may be anything
        return
    assert answer.status_code == status, answer.text
    assert answer.json["error"]["message"] and answer.json["is_bifrost_error"] is False
    assert answer.json["extra_fields"]["provider"] == "openai"
    assert answer.headers.get("Retry-After") == ("7" if fault == "429" else None)
    assert {sent for sent, _ in calls(server)} == {method}
    if method == "POST":
        assert len(server.requests) == 1
    server.faults.clear()
    assert client.get(f"/v1/containers/{box}").json["status"] == "running"
    if method == "GET":
        assert client.get(f"/v1/containers/{box}/files/{inside}").status_code == 200


def test_a_secret_that_a_provider_echoes_is_redacted(
    client: KeyClient, gateway: Gateway, server: ServedApp, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    policy = {
        "type": "allowlist",
        "allowed_domains": ["example.com"],
        "domain_secrets": [{"domain": "example.com", "name": "TOKEN", "value": SECRET}],
    }
    for status in (400, 401, 500):
        body = b'{"error":{"message":"Bad secret %s.","param":"network_policy"}}' % SECRET.encode()
        server.faults.clear()
        server.faults.add(Fault(status=status, body=body))
        answer = client.post("/v1/containers", json={"name": "box", "network_policy": policy})
        assert answer.status_code in (400, 502)
        assert SECRET not in answer.text

    with gateway.database.read() as connection:
        for table in ("containers", "events", "idempotency_keys"):
            assert SECRET not in str(connection.exec_driver_sql(f"SELECT * FROM {table}").fetchall())
    assert SECRET not in caplog.text + "".join(capfd.readouterr())


def test_a_container_is_made_where_its_files_are(client: KeyClient, gateway: Gateway, server: ServedApp) -> None:
    other = OpenAIProviderApp(api_key=OTHER_KEY)
    with ServedApp(other) as second:
        add.add(gateway, NewAccount("openai", "second", second.base_url, OTHER_KEY))
        gateway.accounts.reread()
        form = {"purpose": "user_data", "file": (io.BytesIO(b"d"), "d.txt"), "storage_config": '{"api": {}}'}
        file = client.post("/v1/files", data=form, headers={"x-bf-api-key": "second"}).json
        server.forget()

        for _ in range(5):
            box = made(client, file_ids=[file["id"]])
            assert box["extra_fields"]["native_id"] in other.containers
        assert server.requests == []
        elsewhere = client.post(
            "/v1/containers", json={"name": "box", "file_ids": [file["id"]]}, headers={"x-bf-api-key": "env"}
        )
    # OpenAI gives files of this purpose to nobody, so that they cannot be brought to another account.
    assert (elsewhere.status_code, server.requests) == (400, [])
