"""Lines of /v1/messages, untouched at Anthropic, and chats that the gateway sends there one by one."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion

from tests.conftest import KeyClient
from tests.e2e.conformance.conftest import workers  # noqa: F401 - a fixture
from tests.e2e.conformance.farm import Farm
from tests.support.batches import CHAT, chat_line, ended, read

MESSAGES = "/v1/messages"
MODEL = "claude-sonnet-4-5"
TOOL = {"name": "clock", "description": "The time.", "input_schema": {"type": "object", "properties": {}}}
CACHED = {"cache_control": {"type": "ephemeral"}}


def params(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": [{"type": "text", "text": text, **CACHED}]}
    return {"model": MODEL, "max_tokens": 100, "messages": [message], **more}


REQUESTS = {
    "plain": params("Hello", system="Be brief."),
    "tools": params("What time is it?", tools=[TOOL], tool_choice={"type": "any"}),
    "an id / of another kind": params("Hello, you", temperature=0.5, stream=False),
    "refused": params("please refuse-this"),
}


@pytest.fixture
def farm() -> Iterator[Farm]:
    with Farm(["anthropic"]) as running:
        for server in running.servers.values():
            model = getattr(server.app, "model", server.app)
            model.terse, model.models = True, ()
        yield running


@pytest.fixture
def environment(environment: dict[str, str], farm: Farm) -> dict[str, str]:
    return {
        **environment,
        **farm.environment,
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_REFRESH_SECONDS": "3600",
        "BATCHGATE_RECONCILE_SECONDS": "1",
    }


def ran(client: KeyClient, **fields: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(batch, rows of its output, rows of its errors) of REQUESTS; rows by id."""
    requests = [{"custom_id": name, "params": body} for name, body in REQUESTS.items()]
    body = {"requests": requests, "endpoint": MESSAGES, "completion_window": "24h", **fields}
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 200, answer.text
    batch = ended(client, answer.json["id"])
    assert (batch["status"], batch["request_counts"]["completed"], batch["request_counts"]["failed"]) == (
        "completed",
        3,
        1,
    ), batch
    output, errors = (
        {row["custom_id"]: row["response"] for row in read(client, batch[f"{kind}_file_id"])}
        for kind in ("output", "error")
    )
    assert set(errors) == {"refused"} and errors["refused"]["status_code"] == 400
    for response in output.values():
        Message.model_validate(response["body"], strict=True)
    return batch, output, errors


@pytest.mark.usefixtures("workers")
def test_messages_run_at_anthropic_as_they_are(client: KeyClient, farm: Farm) -> None:
    _, output, _ = ran(client, provider="anthropic")

    [made] = [r for r in farm.servers["anthropic"].requests if r.method == "POST"]
    sent = [request["params"] for request in made.json["requests"]]
    assert sent == [{name: value for name, value in body.items() if name != "stream"} for body in REQUESTS.values()]
    assert output["plain"]["body"]["usage"]["service_tier"] == "batch"
    assert output["tools"]["body"]["content"][0]["name"] == "clock"


@pytest.mark.usefixtures("workers")
def test_messages_are_sent_one_by_one(client: KeyClient, farm: Farm) -> None:
    batch, output, _ = ran(client, provider="anthropic", execution="gateway")

    asked = [r for r in farm.servers["anthropic"].requests if r.path == MESSAGES]
    assert len(asked) == 4
    assert output["plain"]["body"]["content"][0]["text"].endswith("you said: Hello")
    [call] = output["tools"]["body"]["content"]
    assert (output["tools"]["body"]["stop_reason"], call["type"], call["name"]) == ("tool_use", "tool_use", "clock")
    results = client.get(f"/v1/batches/{batch['id']}/results")
    assert len(results.data.splitlines()) == 4


@pytest.mark.usefixtures("workers")
def test_chats_are_sent_to_anthropic_one_by_one(client: KeyClient, farm: Farm) -> None:
    lines = [
        chat_line("a", "Hello", model=MODEL, seed=7),
        chat_line("b", "Hello", model=MODEL, n=2),
        chat_line("c", "please refuse-this", model=MODEL),
    ]
    body = {"requests": lines, "endpoint": CHAT, "provider": "anthropic", "execution": "gateway"}
    batch = ended(client, client.post("/v1/batches", json={**body, "completion_window": "24h"}).json["id"])

    [good] = read(client, batch["output_file_id"])
    ChatCompletion.model_validate(good["response"]["body"], strict=True)
    assert good["response"]["body"]["choices"][0]["message"]["content"].endswith("you said: Hello")
    errors = {row["custom_id"]: row["response"]["body"]["error"] for row in read(client, batch["error_file_id"])}
    assert (errors["b"]["param"], errors["c"]["message"]) == ("n", "The prompt was refused.")
    assert len([r for r in farm.servers["anthropic"].requests if r.path == MESSAGES]) == 2


@pytest.mark.usefixtures("workers")
def test_raw_results_are_anthropics(client: KeyClient) -> None:
    batch, _, _ = ran(client, provider="anthropic")

    answer = client.get(f"/v1/batches/{batch['id']}/results?format=raw")

    rows = [json.loads(line) for line in answer.data.splitlines()]
    assert sorted(row["result"]["type"] for row in rows) == ["errored", "succeeded", "succeeded", "succeeded"]
