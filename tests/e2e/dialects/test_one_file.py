"""One file of OpenAI's lines at every provider that speaks another dialect, and at those that speak OpenAI's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from tests.conftest import KeyClient
from tests.e2e.conformance.conftest import workers  # noqa: F401 - a fixture
from tests.e2e.conformance.farm import Farm
from tests.e2e.dialects import lines as made
from tests.support.batches import CHAT, TERMINAL, jsonl, read, retrieve, upload
from tests.support.waiting import until

# (provider, model): those whose jobs take several dialects stand for each of them.
TARGETS = (
    ("openai", "gpt-5-mini"),
    ("ollama", "llama3.2"),
    ("anthropic", "claude-sonnet-4-5"),
    ("gemini", "gemini-2.5-flash"),
    ("vertex", "gemini-2.5-flash"),
    ("vertex", "claude-sonnet-4-5"),
    ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("bedrock", "us.amazon.nova-pro-v1:0"),
    ("bedrock", "openai.gpt-oss-120b-1:0"),
    ("cohere", "command-a-03-2025"),
)
# Kinds of lines that a target's dialect has no words for.
UNSAID = {("cohere", "command-a-03-2025"): {"structured", "tools"}}
PROVIDERS = tuple(dict.fromkeys(provider for provider, _ in TARGETS))


@pytest.fixture
def farm() -> Iterator[Farm]:
    """The fakes of these providers, whose models look at nothing but the last text."""
    with Farm(PROVIDERS) as running:
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


def by_id(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found = {row["custom_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def said(row: dict[str, Any]) -> tuple[str, str | None, list[tuple[str, Any]]]:
    """(finish reason, text, calls) of an answer that is a valid chat completion."""
    body = row["response"]["body"]
    completion = ChatCompletion.model_validate(body, strict=True)
    assert completion.usage is not None and completion.usage.total_tokens > 0
    [choice] = completion.choices
    calls = [
        (call.function.name, json.loads(call.function.arguments))
        for call in choice.message.tool_calls or []
        if call.type == "function"
    ]
    return choice.finish_reason, choice.message.content, calls


@pytest.mark.usefixtures("workers")
def test_one_file_of_chats_runs_everywhere(client: KeyClient) -> None:
    source = upload(client, jsonl(made.lines()))
    started = {}
    for provider, model in TARGETS:
        body = {"input_file_id": source, "endpoint": CHAT, "provider": provider, "model": model}
        answer = client.post("/v1/batches", json=body)
        assert answer.status_code == 200, answer.text
        started[provider, model] = answer.json["id"]
    until(
        lambda: all(retrieve(client, batch)["status"] in TERMINAL for batch in started.values()),
        seconds=90,
        what="the end of every batch",
    )

    kinds = {made.custom_id(n): made.kind(n) for n in range(1, made.LINES + 1)}
    reference = by_id(read(client, retrieve(client, started[TARGETS[0]])["output_file_id"]))
    for target, batch_id in started.items():
        batch = retrieve(client, batch_id)
        assert (target, batch["status"]) == (target, "completed"), batch["errors"]
        unsaid = UNSAID.get(target, set())
        output, errors = by_id(read(client, batch["output_file_id"])), by_id(read(client, batch["error_file_id"]))
        assert set(errors) == {key for key, kind in kinds.items() if kind == "refused" or kind in unsaid}, target
        assert set(output) == set(kinds) - set(errors), target
        assert list(output) == [key for key in kinds if key in output], target  # in the order of the input
        for key, row in output.items():
            if kinds[key] == "structured":
                assert isinstance(json.loads(said(row)[1] or ""), dict), (target, key)
            else:
                assert said(row) == said(reference[key]), (target, key)
        for key, row in errors.items():
            error = row["response"]["body"]["error"]
            assert row["response"]["status_code"] == 400, (target, row)
            assert set(error) == {"message", "type", "param", "code"} and error["message"], (target, row)
            assert (error["code"] == "unsupported_parameter") is (kinds[key] in unsaid), (target, row)
        counts = batch["request_counts"]
        assert (counts["completed"], counts["failed"]) == (len(output), len(errors)), target
        assert batch["usage"]["total_tokens"] == sum(
            row["response"]["body"]["usage"]["total_tokens"] for row in output.values()
        ), target
