"""The fake is proven with Anthropic's SDK, in both generations of its headers, and strictly against the SDK's types."""

import json

import httpx2 as httpx
import pytest
from anthropic import Anthropic, APIStatusError, BadRequestError, NotFoundError
from anthropic.pagination import SyncPage, SyncPageCursor
from anthropic.types import DeletedFile, FileMetadata, Message
from anthropic.types.messages import DeletedMessageBatch, MessageBatch, MessageBatchIndividualResponse
from anthropic.types.shared import ErrorResponse

from tests.fakes.anthropic_app import LEGACY_FILES, AnthropicApp
from tests.fakes.serving import ServedApp

KEY = "sk-ant-right"
MODEL = "claude-sonnet-4-5"
BATCHES = "/v1/messages/batches"
pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")


@pytest.fixture
def app():
    return AnthropicApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def sdk(server):
    with Anthropic(api_key=KEY, base_url=server.url, max_retries=0, _strict_response_validation=True) as sdk:
        yield sdk


@pytest.fixture
def http(server):
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    with httpx.Client(base_url=server.url, headers=headers) as http:
        yield http


def strictly(kind, answer):
    """The JSON of `answer` as `kind`, every field of the type there and none left over."""
    told = answer if isinstance(answer, dict) else answer.json()
    assert set(told) == set(kind.model_fields)
    return kind.model_validate(told)


def request(number, text, **params):
    messages = [{"role": "user", "content": text}]
    return {"custom_id": f"line-{number}", "params": {"model": MODEL, "max_tokens": 50, "messages": messages, **params}}


def create(batches, *texts):
    return batches.create(requests=[request(number, text) for number, text in enumerate(texts, 1)])


@pytest.mark.parametrize("generation", ["ga", "beta"])
def test_a_batch_carries_its_lines_and_streams_its_results(sdk, http, generation):
    batches = (sdk if generation == "ga" else sdk.beta).messages.batches
    made = create(batches, "one", "please refuse-this")
    assert (made.processing_status, made.request_counts.processing, made.results_url) == ("in_progress", 2, None)
    assert http.get(f"{BATCHES}/{made.id}/results").status_code == 404

    looking = http.get(f"{BATCHES}/{made.id}")
    running = strictly(MessageBatch, looking)
    ended = strictly(MessageBatch, http.get(f"{BATCHES}/{made.id}"))

    assert looking.headers["retry-after"] == "10"
    assert (running.processing_status, running.request_counts.succeeded, running.ended_at) == ("in_progress", 0, None)
    assert (ended.processing_status, ended.results_url is not None) == ("ended", True)
    counts = ended.request_counts
    assert (counts.processing, counts.succeeded, counts.errored) == (0, 1, 1)
    answer = http.get(f"{BATCHES}/{made.id}/results")
    assert answer.headers["content-type"] == "application/x-jsonl"
    for line in answer.content.splitlines():
        MessageBatchIndividualResponse.model_validate_json(line)
    rows = {row["custom_id"]: row["result"] for row in map(json.loads, answer.content.splitlines())}
    assert set(rows["line-1"]["message"]) == set(Message.model_fields) - {"container", "diagnostics", "stop_details"}
    assert {row.custom_id: row.result.type for row in batches.results(made.id)} == {
        "line-1": "succeeded",
        "line-2": "errored",
    }
    error = strictly(ErrorResponse, rows["line-2"]["error"])
    assert (error.error.type, error.error.message) == ("invalid_request_error", "The prompt was refused.")


@pytest.mark.parametrize("generation", ["ga", "beta"])
def test_batches_page_by_id_and_go_when_they_are_over(sdk, http, generation):
    batches = (sdk if generation == "ga" else sdk.beta).messages.batches
    made = [create(batches, "one").id for _ in range(3)]

    listed = http.get(BATCHES, params={"limit": 2})
    page = SyncPage[MessageBatch].model_validate(listed.json())
    assert [batch.id for batch in page.data] == made[:0:-1]
    assert page.has_more and set(listed.json()) == {"data", "has_more", "first_id", "last_id"}
    assert [batch.id for batch in batches.list(limit=2)] == made[::-1]
    with pytest.raises(BadRequestError):
        batches.delete(made[0])
    for _ in range(2):
        batches.retrieve(made[0])
    with pytest.raises(BadRequestError):
        batches.cancel(made[0])
    assert strictly(DeletedMessageBatch, http.delete(f"{BATCHES}/{made[0]}")).id == made[0]
    with pytest.raises(NotFoundError):
        batches.retrieve(made[0])


def test_a_cancelled_batch_keeps_what_was_answered(app, sdk):
    app.cancelled_lines, app.looks_to_end = 1, None
    batches = sdk.messages.batches
    made = create(batches, "one", "two", "three")

    assert batches.cancel(made.id).processing_status == "canceling"
    ended = batches.retrieve(made.id)
    counts = ended.request_counts

    assert (ended.processing_status, ended.cancel_initiated_at is not None) == ("ended", True)
    assert (counts.processing, counts.succeeded, counts.canceled) == (0, 1, 2)
    rows = [row.to_dict() for row in sdk.beta.messages.batches.results(made.id)]
    assert sorted(row["result"]["type"] for row in rows) == ["canceled", "canceled", "succeeded"]


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [request(1, "x"), request(1, "y")],
        [{**request(1, "x"), "custom_id": "no spaces"}],
        [{**request(1, "x"), "custom_id": "x" * 65}],
        [{**request(1, "x"), "body": {}}],
    ],
)
def test_what_is_no_list_of_requests_is_refused_at_once(http, requests):
    answer = http.post(BATCHES, json={"requests": requests})

    assert answer.status_code == 400
    assert strictly(ErrorResponse, answer).error.type == "invalid_request_error"


BAD_PARAMS = {
    "stream": {"stream": True},
    "unknown": {"n": 2},
    "no limit": {"max_tokens": None},
    "both": {"temperature": 0.5, "top_p": 0.5},
    "hot": {"temperature": 1.5},
    "sampling": {"model": "claude-opus-5", "temperature": 0.5},
    "prefill": {"model": "claude-sonnet-5", "messages": [{"role": "assistant", "content": "{"}]},
    "space": {"messages": [{"role": "assistant", "content": "{ "}]},
    "empty": {"messages": [{"role": "user", "content": " "}]},
    "budget": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "no tools": {"tool_choice": {"type": "auto"}},
    "stop": {"stop_sequences": ["\n"]},
    "open": {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    "unasked": {
        "messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"}]}]
    },
    "image": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/tiff", "data": "AA=="}}
                ],
            }
        ]
    },
}


@pytest.mark.parametrize("name", BAD_PARAMS)
def test_wrong_parameters_are_refused_line_by_line(http, sdk, name):
    made = http.post(BATCHES, json={"requests": [request(1, "x", **BAD_PARAMS[name])]}).json()
    for _ in range(2):
        ended = sdk.messages.batches.retrieve(made["id"])

    assert ended.request_counts.errored == 1
    [row] = sdk.messages.batches.results(made["id"])
    assert row.result.type == "errored" and row.result.error.error.type == "invalid_request_error"


def test_tools_are_called_and_their_results_are_read(sdk):
    tool = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}
    asked = [{"role": "user", "content": "What time is it?"}]
    called = sdk.messages.create(
        model=MODEL, max_tokens=50, messages=asked, tools=[tool], tool_choice={"type": "any"}, system="Be brief."
    )
    [call] = called.content
    told = {"type": "tool_result", "tool_use_id": call.id, "content": "noon"}
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    said = sdk.messages.create(
        model=MODEL,
        max_tokens=50,
        tools=[tool],
        messages=[
            *asked,
            {"role": "assistant", "content": [call.to_dict()]},
            {"role": "user", "content": [told, picture, {"type": "text", "text": "So?"}]},
        ],
    )

    assert (called.stop_reason, call.name, list(call.input)) == ("tool_use", "clock", ["seed"])
    assert said.stop_reason == "end_turn" and said.content[0].text.endswith("said:  So?")
    assert said.usage.cache_read_input_tokens == 1


def test_files_of_the_generation_without_a_header(app, sdk, http):
    made = sdk.files.upload(file=("a.txt", b"hello", "text/plain"), expires_in_seconds=3600)
    others = [sdk.files.upload(file=("b.txt", b"b", "text/plain")).id for _ in range(2)]

    assert strictly(FileMetadata, http.get(f"/v1/files/{made.id}")) == sdk.files.retrieve_metadata(made.id) == made
    assert (made.size_bytes, made.mime_type, (made.expires_at - made.created_at).seconds) == (5, "text/plain", 3600)
    listed = http.get("/v1/files", params={"limit": 2})
    assert strictly(SyncPageCursor[FileMetadata], listed.json()).next_page.startswith("page_")
    assert [file.id for file in sdk.files.list(limit=2)] == [*others[::-1], made.id]
    assert [file.id for file in sdk.files.list(ids=[made.id])] == [made.id]
    with pytest.raises(BadRequestError) as uploaded:
        sdk.files.download(made.id)
    assert uploaded.value.body["error"]["details"] == {"error_code": "file_not_downloadable"}
    app.files[made.id].fields["downloadable"] = True
    assert sdk.files.download(made.id).read() == b"hello"
    assert strictly(DeletedFile, http.delete(f"/v1/files/{made.id}")).id == made.id
    with pytest.raises(NotFoundError):
        sdk.files.retrieve_metadata(made.id)


def test_files_of_the_generation_with_a_header(sdk, http):
    betas = [LEGACY_FILES]
    made = [sdk.beta.files.upload(file=(f"{n}.txt", b"x"), betas=betas).id for n in range(3)]

    listed = http.get("/v1/files", params={"limit": 2}, headers={"anthropic-beta": LEGACY_FILES}).json()
    page = SyncPage[FileMetadata].model_validate(listed)
    rest = http.get("/v1/files", params={"after_id": page.last_id}, headers={"anthropic-beta": LEGACY_FILES}).json()

    assert set(listed) == {"data", "has_more", "first_id", "last_id"}
    assert page.has_more and [file.id for file in page.data] == made[:0:-1]
    assert [file["id"] for file in rest["data"]] == [made[0]] and not rest["has_more"]
    assert [file.id for file in sdk.beta.files.list(betas=betas)] == made[::-1]
    assert sdk.beta.files.delete(made[0], betas=betas).id == made[0]


def test_keys_and_versions_are_checked(server, http):
    with Anthropic(api_key="sk-wrong", base_url=server.url, max_retries=0) as sdk, pytest.raises(APIStatusError) as bad:
        sdk.models.list()
    assert (bad.value.status_code, bad.value.request_id is not None) == (401, True)
    assert http.get("/v1/files", headers={"anthropic-version": "2023-01-01"}).status_code == 400
    with Anthropic(auth_token=KEY, api_key=None, base_url=server.url, max_retries=0) as sdk:
        assert next(iter(sdk.models.list())).id == MODEL
