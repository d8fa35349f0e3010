"""Canary secrets, planted wherever an operator can put one: nothing that the gateway says or stores shows them."""

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.data.tables import metadata
from app.services.access import keys
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.serving import ServedApp
from tests.fakes.xai_app import XAIApp
from tests.services.accounts.conftest import Run
from tests.support.waiting import until

# No shape that a log filter could know it by.
ENVIRONMENT = "canaryEnvironmentKey0001"
ADDED = "canaryAddedKey0002"
OPTION = "canaryOptionValue0003"
IN_JSON = "canaryInsideOfJson0004"
CANARIES = (ENVIRONMENT, ADDED, OPTION, IN_JSON)


@pytest.fixture
def xai() -> Iterator[ServedApp]:
    """A provider that refuses every key, and repeats it in the refusal."""
    with ServedApp(XAIApp(api_key="another")) as server:
        yield server


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"XAI_API_KEY": ENVIRONMENT, "BATCHGATE_LOG_LEVEL": "debug"}


def everything(gateway: Gateway) -> str:
    """All that is in SQL, as text."""
    with gateway.database.read() as connection:
        rows = [row for table in metadata.sorted_tables for row in connection.execute(table.select())]
    return repr(rows)


def found(text: str, canaries: tuple[str, ...] = CANARIES) -> list[str]:
    return [canary for canary in canaries if canary in text]


def test_no_command_and_no_log_line_shows_a_secret(
    run: Run, gateway: Gateway, xai: ServedApp, capfd: pytest.CaptureFixture[str]
) -> None:
    add = ("accounts", "add", "xai", "--base-url", xai.base_url)
    said = [
        run(*add, "--name", "a", "--key-stdin", "--option", f"region={OPTION}", input=ADDED),
        run(*add, "--name", "a", "--key-stdin", input=ADDED),
        run(*add, "--name", "b", "--key-stdin", input=f'{{"secret": "{IN_JSON}"}}'),
        run(*add, "--name", "c", "--key-stdin", input=f"{ADDED}\n{ADDED}"),
        run(*add, "--name", "d", "--key-stdin", "--option", f"client_secret={OPTION}", input=ADDED),
        run(*add, "--name", "e", "--key-stdin", "--option", OPTION, input=ADDED),
        run(*add, "--name", "f", "--key-env", "CANARY", environ={"CANARY": f"{ADDED}\x07"}),
        run("accounts", "add", "mycorp", "--compatible", "--base-url", xai.base_url, "--key-stdin", input=ADDED),
        run("accounts", "list"),
        run("accounts", "list", "--json"),
        run("accounts", "test"),
        run("accounts", "disable", "xai", "a"),
        run("accounts", "enable", "xai", "a"),
        run("accounts", "remove", "xai", "b"),
        run("providers"),
        run("providers", "--json"),
        run("keys", "list"),
        run("sweep"),
        run("db", "sql", "SELECT * FROM v_accounts"),
    ]
    assert "FAILED" in said[10].stdout
    assert [found(answer.output) for answer in said if found(answer.output)] == []
    assert found("".join(capfd.readouterr())) == []
    assert found(everything(gateway), (ENVIRONMENT, ADDED, IN_JSON)) == []


def test_an_upstream_that_repeats_the_key_tells_nobody(
    run: Run, gateway: Gateway, client: KeyClient, xai: ServedApp, capfd: pytest.CaptureFixture[str]
) -> None:
    run("accounts", "add", "xai", "--name", "a", "--key-stdin", "--base-url", xai.base_url, input=ADDED)
    gateway.accounts.reread()
    assert gateway.accounts.names("xai") == ["a", "env"]
    answers = [client.get("/v1/models") for _ in range(4)]
    for name in ("a", "env"):
        headers = {"x-bf-api-key": name, "x-model-provider": "xai"}
        body = {"requests": [{"custom_id": "1", "body": {"model": "grok-4"}}], "endpoint": "/v1/chat/completions"}
        answers.append(client.post("/v1/batches", json=body, headers=headers))
        logging.getLogger("somebody").error("a log line of %r", gateway.accounts.choose("xai", name=name))
    assert [found(answer.get_data(as_text=True)) for answer in answers if found(answer.get_data(as_text=True))] == []
    logged = "".join(capfd.readouterr())
    assert "Incorrect API key provided: [redacted]" in logged
    assert found(logged) == []
    assert found(everything(gateway), (ENVIRONMENT, ADDED)) == []


def test_a_worker_whose_account_is_refused_logs_and_stores_no_key(
    run: Run, gateway: Gateway, client: KeyClient, environment: dict[str, str], xai: ServedApp
) -> None:
    run("accounts", "add", "xai", "--name", "a", "--key-stdin", "--base-url", xai.base_url, input=ADDED)
    gateway.accounts.reread()
    lines = [{"custom_id": "1", "body": {"model": "grok-4", "messages": [{"role": "user", "content": "hi"}]}}]
    made = []
    for execution in ("gateway", "provider"):
        for name in ("a", "env"):
            body = {"requests": lines, "endpoint": "/v1/chat/completions", "provider": "xai", "execution": execution}
            made.append(client.post("/v1/batches", json=body, headers={"x-bf-api-key": name}))
    assert [answer.status_code for answer in made] == [200] * 4, [answer.json for answer in made]
    xai.forget()
    worker = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "worker"],
        env={**environment, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        until(lambda: {"chat", "files"} <= {request.path.split("/")[2] for request in xai.requests}, seconds=60)
        until(lambda: len({request.headers["authorization"] for request in xai.requests}) >= 2, seconds=60)
    finally:
        worker.terminate()
        said, _ = worker.communicate(timeout=30)
    assert b"worker" in said
    assert found(said.decode()) == []
    assert found(everything(gateway), (ENVIRONMENT, ADDED)) == []


def test_what_python_prints_of_accounts_and_keys_holds_no_secret(gateway: Gateway) -> None:
    account = gateway.accounts.of("xai")
    issued = keys.create(gateway, project="p", name="")

    assert found(repr((account, account.connector.target, gateway.settings, gateway, gateway.accounts))) == []
    assert issued.public_id in repr(issued)
