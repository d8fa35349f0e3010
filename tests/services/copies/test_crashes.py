"""Processes that die around an upload or a deletion: nothing is forgotten at the provider, nothing is made twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.data.tables import files
from app.services.copies import reconcile
from app.services.gateway import Gateway
from app.wiring import build_gateway
from tests.api.openai.test_files import made
from tests.conftest import KeyClient
from tests.e2e.crash.audit import assert_clean
from tests.fakes.faults import Fault
from tests.fakes.openai_provider_app import OpenAIProviderApp
from tests.fakes.serving import ServedApp
from tests.services.copies.rows import all_rows, backdate, states
from tests.support.absences import minutes_pass
from tests.support.batches import chat_line, create, ended, jsonl, read
from tests.support.process import Process
from tests.support.statements import sharing
from tests.support.waiting import until

UPLOAD = ("file.before_row", "copy.before_upload", "copy.after_upload")
DELETE = ("copy.before_delete", "copy.after_delete")
WORKER = ("copy.before_upload", "copy.after_upload")
FAIL_POINTS = (*UPLOAD, *DELETE)


@pytest.fixture
def app() -> OpenAIProviderApp:
    return OpenAIProviderApp()


@pytest.fixture
def server(app: OpenAIProviderApp) -> Iterator[ServedApp]:
    with ServedApp(app) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], server: ServedApp) -> dict[str, str]:
    return {
        **environment,
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "BATCHGATE_DEFAULT_PROVIDER": "openai",
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_RECONCILE_SECONDS": "0.5",
        "BATCHGATE_SWEEP_SECONDS": "0.2",
    }


@pytest.fixture
def gateway(environment: dict[str, str]) -> Iterator[Gateway]:
    from app.settings import from_environment

    built = sharing(build_gateway(from_environment(environment), retry_pause_s=0.001))
    yield built
    built.database.dispose()


def armed(environment: dict[str, str], point: str, tmp_path: Path) -> dict[str, str]:
    return {**environment, "BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}


def post(url: str, key: str) -> None:
    form = {"purpose": "user_data", "provider": "openai"}
    headers = {"Authorization": f"Bearer {key}"}
    requests.post(f"{url}/v1/files", data=form, files={"file": ("a.txt", b"hello")}, headers=headers, timeout=20)


@pytest.mark.parametrize("point", UPLOAD)
def test_an_upload_that_dies_leaves_nothing(
    client: KeyClient,
    gateway: Gateway,
    environment: dict[str, str],
    tmp_path: Path,
    app: OpenAIProviderApp,
    point: str,
) -> None:
    with Process("web", armed(environment, point, tmp_path)) as web:
        with pytest.raises(requests.RequestException):
            post(web.url, client.key)
        until(lambda: web.died)
    assert len(app.files) == (point == "copy.after_upload")
    assert all_rows(gateway, files) == []
    backdate(gateway)
    reconcile.sweep(gateway)
    assert (app.files, set(states(gateway)) - {"deleted"}) == ({}, set())
    assert_clean(gateway)


def test_an_upload_that_dies_while_the_answer_is_held_leaves_nothing(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], app: OpenAIProviderApp, server: ServedApp
) -> None:
    import threading

    server.faults.add(Fault(path="/files", method="POST", hold_s=30, times=1))
    with Process("web", environment) as web:

        def ask() -> None:
            with pytest.raises(requests.RequestException):
                post(web.url, client.key)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: app.files)
        web.kill()
        thread.join(20)
    backdate(gateway)
    reconcile.sweep(gateway)
    assert (app.files, all_rows(gateway, files)) == ({}, [])


@pytest.mark.parametrize("point", DELETE)
def test_a_deletion_that_dies_is_finished(
    client: KeyClient,
    gateway: Gateway,
    environment: dict[str, str],
    tmp_path: Path,
    app: OpenAIProviderApp,
    point: str,
) -> None:
    file_id = made(client, provider="openai")["id"]
    assert len(app.files) == 1
    with Process("web", armed(environment, point, tmp_path)) as web:
        headers = {"Authorization": f"Bearer {client.key}"}
        with pytest.raises(requests.RequestException):
            requests.delete(f"{web.url}/v1/files/{file_id}", headers=headers, timeout=20)
        until(lambda: web.died)
    assert client.get(f"/v1/files/{file_id}").status_code == 404
    assert states(gateway) == ["deleting"]
    backdate(gateway)
    reconcile.sweep(gateway)
    if point == "copy.after_delete":  # a 404 may also mean that the file does not show
        assert states(gateway) == ["deleting"]
        minutes_pass(gateway)
        backdate(gateway)
        reconcile.sweep(gateway)
    assert (app.files, states(gateway)) == ({}, ["deleted"])


@pytest.mark.parametrize("point", WORKER)
def test_a_worker_that_dies_around_a_copy_is_followed_by_one_that_finds_it(
    client: KeyClient,
    gateway: Gateway,
    environment: dict[str, str],
    tmp_path: Path,
    app: OpenAIProviderApp,
    point: str,
) -> None:
    batch = create(client, jsonl(chat_line(f"c{number}") for number in range(3)))
    with Process("worker", armed(environment, point, tmp_path)) as worker:
        until(lambda: worker.died)
    with Process("worker", environment) as worker:
        over = ended(client, batch["id"])
        assert worker.ended() == 0
    assert (over["status"], len(read(client, over["output_file_id"]))) == ("completed", 3)
    inputs = [file for file in app.files.values() if file.purpose == "batch"]
    assert len(inputs) == 1
    for file_id in (over["input_file_id"], over["output_file_id"]):
        assert client.delete(f"/v1/files/{file_id}").status_code == 200
    assert app.files == {}


def test_one_file_for_two_batches_is_uploaded_once(
    client: KeyClient, environment: dict[str, str], app: OpenAIProviderApp, server: ServedApp
) -> None:
    data = jsonl(chat_line(f"c{number}") for number in range(3))
    file_id = create(client, data)["input_file_id"]
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    second = client.post("/v1/batches", json=body).json
    with Process("worker", environment):
        first = client.get("/v1/batches").json["data"][-1]
        for batch in (first, second):
            assert ended(client, batch["id"])["status"] == "completed"
    assert sum(request.method == "POST" and request.path.endswith("/files") for request in server.requests) == 1
