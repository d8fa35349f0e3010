"""Two accounts at one provider: each object is asked for where it is, once; lists ask nobody; faults stay alone."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from sqlalchemy import update

from app.connectors.http.breaker import FAILURES
from app.data.tables import batch_jobs, containers, files
from app.services.accounts import add
from app.services.accounts.add import NewAccount
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, html, overload
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.services.running.conftest import Workers
from tests.support.batches import CHAT, chat_line, jsonl, retrieve, upload
from tests.support.server import LiveServer
from tests.support.waiting import until

NAMES = ("env", "second")
Servers = dict[str, ServedApp]


@pytest.fixture
def servers() -> Iterator[Servers]:
    apps = {name: OpenAIProviderApp(api_key=f"sk-canary-{name}", looks_to_end=None) for name in NAMES}
    with ServedApp(apps["env"]) as first, ServedApp(apps["second"]) as second:
        yield {"env": first, "second": second}


@pytest.fixture
def environment(environment: dict[str, str], servers: Servers) -> dict[str, str]:
    del environment["LOCAL_BASE_URL"]
    return {
        **environment,
        "OPENAI_API_KEY": "sk-canary-env",
        "OPENAI_BASE_URL": servers["env"].base_url,
        "BATCHGATE_JOB_POLL_SECONDS": "3600",
        "BATCHGATE_REFRESH_SECONDS": "60",
        "BATCHGATE_CALL_TIMEOUT_SECONDS": "1",
    }


@pytest.fixture
def gateway(gateway: Gateway, servers: Servers) -> Gateway:
    account = NewAccount("openai", "second", servers["second"].base_url, "sk-canary-second")
    add.add(gateway, account)
    gateway.accounts.reread()
    return gateway


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    found = Workers(gateway)
    found.start()
    yield found
    found.stop()


def at(name: str) -> dict[str, str]:
    """The header that names an account."""
    return {"x-bf-api-key": name}


def asked(servers: Servers) -> dict[str, list[str]]:
    """Methods of the requests at each account since the records were forgotten."""
    return {name: [request.method for request in server.requests] for name, server in servers.items()}


def forget(servers: Servers) -> None:
    for server in servers.values():
        server.forget()


def stale(gateway: Gateway) -> None:
    with gateway.database.write() as connection:
        for table in (files, containers, batch_jobs):
            connection.execute(update(table).values(refreshed_at=0))


def unkept(client: KeyClient, name: str, data: bytes = b"x" * 400_000) -> dict[str, Any]:
    """A file whose bytes only the account has."""
    form = {"purpose": "fine-tune", "file": (io.BytesIO(data), f"{name}.jsonl"), "storage_config": '{"api": {}}'}
    answer = client.post("/v1/files", data=form, headers=at(name))
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


EXPIRY = {"anchor": "created_at", "seconds": 7200}


def running(client: KeyClient, name: str, servers: Servers) -> str:
    source = upload(client, jsonl([chat_line("a", model=name)]))
    body = {"input_file_id": source, "endpoint": CHAT, "completion_window": "24h", "output_expires_after": EXPIRY}
    batch = client.post("/v1/batches", json=body, headers=at(name))
    assert batch.status_code == 200, batch.text
    until(lambda: servers[name].app.jobs and retrieve(client, batch.json["id"])["extra_fields"]["native_id"])
    [made] = [request for request in servers[name].requests if request.path.endswith("/batches")]
    assert made.json["output_expires_after"] == EXPIRY
    return str(batch.json["id"])


def test_one_call_each_to_the_account_that_holds_it(
    client: KeyClient, gateway: Gateway, servers: Servers, workers: Workers
) -> None:
    for name, other in (NAMES, NAMES[::-1]):
        file, batch = unkept(client, name), running(client, name, servers)
        box = client.post("/v1/containers", json={"name": name}, headers=at(name)).json
        inside = client.post(f"/v1/containers/{box['id']}/files", data={"file": (io.BytesIO(b"abc"), "a.txt")}).json
        calls = [
            ("GET", f"/v1/files/{file['id']}"),
            ("GET", f"/v1/files/{file['id']}/content"),
            ("GET", f"/v1/batches/{batch}"),
            ("POST", f"/v1/batches/{batch}/cancel"),
            ("GET", f"/v1/containers/{box['id']}"),
            ("GET", f"/v1/containers/{box['id']}/files/{inside['id']}"),
            ("GET", f"/v1/containers/{box['id']}/files/{inside['id']}/content"),
            ("DELETE", f"/v1/containers/{box['id']}/files/{inside['id']}"),
            ("DELETE", f"/v1/containers/{box['id']}"),
            ("DELETE", f"/v1/files/{file['id']}"),
        ]
        for method, path in calls:
            stale(gateway)
            forget(servers)
            answer = client.open(path, method=method)
            assert answer.status_code == 200, (method, path, answer.text)
            if path.endswith(f"{file['id']}/content"):
                assert len(answer.data) == 400_000
            assert asked(servers) == {name: [method], other: []}, (method, path)


def test_unknown_and_foreign_ids_are_404_and_nobody_is_asked(
    client: KeyClient, other_client: KeyClient, servers: Servers, workers: Workers
) -> None:
    file, batch = unkept(client, "second"), running(client, "second", servers)
    box = client.post("/v1/containers", json={"name": "box"}).json
    native = [item["extra_fields"]["native_id"] for item in (file, box, retrieve(client, batch))]
    forget(servers)
    objects = [("files", file["id"]), ("files", native[0]), ("files", "file-nope"), ("batches", batch)]
    objects += [("batches", native[2]), ("batches", "batch_nope"), ("containers", box["id"]), ("containers", native[1])]
    for kind, name in objects:
        for method, ending in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/content"),
            ("POST", "/cancel"),
            ("GET", "/files"),
        ):
            answer = other_client.open(f"/v1/{kind}/{name}{ending}", method=method)
            assert answer.status_code in (404, 405), (method, kind, name, ending)
    assert asked(servers) == {"env": [], "second": []}


def test_lists_are_the_gateways_own(
    client: KeyClient, live_server: LiveServer, gateway: Gateway, servers: Servers
) -> None:
    with OpenAI(base_url=f"{live_server.url}/v1", api_key=live_server.key, max_retries=0) as sdk:
        made = [
            sdk.files.create(
                file=(f"{n}.txt", b"x"),
                purpose="user_data" if n % 3 else "batch" if n % 2 else "fine-tune",
                extra_headers=at(NAMES[n % 2]),
            ).id
            for n in range(0, 24, 1)
            if n % 3 or not n % 2
        ]
        forget(servers)
        listed = [file.id for file in sdk.files.list(limit=5)]
        assert listed == made[::-1]
        purposes = {file.purpose for file in sdk.files.list(purpose="user_data", limit=7)}
        assert purposes == {"user_data"}
        assert len(list(sdk.files.list(limit=3, extra_query={"provider": "openai"}))) == len(made)
        assert list(sdk.files.list(extra_query={"provider": "groq"})) == []
        assert list(sdk.batches.list(limit=1)) == []
    assert asked(servers) == {"env": [], "second": []}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (overload(retry_after="7"), 429),
        (Fault(status=500), 502),
        (Fault(cut_at=0), 502),
        (Fault(cut_at=60), 502),
        (Fault(after_effect=True, reset=True), 502),
        (Fault(latency_s=30), 504),
        (html(status=200), 502),
    ],
    ids=["429", "500", "reset after headers", "cut at half", "cut after effect", "silence", "html"],
)
def test_what_goes_wrong_upstream_is_told_and_sent_once(
    client: KeyClient, servers: Servers, fault: Fault, status: int
) -> None:
    servers["env"].faults.add(fault)
    form = {"purpose": "user_data", "file": (io.BytesIO(b"x" * 1000), "a.txt")}

    for answer in (
        client.post("/v1/files", data=form, headers=at("env")),
        client.post("/v1/containers", json={"name": "box"}, headers=at("env")),
    ):
        assert answer.status_code == status, answer.text
        assert answer.json["is_bifrost_error"] is False
        assert answer.json["extra_fields"]["provider"] == "openai"
        assert answer.json["error"]["message"] and "sk-canary" not in answer.text
        assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)
    assert asked(servers)["env"] == ["POST", "POST"]
    assert client.get("/v1/files").json["data"] == client.get("/v1/containers").json["data"] == []


def test_the_breaker_opens_and_closes_and_other_accounts_go_on(
    client: KeyClient, gateway: Gateway, servers: Servers
) -> None:
    servers["env"].faults.add(Fault(status=500))
    made = [client.post("/v1/containers", json={"name": "box"}, headers=at("env")).status_code for _ in range(FAILURES)]
    assert made == [502] * FAILURES
    forget(servers)

    refused = client.post("/v1/containers", json={"name": "box"}, headers=at("env"))
    assert refused.status_code == 502
    assert int(refused.headers["Retry-After"]) >= 1
    for _ in range(10):
        assert client.post("/v1/containers", json={"name": "box"}).status_code == 200
    assert asked(servers) == {"env": [], "second": ["POST"] * 10}

    servers["env"].faults.clear()
    account = gateway.accounts.choose("openai", name="env")
    assert account is not None and not account.connector.healthy
    account.connector._api.breaker._until = 0.0  # its pause is over
    assert client.post("/v1/containers", json={"name": "box"}, headers=at("env")).status_code == 200
    assert account.connector.healthy
