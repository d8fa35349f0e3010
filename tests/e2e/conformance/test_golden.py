"""The same file, uploaded once, run as a batch at every provider: everywhere the same output and error file.

The fakes shuffle, refuse every 17th line, and keep each provider's quirks. `golden/` is what has to come back, but for
ids, models and times. After a change that is meant: `python -m tests.conformance.test_golden` writes it anew.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from app.connectors.catalogue import registry
from app.connectors.contract.abilities import Support
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm
from tests.e2e.conformance.models import model_of
from tests.fakes.openai_app import OpenAIApp, Refusal
from tests.support.batches import CHAT, TERMINAL, chat_line, jsonl, read, retrieve, upload
from tests.support.waiting import until

GOLDEN = Path(__file__).parent / "golden"
LINES = 100
EVERY = 17
INPUT = [
    chat_line(f"line {n}", "please refuse-this" if n % EVERY == 0 else f"Question {n}?", model="some/model")
    for n in range(1, LINES + 1)
]
# Those whose batches take chats: nearly all, with the provider's API where there is one.
PROVIDERS = [
    name
    for name in registry.names()
    if registry.abilities(name).support("batch_create") is Support.EMULATED
    or CHAT in registry.abilities(name).endpoints("provider")
]
NAMED = {"openai", "azure", "groq", "mistral", "together", "xai", "fireworks", "openrouter", "ollama"}


def golden(kind: str) -> list[Any]:
    return [json.loads(line) for line in (GOLDEN / f"{kind}.jsonl").read_bytes().splitlines()]


def plain(lines: list[Any]) -> list[Any]:
    """Lines without ids, models and times."""
    for line in lines:
        assert line.pop("id").startswith("batch_req_")
        assert line["response"].pop("request_id")
        for name in ("id", "model", "created"):
            line["response"]["body"].pop(name, None)
    return lines


def started(client: KeyClient, source: str, provider: str, **fields: Any) -> str:
    fields = {"provider": provider, **model_of(provider), **fields}
    body = {"input_file_id": source, "endpoint": CHAT, "completion_window": "24h", **fields}
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json["id"])


def ended(client: KeyClient, batches: dict[str, str]) -> dict[str, dict[str, Any]]:
    waiting = dict(batches)

    def over() -> bool:
        for name, batch in batches.items():
            if name in waiting and retrieve(client, batch)["status"] in TERMINAL:
                del waiting[name]
        return not waiting

    until(over, seconds=110, what="the end of every batch")
    return {name: retrieve(client, batch) for name, batch in batches.items()}


@pytest.mark.usefixtures("workers")
def test_one_file_gives_the_same_results_at_every_provider(client: KeyClient, farm: Farm) -> None:
    assert set(PROVIDERS) >= NAMED
    source = upload(client, jsonl(INPUT))
    over = ended(client, {name: started(client, source, name) for name in PROVIDERS})

    for name, batch in over.items():
        native = registry.abilities(name).support("batch_create") is Support.NATIVE
        assert (name, batch["status"], batch["execution"]) == (
            name,
            "completed",
            "provider" if native else "gateway",
        ), batch["errors"]
        counts = batch["request_counts"]
        assert (counts["total"], counts["completed"], counts["failed"]) == (LINES, LINES - 5, 5), name
        assert plain(read(client, batch["output_file_id"])) == golden("output"), name
        assert plain(read(client, batch["error_file_id"])) == golden("errors"), name
        assert batch["usage"]["total_tokens"] == sum(
            line["response"]["body"]["usage"]["total_tokens"] for line in golden("output")
        ), name
        asked = [request for request in farm.servers[name].requests if request.method == "POST"]
        assert len(asked) < 6 if native else len(asked) >= LINES, name


@pytest.mark.usefixtures("workers")
def test_the_gateway_runs_the_batch_of_a_provider_that_could_itself(client: KeyClient, farm: Farm) -> None:
    names = [
        name
        for name in PROVIDERS
        if registry.abilities(name).support("batch_create") is Support.NATIVE and CHAT in registry.abilities(name).lines
    ]
    source = upload(client, jsonl(INPUT[:20]))
    over = ended(client, {name: started(client, source, name, execution="gateway") for name in names})

    assert len(names) > 8
    for name, batch in over.items():
        assert (name, batch["status"], batch["execution"]) == (name, "completed", "gateway")
        assert plain(read(client, batch["output_file_id"])) == golden("output")[:19], name
        [refused] = plain(read(client, batch["error_file_id"]))
        refused["response"]["body"]["error"]["code"] = None  # a provider's own code stays in a single answer
        assert [refused] == golden("errors")[:1], name
        assert not any(request.path.endswith(("/files", "/batches")) for request in farm.servers[name].requests)


def write() -> None:
    """Make the golden files from the model that all fakes share."""
    model, files = OpenAIApp(models=()), {"output": [], "errors": []}  # type: ignore[var-annotated]
    for line in INPUT:
        try:
            status, body, kind = 200, model.routes[CHAT](dict(line["body"])), "output"
        except Refusal as refusal:
            status, body, kind = refusal.status, refusal.body, "errors"
        for name in ("id", "model", "created"):
            body.pop(name, None)
        response = {"status_code": status, "body": body}
        files[kind].append({"custom_id": line["custom_id"], "response": response, "error": None})
    GOLDEN.mkdir(exist_ok=True)
    for kind, lines in files.items():
        (GOLDEN / f"{kind}.jsonl").write_bytes(jsonl(lines))


if __name__ == "__main__":
    write()
