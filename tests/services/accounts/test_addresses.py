"""Where an account's server is, is for operators: no caller reads its base URL in an error."""

import json
import socket
from io import BytesIO
from typing import Any

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.services.accounts.conftest import Run

QUOTED = b'{"error": {"message": "No route http://%s/v1/files on %s.", "code": "%s"}}'


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.fixture
def base_url(xai: ServedApp, request: pytest.FixtureRequest) -> str:
    way = getattr(request, "param", "")
    return {
        "closed": f"http://127.0.0.1:{free_port()}/team/v1",
        "unknown": "http://llm.corp.invalid/team/v1",
        "tls": xai.base_url.replace("http:", "https:"),
    }.get(way, xai.base_url)


@pytest.fixture
def environment(environment: dict[str, str], base_url: str) -> dict[str, str]:
    return environment | {"XAI_BASE_URL": base_url}


def uploaded(client: KeyClient) -> Any:
    data = {"purpose": "user_data", "provider": "xai", "file": (BytesIO(b"abc"), "a.txt")}
    return client.post("/v1/files", data=data)


def check(answer: Any, base_url: str) -> None:
    assert answer.status_code >= 400
    text = answer.get_data(as_text=True).replace("\\/", "/")
    host = base_url.partition("://")[2].partition("/")[0]
    assert host.partition(":")[0] not in text and host not in text and "/team" not in text
    assert "provider" in answer.json["error"]["message"] or "redacted" in text


@pytest.mark.parametrize("base_url", ["closed", "unknown", "tls"], indirect=True)
def test_a_call_that_gets_no_connection_does_not_say_where(
    client: KeyClient, run: Run, base_url: str, gateway: Gateway
) -> None:
    check(uploaded(client), base_url)
    tried = run("accounts", "test", "xai", "env")
    assert (tried.exit_code, base_url.partition("://")[2].partition("/")[0] in tried.stdout) == (1, True)


@pytest.mark.parametrize(
    "fault",
    [
        {"reset": True},
        {"hang_up": True},
        {"cut_at": 5},
        {"status": 302, "headers": {"Location": "{url}/elsewhere"}},
        {"status": 400},
        {"status": 404},
        {"status": 429},
        {"status": 500},
        {"status": 502, "body": b"<html>upstream http://%s/v1 is down (%s) %s</html>", "content_type": "text/html"},
        {"status": 200, "body": b"http://%s/v1/files %s %s"},
    ],
    ids=str,
)
def test_an_answer_that_names_its_server_is_passed_on_without(
    client: KeyClient, xai: ServedApp, base_url: str, fault: dict[str, Any]
) -> None:
    host = base_url.partition("://")[2].partition("/")[0].encode()
    fields = dict(fault)
    if "headers" in fields:
        fields["headers"] = {"Location": f"{base_url}/elsewhere"}
    if "status" in fields:
        fields["body"] = fields.get("body", QUOTED) % (host, host, host)
    xai.faults.add(Fault(method="POST", **fields))
    check(uploaded(client), base_url)


@pytest.mark.parametrize("key", ["x", "EMPTY", "ollama"])
def test_a_placeholder_is_no_key_at_the_vendor(run: Run, key: str) -> None:
    refused = run("accounts", "add", "openai", "--key-stdin", input=key)
    assert (refused.exit_code, "no key of openai" in refused.stderr) == (2, True)
    assert run("accounts", "add", "openai", "--key-stdin", input="sk-long-enough-1").exit_code == 0
    changed = run("accounts", "set", "openai", "default", "--key-stdin", input=key)
    assert (changed.exit_code, "no key of openai" in changed.stderr) == (2, True)


@pytest.mark.parametrize("key", ["x", "EMPTY", "ollama"])
def test_a_placeholder_is_a_key_of_a_server_of_one_s_own(run: Run, xai: ServedApp, key: str) -> None:
    for provider in ("ollama", "vllm", "sgl", "local"):
        added = run("accounts", "add", provider, "--name", "a", "--key-stdin", "--base-url", xai.base_url, input=key)
        assert added.exit_code == 0, added.output
    own = run("accounts", "add", "openai", "--key-stdin", "--base-url", xai.base_url, input=key)
    assert own.exit_code == 0, own.output
    added = run("accounts", "add", "mine", "--compatible", "--key-stdin", "--base-url", xai.base_url, input=key)
    assert added.exit_code == 0, added.output
    names = {f"{each['provider']}/{each['name']}" for each in json.loads(run("accounts", "list", "--json").stdout)}
    assert {"ollama/a", "openai/default", "mine/default"} <= names
