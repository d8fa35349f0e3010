"""The fake is proven with Cohere's SDK, and its answers strictly against the SDK's types, no field left over."""

import inspect
from datetime import datetime

import cohere
import httpx2 as httpx
import orjson
import pytest
from cohere.batches.types import CreateBatchResponse, GetBatchResponse, ListBatchesResponse
from cohere.core.api_error import ApiError
from cohere.core.pydantic_utilities import UniversalBaseModel
from cohere.datasets.types import DatasetsGetResponse, DatasetsListResponse
from cohere.types import EmbedByTypeResponse, ListModelsResponse
from cohere.utils import dataset_generator
from cohere.v2 import V2ChatResponse
from cohere.v2.client import V2Client

from tests.fakes import cohere_rows
from tests.fakes.cohere_app import CohereApp
from tests.fakes.openai_app import _vector
from tests.fakes.serving import ServedApp

KEY = "co-right"
MODEL = "command-a-03-2025"
HELLO = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "Today.", "parameters": SCHEMA}}


@pytest.fixture
def app():
    return CohereApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def sdk(server):
    with cohere.ClientV2(api_key=KEY, base_url=server.url) as sdk:
        yield sdk


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}) as http:
        yield http


def strictly(kind, raw):
    """The JSON of `raw` as `kind`: each value of its type, no field that the SDK does not know, at any depth."""
    raw = raw if isinstance(raw, bytes) else raw.content
    made = kind.model_validate(with_instants(orjson.loads(raw)), strict=True)
    no_more(made)
    return made


def with_instants(value):
    """The SDK's types want instants, which JSON has as texts."""
    if isinstance(value, dict):
        return {
            name: datetime.fromisoformat(inner) if name.endswith("_at") else with_instants(inner)
            for name, inner in value.items()
        }
    return [with_instants(item) for item in value] if isinstance(value, list) else value


def no_more(value):
    if isinstance(value, UniversalBaseModel):
        extra = {name for name, told in (value.model_extra or {}).items() if told is not None}  # rows are full of nulls
        assert not extra, type(value)
        for name in type(value).model_fields:
            no_more(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            no_more(item)


def row(number, text, **more):
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}], **more}
    return {"custom_id": f"line-{number}", "body": body}


def jsonl(*found):
    return b"".join(orjson.dumps(item) + b"\n" for item in found)


def dataset(sdk, data, *, kind="batch-chat-v2-input", name="in.jsonl", **more):
    more = {"keep_fields": ["custom_id"], **more}
    made = sdk.datasets.create(name=name, type=kind, data=("in.jsonl", data), **more)
    for _ in range(2):
        told = sdk.datasets.get(made.id).dataset
    return told


def batch(sdk, data, **more):
    made = sdk.batches.create(
        request={"name": "mine", "input_dataset_id": dataset(sdk, data, **more).id, "model": MODEL}
    )
    return made.batch


def ended(sdk, made):
    for _ in range(2):
        made = sdk.batches.retrieve(made.id).batch
    return made


def results(sdk, made):
    output = sdk.datasets.get(made.output_dataset_id)
    if output.dataset.validation_status != "validated":
        output = sdk.datasets.get(made.output_dataset_id)
    output.dataset.dataset_parts.sort(key=lambda part: part.index)
    return {found["custom_id"]: found for found in dataset_generator(output.dataset)}


def test_the_fake_knows_the_fields_that_the_sdk_sends():
    for call, fields in (("chat", cohere_rows.CHAT), ("embed", cohere_rows.EMBED)):
        sent = set(inspect.signature(getattr(V2Client, call)).parameters)
        assert sent - {"self", "request_options"} == set(fields) - {"stream"}
    assert set(cohere_rows.INPUT_TYPES) == set(cohere.types.embed_input_type.EmbedInputType.__args__[0].__args__)


def test_chats_are_answered(sdk, http):
    told = sdk.chat(model=MODEL, messages=HELLO, temperature=0.3, p=0.9, k=5, max_tokens=50, seed=1)
    called = sdk.chat(model=MODEL, messages=HELLO, tools=[WEATHER], tool_choice="REQUIRED")
    written = sdk.chat(model=MODEL, messages=HELLO, response_format={"type": "json_object", "json_schema": SCHEMA})
    raw = http.post("/v2/chat", json={"model": MODEL, "messages": HELLO, "max_tokens": 2})

    assert told.message.content[0].text.endswith("you said: Hello")
    assert (told.finish_reason, told.usage.tokens.output_tokens) == ("COMPLETE", 4.0)
    [call] = called.message.tool_calls
    assert (called.finish_reason, call.function.name, called.message.content) == ("TOOL_CALL", "weather", None)
    assert orjson.loads(written.message.content[0].text) == {"said": "Hello"}
    assert strictly(V2ChatResponse, raw).finish_reason == "MAX_TOKENS"


def test_embeddings_are_those_of_the_model(sdk, http):
    told = sdk.embed(model="embed-v4.0", texts=["one", "two"], input_type="search_document", embedding_types=["float"])
    body = {"model": "embed-v4.0", "texts": ["one"], "input_type": "search_query", "embedding_types": ["float"]}

    assert told.embeddings.float_ == [_vector("one"), _vector("two")]
    assert told.meta.billed_units.input_tokens == 2
    assert strictly(EmbedByTypeResponse, http.post("/v2/embed", json=body)).texts == ["one"]


def test_a_dataset_is_checked_for_a_while_then_read_and_deleted(app, sdk, http):
    data = jsonl(row(1, "one"))
    made = sdk.datasets.create(
        name="in.jsonl", type="batch-chat-v2-input", data=data, keep_fields="custom_id", keep_original_file=True
    )
    first, second = (strictly(DatasetsGetResponse, http.get(f"/v1/datasets/{made.id}")).dataset for _ in range(2))

    assert (first.validation_status, first.dataset_parts) == ("processing", [])
    assert (second.validation_status, second.name, second.dataset_type) == (
        "validated",
        "in.jsonl",
        "batch-chat-v2-input",
    )
    [part] = second.dataset_parts
    assert httpx.get(part.url).content == httpx.get(part.original_url).content == data
    assert part.size_bytes == len(data)
    assert httpx.get(part.url, headers={"Authorization": f"Bearer {KEY}"}).status_code == 403
    assert httpx.get(part.url.replace("Signature=", "Signature=0")).status_code == 403
    sdk.datasets.delete(made.id)
    with pytest.raises(cohere.NotFoundError):
        sdk.datasets.get(made.id)


def test_datasets_are_listed_by_offset(app, sdk, http):
    made = [app.add_dataset(b"", name=f"{n}", kind="batch-chat-v2-input").id for n in range(5)]

    page = strictly(DatasetsListResponse, http.get("/v1/datasets", params={"limit": 2, "offset": 1})).datasets

    assert [item.id for item in page] == [made[3], made[2]]
    assert len(sdk.datasets.list().datasets) == 5
    assert sdk.datasets.list(offset=5).datasets == []


TOOL_ROW = {"type": "function", "function": {"name": "weather", "parameters": "{}"}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"custom_id": "a", "body": {"messages": HELLO}},
        {"custom_id": "", "body": row(1, "x")["body"]},
        {"custom_id": "a", "method": "POST", "body": row(1, "x")["body"]},
        row(1, "x", model="m"),
        row(1, "x", stream=False),
        row(1, "x", response_format={"type": "json_object"}),
        row(1, "x", stop_sequences=["a"]),
        row(1, "x", p=1.0),
        row(1, "x", max_tokens="5"),
        row(1, "x", logprobs=1),
        row(1, "x", tool_choice="REQUIRED", tools=[TOOL_ROW]),
        row(1, "x", tools=[WEATHER]),
        {
            "custom_id": "a",
            "body": {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
                    }
                ]
            },
        },
    ],
)
def test_a_dataset_with_a_wrong_row_fails(sdk, wrong):
    told = dataset(sdk, jsonl(row(2, "fine"), wrong))

    assert told.validation_status == "failed" and told.validation_error
    with pytest.raises(cohere.BadRequestError):
        sdk.batches.create(request={"name": "mine", "input_dataset_id": told.id, "model": MODEL})


def test_rows_without_a_kept_id_fail(sdk):
    assert dataset(sdk, jsonl(row(1, "x")), keep_fields=None).validation_status == "failed"
    assert dataset(sdk, jsonl(row(1, "x"), row(1, "y"))).validation_status == "failed"
    assert dataset(sdk, b"{").validation_status == "failed"
    with pytest.raises(cohere.BadRequestError):
        sdk.datasets.create(name="x", type="chat-finetune-input", data=b"{}")


@pytest.mark.parametrize("codec", ["null", "deflate"])
@pytest.mark.parametrize("bodies", ["record", "json"])
def test_a_batch_runs_to_its_end(app, sdk, http, bodies, codec):
    app.bodies, app.codec, app.part_rows = bodies, codec, 2
    made = batch(sdk, jsonl(row(1, "one"), row(2, "please refuse-this"), row(3, "three", tools=[TOOL_ROW], k=3)))
    running, over = (strictly(GetBatchResponse, http.get(f"/v2/batches/{made.id}")).batch for _ in range(2))

    assert (made.status, made.name, made.num_records) == ("BATCH_STATUS_QUEUED", "mine", 0)
    assert (running.status, running.output_dataset_id, running.num_records) == ("BATCH_STATUS_IN_PROGRESS", "", 3)
    assert (over.status, over.num_successful_records, over.num_failed_records) == ("BATCH_STATUS_COMPLETED", 2, 1)
    assert int(over.input_tokens) > 0 and int(over.output_tokens) > 0
    found = results(sdk, over)
    assert set(found) == {"line-1", "line-2", "line-3"}
    assert (found["line-2"]["error"], found["line-2"]["body"]) in [
        ("The prompt was refused.", None),
        ("The prompt was refused.", "null"),
    ]
    body = found["line-1"]["body"]
    answer = strictly(V2ChatResponse, orjson.dumps(orjson.loads(body) if bodies == "json" else body))
    assert answer.message.content[0].text.endswith("you said: one")
    assert found["line-1"]["error"] == ""


def test_a_batch_of_embeddings_runs_to_its_end(sdk):
    body = {"texts": ["one", "two"], "input_type": "search_document", "embedding_types": ["float"]}
    made = batch(sdk, jsonl({"custom_id": "a", "body": body}), kind="batch-embed-v2-input")

    found = results(sdk, ended(sdk, made))

    answer = strictly(EmbedByTypeResponse, orjson.dumps(found["a"]["body"]))
    assert answer.embeddings.float_ == [_vector("one"), _vector("two")]
    sized = {**body, "output_dimension": 256}
    failed = dataset(sdk, jsonl({"custom_id": "a", "body": sized}), kind="batch-embed-v2-input")
    assert failed.validation_status == "failed"


def test_batches_are_listed_page_by_page_and_cancelled(app, sdk, http):
    made = [batch(sdk, jsonl(row(1, "one"))).id for _ in range(3)]

    page = strictly(ListBatchesResponse, http.get("/v2/batches", params={"page_size": 2}))
    rest = sdk.batches.list(page_size=2, page_token=page.next_page_token)

    assert [item.id for item in (*page.batches, *rest.batches)] == made
    assert not rest.next_page_token
    assert sdk.batches.cancel(made[0]) == {}
    assert sdk.batches.retrieve(made[0]).batch.status == "BATCH_STATUS_CANCELED"
    with pytest.raises(cohere.BadRequestError):
        sdk.batches.cancel(made[0])
    with pytest.raises(cohere.NotFoundError):
        sdk.batches.retrieve("nope")
    app.cancel_path = "/cancel"
    with pytest.raises(cohere.NotFoundError):
        sdk.batches.cancel(made[1])
    assert http.post(f"/v2/batches/{made[1]}/cancel").json() == {}


def test_what_a_batch_lacks_is_told(http):
    assert strictly(CreateBatchResponse, b'{"batch":{"name":"a","input_dataset_id":"b","model":"c"}}').batch.id is None
    answer = http.post("/v2/batches", json={"name": "a"})

    assert answer.status_code == 400
    assert set(answer.json()) == {"id", "message"}


def test_models_are_listed_and_a_wrong_key_is_refused(server, sdk, http):
    assert [model.name for model in sdk.models.list().models] == [MODEL]
    assert strictly(ListModelsResponse, http.get("/v1/models")).models[0].endpoints == ["chat"]
    with cohere.ClientV2(api_key="co-wrong", base_url=server.url) as sdk, pytest.raises(ApiError) as refused:
        sdk.models.list()
    assert refused.value.status_code == 401
