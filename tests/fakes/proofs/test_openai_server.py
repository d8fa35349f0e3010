"""The fake is proven with the official SDK, and its answers strictly against the SDK's types."""

import subprocess
import sys

import httpx2 as httpx
import openai
import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.fakes.faults import Fault, overload
from tests.fakes.openai_server import FakeServer

QUESTION = [{"role": "user", "content": "What is the capital of France? mark-1"}]
TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def server():
    with FakeServer() as server:
        yield server


@pytest.fixture
def sdk(server):
    with openai.OpenAI(base_url=server.base_url, api_key="sk-test", max_retries=0) as client:
        yield client


def strictly(kind, raw):
    return kind.model_validate(raw.http_response.json(), strict=True)


def test_chat_answers_are_deterministic_and_differ_by_question(sdk):
    answers = [
        sdk.chat.completions.create(model="fake-model", messages=[{"role": "user", "content": text}])
        for text in ("one", "one", "two")
    ]

    first, again, other = (answer.choices[0].message.content for answer in answers)
    assert first == again != other
    assert first.endswith("you said: one")


def test_chat_matches_the_sdk_type(sdk):
    answer = strictly(
        ChatCompletion, sdk.chat.completions.with_raw_response.create(model="fake-model", messages=QUESTION)
    )

    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_chat_stops_at_max_tokens(sdk):
    answer = sdk.chat.completions.create(model="fake-model", messages=QUESTION, max_tokens=2)

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 2


def test_chat_calls_a_tool_when_it_must(sdk):
    answer = strictly(
        ChatCompletion,
        sdk.chat.completions.with_raw_response.create(
            model="fake-model", messages=QUESTION, tools=[TOOL], tool_choice="required"
        ),
    )

    assert answer.choices[0].message.tool_calls[0].function.name == "lookup"


def test_completion_matches_the_sdk_type(sdk):
    answer = strictly(Completion, sdk.completions.with_raw_response.create(model="fake-model", prompt="Once"))

    assert answer.choices[0].text.endswith("Once")


def test_embeddings_match_the_sdk_type(sdk):
    raw = sdk.embeddings.with_raw_response.create(model="fake-embedder", input=["a", "b"], encoding_format="float")
    answer = strictly(CreateEmbeddingResponse, raw)

    assert [item.index for item in answer.data] == [0, 1]
    assert answer.data[0].embedding != answer.data[1].embedding


def test_response_matches_the_sdk_type(sdk):
    raw = sdk.responses.with_raw_response.create(model="fake-model", input="Hello")
    answer = strictly(Response, raw)

    assert answer.output_text.endswith("you said: Hello")
    assert answer.usage.input_tokens_details.cached_tokens == 2


def test_models_match_the_sdk_type(sdk, server):
    page = sdk.models.with_raw_response.list().http_response.json()

    assert [Model.model_validate(item, strict=True).id for item in page["data"]] == ["fake-model", "fake-embedder"]


def test_a_model_it_does_not_have_is_a_404(sdk):
    with pytest.raises(openai.NotFoundError, match="does not exist") as refused:
        sdk.chat.completions.create(model="gpt-none", messages=QUESTION)

    assert refused.value.code == "model_not_found"
    assert refused.value.param == "model"


def test_an_older_server_has_no_responses():
    with (
        FakeServer(responses=False) as server,
        openai.OpenAI(base_url=server.base_url, api_key="sk-test") as sdk,
        pytest.raises(openai.NotFoundError, match="Invalid URL"),
    ):
        sdk.responses.create(model="fake-model", input="Hello")


def test_a_wrong_key_is_a_401():
    with (
        FakeServer(api_key="sk-right") as server,
        openai.OpenAI(base_url=server.base_url, api_key="sk-no") as sdk,
        pytest.raises(openai.AuthenticationError, match="Incorrect API key"),
    ):
        sdk.models.list()


def test_faults_meet_every_kth_matching_call(sdk, server):
    server.faults.add(overload(containing=b"mark-1", every=2, retry_after="7"))
    statuses = []
    for _ in range(4):
        try:
            sdk.chat.completions.create(model="fake-model", messages=QUESTION)
            statuses.append(200)
        except openai.RateLimitError as refused:
            assert refused.response.headers["retry-after"] == "7"
            statuses.append(429)

    assert statuses == [200, 429, 200, 429]
    assert server.count("mark-1") == 4


@pytest.mark.parametrize(
    "fault", [Fault(reset=True), Fault(hang_up=True), Fault(cut_at=5), Fault(length_off=10, cut_at=2000)], ids=repr
)
def test_socket_faults_break_the_call(sdk, server, fault):
    server.faults.add(fault)

    with pytest.raises(openai.APIConnectionError):
        sdk.chat.completions.create(model="fake-model", messages=QUESTION)


def test_a_server_that_stopped_starts_again_on_its_port(sdk, server):
    server.stop()
    with pytest.raises(openai.APIConnectionError):
        sdk.models.list()

    server.start()

    assert sdk.models.list().data


def test_it_runs_as_a_process_of_its_own():
    command = [sys.executable, "-m", "tests.fakes.openai_server", "--latency-ms", "1", "--any-model"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        with httpx.Client() as http:
            http.post(f"{url}/_fake/faults", json=[{"status": 500, "times": 1}])
            body = {"model": "any", "messages": QUESTION}
            statuses = [http.post(f"{url}/v1/chat/completions", json=body).status_code for _ in range(2)]
            stats = http.get(f"{url}/_fake/stats").json()
        process.terminate()

    assert statuses == [500, 200]
    assert (stats["answered"], stats["marks"], stats["most_per_mark"], stats["most_in_flight"]) == (2, 1, 2, 1)
    assert process.returncode == 0
