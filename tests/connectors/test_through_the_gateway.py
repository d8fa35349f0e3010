"""One input through the whole gateway at xAI, Fireworks and OpenRouter: from upload to output and error file."""

import contextlib

import pytest

from app.engine.embedded import Embedded
from tests.fakes.fireworks_app import FireworksApp
from tests.fakes.openrouter_app import OpenRouterApp
from tests.fakes.serving import ServedApp
from tests.fakes.xai_app import XAIApp
from tests.running.conftest import Workers
from tests.support.batches import CHAT, chat_line, ended, jsonl, read, upload
from tests.support.native_jobs import EVERY, LINES, REFUSAL

KEYS = {"xai": "xai-canary", "fireworks": "fw-canary", "openrouter": "sk-or-canary"}


@pytest.fixture
def apps():
    fireworks = FireworksApp(api_key=KEYS["fireworks"])
    fireworks.looks_until_ready = 2
    openrouter = OpenRouterApp(api_key=KEYS["openrouter"])
    openrouter.looks_until_seen = 1
    return {"xai": XAIApp(api_key=KEYS["xai"]), "fireworks": fireworks, "openrouter": openrouter}


@pytest.fixture
def servers(apps):
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(ServedApp(app)) for name, app in apps.items()}


@pytest.fixture
def environment(environment, servers):
    return {
        **environment,
        "XAI_API_KEY": KEYS["xai"],
        "XAI_BASE_URL": servers["xai"].base_url,
        "FIREWORKS_API_KEY": KEYS["fireworks"],
        "FIREWORKS_BASE_URL": servers["fireworks"].url,
        "FIREWORKS_DOWNLOAD_HOSTS": f"127.0.0.1:{servers['fireworks'].port}",
        "OPENROUTER_API_KEY": KEYS["openrouter"],
        "OPENROUTER_BASE_URL": f"{servers['openrouter'].url}/api/v1",
        "BATCHGATE_DEFAULT_PROVIDER": "xai",
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_REFRESH_SECONDS": "3600",
        "BATCHGATE_RECONCILE_SECONDS": "1",
    }


@pytest.fixture
def workers(gateway):
    found = Workers(gateway)
    assert isinstance(found.start(), Embedded)
    yield found
    found.stop()


@pytest.mark.usefixtures("workers")
def test_the_same_lines_come_back_from_each(client):
    data = jsonl(
        chat_line(f"line {n}", "please refuse-this" if n % EVERY == 0 else f"Question {n}?", model="some/model")
        for n in range(1, LINES + 1)
    )
    source = upload(client, data)
    over = {name: ended(client, create(client, source, provider=name)["id"]) for name in KEYS}

    outputs = {name: plain(read(client, batch["output_file_id"])) for name, batch in over.items()}
    errors = {name: plain(read(client, batch["error_file_id"])) for name, batch in over.items()}
    assert {name: (batch["status"], batch["execution"]) for name, batch in over.items()} == dict.fromkeys(
        KEYS, ("completed", "provider")
    )
    assert outputs["xai"] == outputs["fireworks"] == outputs["openrouter"]
    assert errors["xai"] == errors["fireworks"] == errors["openrouter"]
    assert [line["custom_id"] for line in outputs["xai"]] == [f"line {n}" for n in range(1, LINES + 1) if n % EVERY]
    assert [(line["custom_id"], line["response"]["body"]) for line in errors["xai"]] == [
        ("line 17", REFUSAL),
        ("line 34", REFUSAL),
    ]


def create(client, source, **fields):
    body = {"input_file_id": source, "endpoint": CHAT, "completion_window": "24h", **fields}
    answer = client.post("/v1/batches", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json


def plain(lines):
    """Lines without ids, models and times."""
    for line in lines:
        del line["id"], line["response"]["request_id"]
        for name in ("id", "model", "created"):
            line["response"]["body"].pop(name, None)
    return lines
