"""What Azure documents for its batches, sent by its SDK, at Azure in both address styles."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from openai import AzureOpenAI

from app.services.gateway import Gateway
from tests.fakes.azure_app import AzureApp
from tests.fakes.serving import ServedApp
from tests.services.running.conftest import Workers
from tests.support.batches import CHAT, chat_line, jsonl
from tests.support.server import LiveServer
from tests.support.waiting import until

KEY = "canary-azure-key"
DATED = "2024-10-21"
AZURE = "/chat/completions"


@pytest.fixture(params=[False, True], ids=["v1", "dated"])
def azure(request: pytest.FixtureRequest) -> Iterator[ServedApp]:
    with ServedApp(AzureApp(dated=request.param, api_key=KEY)) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], azure: ServedApp) -> dict[str, str]:
    app: Any = azure.app
    mine = {name: value for name, value in environment.items() if name != "BATCHGATE_DEFAULT_PROVIDER"}
    version = {"AZURE_OPENAI_API_VERSION": DATED} if app.dated else {}
    return {**mine, "AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": azure.url, **version}


@pytest.mark.parametrize("endpoint", [AZURE, CHAT])
def test_azures_documented_batch_runs_at_azure(
    live_server: LiveServer, workers: Workers, gateway: Gateway, azure: ServedApp, endpoint: Any
) -> None:
    app: Any = azure.app
    workers.start()
    lines = [chat_line("task-0", "one", url=AZURE), chat_line("task-1", "two", url=AZURE)]
    with AzureOpenAI(azure_endpoint=live_server.url, api_version=DATED, api_key=live_server.key, max_retries=0) as sdk:
        # The SDK calls bytes without a name `upload`.
        uploaded = sdk.files.create(file=BytesIO(jsonl(lines)), purpose="batch")
        batch = sdk.batches.create(input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h")
        assert batch.endpoint == CHAT
        until(lambda: sdk.batches.retrieve(batch.id).status not in ("validating", "in_progress", "finalizing"))
        over = sdk.batches.retrieve(batch.id)
        assert (over.status, over.request_counts and over.request_counts.completed) == ("completed", 2), over.errors
        assert over.output_file_id is not None
        answers = [json.loads(line) for line in sdk.files.content(over.output_file_id).read().splitlines()]
    assert [answer["custom_id"] for answer in answers] == ["task-0", "task-1"]
    at_azure = {line["url"] for file in app.files.values() if file.purpose == "batch" for line in _lines(file.data)}
    assert at_azure == {AZURE if app.dated else CHAT}
    assert {job.endpoint for job in app.jobs.values()} == at_azure


def _lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]
