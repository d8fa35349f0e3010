"""The official OpenAI SDK, unchanged, on the batches API."""

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from app.services.gateway import Caller, Gateway
from tests.support.batch_states import RunningBatch, jsonl, put_file, request
from tests.support.server import LiveServer

DATA = jsonl([request(1), request(2)])


@pytest.fixture(params=["/v1", "/openai/v1", "/openai"])
def sdk(request: pytest.FixtureRequest, live_server: LiveServer) -> Iterator[OpenAI]:
    """The SDK, pointed at one of the gateway's prefixes."""
    with OpenAI(base_url=f"{live_server.url}{request.param}", api_key=live_server.key, max_retries=0) as client:
        yield client


def test_a_batch_from_create_to_its_end(sdk: OpenAI, gateway: Gateway, caller: Caller) -> None:
    file_id = put_file(gateway, caller, DATA)
    made = sdk.batches.create(
        input_file_id=file_id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"k": "v"},
        output_expires_after={"anchor": "created_at", "seconds": 3600},
        extra_body={"provider": "local"},
    )
    running = RunningBatch(gateway, made.id, data=DATA)
    running.answer([1])
    sdk.batches.cancel(made.id)
    running.end("cancelled")

    batch = sdk.batches.retrieve(made.id)

    assert (made.status, batch.status, batch.metadata) == ("validating", "cancelled", {"k": "v"})
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (2, 1, 1)
    with pytest.raises(openai.ConflictError):
        sdk.batches.cancel(made.id)


def test_auto_paging(sdk: OpenAI, gateway: Gateway, caller: Caller) -> None:
    file_id = put_file(gateway, caller, DATA)
    made = [
        sdk.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h").id
        for _ in range(7)
    ]

    assert [batch.id for batch in sdk.batches.list(limit=3)] == made[::-1]


def test_refusals_are_the_sdk_s_own_errors(sdk: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        sdk.batches.retrieve("batch_unknown")
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.batches.create(input_file_id="file-x", endpoint="/v1/chat/completions", completion_window="24h")
    assert refused.value.param == "input_file_id"
