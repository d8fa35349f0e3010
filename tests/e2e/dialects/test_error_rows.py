"""Rows of lines that failed at their provider, as OpenAI's error lines, read with the official SDK."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.e2e.conformance.conftest import workers  # noqa: F401 - a fixture
from tests.e2e.conformance.farm import Farm
from tests.e2e.conformance.models import MODELS
from tests.support.batches import TERMINAL, chat_line, jsonl
from tests.support.server import LiveServer
from tests.support.waiting import until

# Statuses that each provider has a word for (contracts: providers, 28.0).
STATUSES = {
    "anthropic": (400, 401, 402, 403, 404, 413, 429, 500, 504, 529),
    "bedrock": (400, 403, 404, 408, 424, 429, 500, 503),
    "cohere": (400,),
    "gemini": (400, 401, 403, 404, 429, 500, 503, 504),
    "vertex": (400, 401, 403, 404, 429, 500, 503, 504),
}
# What a provider says of the operator's key is not for the owner of the line.
OF_THE_KEY = {("anthropic", 401), ("anthropic", 403), ("gemini", 401), ("vertex", 401)}
FINE = 100  # lines that are answered: Bedrock wants so many


@pytest.fixture
def farm() -> Iterator[Farm]:
    with Farm(STATUSES) as running:
        yield running


@pytest.fixture
def environment(environment: dict[str, str], farm: Farm) -> dict[str, str]:
    return {
        **environment,
        **farm.environment,
        "BATCHGATE_JOB_POLL_SECONDS": "0.05",
        "BATCHGATE_DEFAULT_PROVIDER": "local",
    }


@pytest.fixture
def sdk(live_server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{live_server.url}/v1", api_key=live_server.key, max_retries=0) as client:
        yield client


def lines(provider: str) -> list[dict[str, Any]]:
    fine = [chat_line(f"fine {n}", f"Question {n}?") for n in range(FINE)]
    return fine + [chat_line(f"failed {status}", f"fail-with-{status}") for status in STATUSES[provider]]


def read(sdk: OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    assert file_id is not None
    return [json.loads(line) for line in sdk.files.content(file_id).text.splitlines()]


@pytest.mark.usefixtures("workers")
def test_rows_that_failed_become_openai_s_error_lines(sdk: OpenAI) -> None:
    made = {}
    for provider in STATUSES:
        uploaded = sdk.files.create(file=("in.jsonl", io.BytesIO(jsonl(lines(provider)))), purpose="batch")
        made[provider] = sdk.batches.create(
            input_file_id=uploaded.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            extra_body={"provider": provider, "model": MODELS[provider]},
        ).id
    until(
        lambda: all(sdk.batches.retrieve(batch).status in TERMINAL for batch in made.values()),
        seconds=60,
        what="the end of every batch",
    )

    for provider, batch_id in made.items():
        batch = sdk.batches.retrieve(batch_id)
        assert batch.status == "completed", (provider, batch.errors)
        assert batch.request_counts is not None
        assert (batch.request_counts.completed, batch.request_counts.failed) == (FINE, len(STATUSES[provider]))
        assert [line["custom_id"] for line in read(sdk, batch.output_file_id)] == [f"fine {n}" for n in range(FINE)]
        failed = read(sdk, batch.error_file_id)
        assert [line["custom_id"] for line in failed] == [f"failed {status}" for status in STATUSES[provider]], provider
        for line, status in zip(failed, STATUSES[provider], strict=True):
            assert set(line) == {"id", "custom_id", "response", "error"} and line["id"].startswith("batch_req_")
            if (provider, status) in OF_THE_KEY:
                assert (line["response"], line["error"]["code"]) == (None, "account_refused"), (provider, status)
                continue
            assert line["error"] is None and line["response"]["request_id"], (provider, status)
            assert line["response"]["status_code"] == status, provider
            error = line["response"]["body"]["error"]
            assert set(error) == {"message", "type", "param", "code"}, (provider, error)
            assert error["type"], (provider, error)
            assert f"failed with {status}" in error["message"], (provider, error)
