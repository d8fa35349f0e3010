"""Batches on inputs that a provider has already: by native id, adopted, and elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import batchgate
from app.services.gateway import Gateway
from app.settings import from_environment
from app.wiring import build_gateway
from tests.conftest import KeyClient
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.services.running.conftest import Workers
from tests.support.absences import minutes_pass
from tests.support.batches import CHAT, chat_line, ended, jsonl, read, upload
from tests.support.statements import sharing

DATA = jsonl(chat_line(f"c{number}") for number in range(3))


@pytest.fixture
def app() -> OpenAIProviderApp:
    return OpenAIProviderApp()


@pytest.fixture
def server(app: OpenAIProviderApp) -> Iterator[ServedApp]:
    with ServedApp(app) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], server: ServedApp, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    full = {
        **environment,
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "BATCHGATE_DEFAULT_PROVIDER": "openai",
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
    }
    for name, value in full.items():
        monkeypatch.setenv(name, value)
    return full


@pytest.fixture
def gateway(environment: dict[str, str]) -> Iterator[Gateway]:
    built = sharing(build_gateway(from_environment(environment), retry_pause_s=0.001))
    built.accounts.providers()  # as web has stored them before any command runs
    yield built
    built.database.dispose()


@pytest.fixture
def workers(gateway: Gateway) -> Iterator[Workers]:
    found = Workers(gateway)
    yield found
    found.stop()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(batchgate, ["files", "adopt", *arguments])
    assert result.exit_code == 0, result.output
    return str(result.output)


def uploads(server: ServedApp) -> int:
    return sum(request.method == "POST" and request.path.endswith("/files") for request in server.requests)


def batch(client: KeyClient, file_id: str) -> str:
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json["id"])


def test_an_adopted_input_is_used_where_it_is(
    client: KeyClient, other_client: KeyClient, workers: Workers, app: OpenAIProviderApp, server: ServedApp
) -> None:
    native_id = app.add_file(DATA, filename="theirs.jsonl", purpose="batch").id
    told = run("--project", "alpha", "--provider", "openai")
    assert told.splitlines() == [
        f"new  {native_id}  batch  {len(DATA)} bytes  theirs.jsonl",
        "1 new. Nothing was changed: add --yes to adopt the new ones.",
    ]
    assert client.get("/v1/files").json["data"] == []
    (line,) = run("--project", "alpha", "--provider", "openai", "--purpose", "batch", "--yes", "--json").splitlines()
    assert json.loads(line)["state"] == "adopted"
    assert run("--project", "alpha", "--provider", "openai", "--id", native_id, "--yes").endswith("1 known.\n")

    assert client.get(f"/v1/files/{native_id}/estimate").json["lines"] == 3
    answer = other_client.post("/v1/batches", json={"input_file_id": native_id, "endpoint": CHAT})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "input_file_id")

    workers.start()
    over = ended(client, batch(client, native_id))
    assert (over["status"], len(read(client, over["output_file_id"])), uploads(server)) == ("completed", 3, 0)
    assert over["input_file_id"] == json.loads(line)["file"]
    shown = client.get(f"/v1/files/{over['output_file_id']}").json["extra_fields"]["native_id"]
    assert shown in app.files
    assert client.get(f"/v1/files/{shown}").json["id"] == over["output_file_id"]


def test_a_copy_s_native_id_names_its_file(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    file_id = upload(client, DATA)
    workers.start()
    ended(client, batch(client, file_id))
    native_id = client.get(f"/v1/files/{file_id}").json["extra_fields"]["native_id"]
    over = ended(client, batch(client, native_id))
    assert (over["input_file_id"], over["status"], uploads(server)) == (file_id, "completed", 1)


def test_an_input_that_its_provider_lost_is_not_found_in_the_end(
    client: KeyClient, gateway: Gateway, app: OpenAIProviderApp
) -> None:
    native_id = app.add_file(DATA, filename="theirs.jsonl", purpose="batch").id
    run("--project", "alpha", "--provider", "openai", "--yes")
    app.files.clear()
    answer = client.post("/v1/batches", json={"input_file_id": native_id, "endpoint": CHAT})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    minutes_pass(gateway)
    answer = client.post("/v1/batches", json={"input_file_id": native_id, "endpoint": CHAT})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "input_file_id")
    assert client.get("/v1/files").json["data"] == []


def test_what_cannot_be_adopted_is_reported(environment: dict[str, str], gateway: Gateway, tmp_path: Path) -> None:
    for provider in ("local", "nobody"):
        result = CliRunner().invoke(batchgate, ["files", "adopt", "--project", "alpha", "--provider", provider])
        assert (result.exit_code, provider in result.output) == (2, True)
