"""The fake is proven with Mistral's SDK; what it knows of a request is what the SDK's types know."""

import orjson
import pytest
from mistralai.client import Mistral, models
from mistralai.client.errors import SDKError
from mistralai.client.models import BatchJob, CreateFileResponse, GetFileResponse

from tests.fakes.mistral_app import FIELDS, MistralApp
from tests.fakes.serving import ServedApp

KEY = "mistral-right"
CHAT = "/v1/chat/completions"


@pytest.fixture
def app():
    return MistralApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def sdk(server):
    with Mistral(api_key=KEY, server_url=server.url) as sdk:
        yield sdk


def lines(*texts):
    return b"".join(
        orjson.dumps({"custom_id": f"c{n}", "body": {"messages": [{"role": "user", "content": text}]}}) + b"\n"
        for n, text in enumerate(texts)
    )


def upload(sdk, data):
    return sdk.files.upload(file={"file_name": "in.jsonl", "content": data}, purpose="batch")


@pytest.mark.parametrize("kind", FIELDS)
def test_the_fake_knows_the_fields_that_the_sdk_knows(kind):
    known = {field.alias or name for name, field in getattr(models, kind).model_fields.items()}

    assert set(FIELDS[kind].split()) == known


def test_a_file_comes_and_goes(sdk, server):
    made = upload(sdk, lines("hello"))

    assert isinstance(made, CreateFileResponse)
    assert (made.filename, made.purpose, made.num_lines) == ("in.jsonl", "batch", 1)
    assert isinstance(sdk.files.retrieve(file_id=made.id), GetFileResponse)
    assert [file.id for file in sdk.files.list(page=0, page_size=10).data] == [made.id]
    assert sdk.files.download(file_id=made.id).read() == lines("hello")
    assert sdk.files.delete(file_id=made.id).deleted
    with pytest.raises(SDKError) as missing:
        sdk.files.retrieve(file_id=made.id)
    assert missing.value.raw_response.status_code == 404


def test_a_batch_runs_to_its_files(sdk):
    file = upload(sdk, lines("hello", "please refuse-this", "bye"))
    made = sdk.batch.jobs.create(
        endpoint=CHAT, model="mistral-small-latest", input_files=[file.id], metadata={"a": "b"}
    )

    assert isinstance(made, BatchJob)
    assert (made.status, made.total_requests, made.metadata) == ("QUEUED", 0, {"a": "b"})
    assert [job.id for job in sdk.batch.jobs.list(page=0, page_size=10).data] == [made.id]
    sdk.batch.jobs.get(job_id=made.id)
    over = sdk.batch.jobs.get(job_id=made.id)
    assert (over.status, over.succeeded_requests, over.failed_requests) == ("SUCCESS", 2, 1)
    output = [orjson.loads(line) for line in sdk.files.download(file_id=over.output_file).read().splitlines()]
    errors = [orjson.loads(line) for line in sdk.files.download(file_id=over.error_file).read().splitlines()]
    for row in output:
        models.ChatCompletionResponse.model_validate(row["response"]["body"])
    assert sorted(row["custom_id"] for row in output) == ["c0", "c2"]
    assert isinstance(errors[0]["response"]["body"], str)
    assert sdk.batch.jobs.delete(job_id=made.id).deleted


def test_a_batch_is_cancelled(sdk):
    file = upload(sdk, lines("hello"))
    made = sdk.batch.jobs.create(endpoint=CHAT, model="m", input_files=[file.id])
    assert sdk.batch.jobs.cancel(job_id=made.id).status == "CANCELLATION_REQUESTED"
    assert sdk.batch.jobs.get(job_id=made.id).status == "CANCELLED"


@pytest.mark.parametrize(
    "field",
    [
        {"user": "u"},
        {"seed": 1},
        {"temperature": 2},
        {"service_tier": "flex"},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"messages": [{"role": "user", "content": "x", "name": "n"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]},
        {"messages": [{"role": "developer", "content": "x"}]},
    ],
)
def test_one_field_that_is_not_mistrals_costs_the_whole_file(sdk, app, field):
    bad = orjson.dumps({"custom_id": "bad", "body": {"messages": [], **field}}) + b"\n"

    with pytest.raises(SDKError) as refused:
        upload(sdk, lines("hello") + bad)

    assert refused.value.raw_response.status_code == 422
    assert app.files == {}


def test_bad_lines_and_keys_are_refused(sdk, server):
    with pytest.raises(SDKError) as refused:
        upload(sdk, b"not json\n")
    assert refused.value.raw_response.status_code == 422
    with Mistral(api_key="wrong", server_url=server.url) as stranger, pytest.raises(SDKError) as unknown:
        stranger.files.list()
    assert unknown.value.raw_response.status_code == 401
