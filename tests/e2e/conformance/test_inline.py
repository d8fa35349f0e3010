"""Requests inside POST /batches, in OpenAI's form and in Anthropic's, at every provider that takes chats."""

from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from app.connectors.catalogue import registry
from app.connectors.contract.abilities import Support
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.conformance.models import MODELS
from tests.e2e.conformance.test_golden import PROVIDERS, ended
from tests.support.batches import CHAT, chat_line, read
from tests.support.messages import MESSAGES, message_line, message_of, text_of

LEAST = 3


def requests(form: str, count: int, model: str) -> list[dict[str, Any]]:
    """The second is refused."""
    texts = ["please refuse-this" if n == 1 else f"Question {n}?" for n in range(count)]
    if form == "params":
        return [
            {"custom_id": f"r{n}", "params": message_line("", text, model=model)["body"]}
            for n, text in enumerate(texts)
        ]
    return [{"custom_id": f"r{n}", "body": chat_line("", text, model=model)["body"]} for n, text in enumerate(texts)]


def started(client: KeyClient, gateway: Gateway, provider: str, form: str, **fields: Any) -> str:
    count = max(LEAST, gateway.accounts.abilities(provider).jobs.min_lines)
    asked = {"requests": requests(form, count, MODELS.get(provider, "some/model")), "provider": provider, **fields}
    answer = client.post("/v1/batches", json=asked if form == "params" else {**asked, "endpoint": CHAT})
    assert answer.status_code == 200, (provider, answer.text)
    return str(answer.json["id"])


def check(client: KeyClient, provider: str, batch: dict[str, Any], form: str) -> None:
    counts = batch["request_counts"]
    assert (batch["status"], counts["failed"]) == ("completed", 1), (provider, batch["errors"])
    assert batch["endpoint"] == (MESSAGES if form == "params" else CHAT)
    answers = read(client, batch["output_file_id"])
    assert [line["custom_id"] for line in answers] == [f"r{n}" for n in range(counts["total"]) if n != 1]
    for line in answers:
        if form == "params":
            text = text_of(message_of(line))
        else:
            text = ChatCompletion.model_validate(line["response"]["body"]).choices[0].message.content or ""
        assert text.endswith(f"you said: Question {line['custom_id'][1:]}?"), (provider, text)
    [error] = read(client, batch["error_file_id"])
    assert (error["custom_id"], error["response"]["status_code"]) == ("r1", 400), provider
    assert batch["usage"]["output_tokens"] > 0, provider


@pytest.mark.usefixtures("workers", "farm")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("form", ["body", "params"])
def test_requests_run_at_every_provider(client: KeyClient, gateway: Gateway, form: str) -> None:
    over = ended(client, {name: started(client, gateway, name, form) for name in PROVIDERS})
    for name, batch in over.items():
        check(client, name, batch, form)


@pytest.mark.usefixtures("workers", "farm")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_gateway_runs_messages_wherever_single_chats_are_answered(client: KeyClient, gateway: Gateway) -> None:
    names = [
        name
        for name in PROVIDERS
        if CHAT in registry.abilities(name).lines
        and registry.abilities(name).support("batch_create") is not Support.NONE
    ]
    over = ended(client, {name: started(client, gateway, name, "params", execution="gateway") for name in names})
    assert {"ollama", "local", "openai"} <= set(over)
    for name, batch in over.items():
        check(client, name, batch, "params")
