"""What these tests share: a command line with a key, and a batch in the middle of its work."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from app.cli import batchgate
from app.services.gateway import Caller, Gateway
from tests.support.batch_states import RunningBatch, jsonl, put_file, request
from tests.support.keyed import KeyClient
from tests.support.server import LiveServer

Run = Callable[..., Result]
INPUT = jsonl([request(number) for number in range(1, 6)])


@pytest.fixture
def run(live_server: LiveServer) -> Run:
    """Runs `batchgate` with a key of the live gateway."""
    runner = CliRunner(env={"BATCHGATE_BASE_URL": live_server.url, "BATCHGATE_API_KEY": live_server.key})
    return lambda *words: runner.invoke(batchgate, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def running(client: KeyClient, gateway: Gateway, caller: Caller) -> RunningBatch:
    """A batch of five lines, none of them answered."""
    return started(client, gateway, caller)


def started(client: KeyClient, gateway: Gateway, caller: Caller) -> RunningBatch:
    """Creates a batch of five lines."""
    body = {"input_file_id": put_file(gateway, caller, INPUT), "endpoint": "/v1/chat/completions"}
    batch = client.post("/v1/batches", json={**body, "completion_window": "24h"}).json
    return RunningBatch(gateway, batch["id"], data=INPUT)
