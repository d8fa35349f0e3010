"""The fake is proven with Google's SDK in both generations of its paths, and its answers strictly against its types."""

import base64
import io
import itertools

import orjson
import pytest
from google import genai
from google.genai import errors, types

from tests.fakes.gemini_app import GeminiApp
from tests.fakes.serving import ServedApp

KEY = "AIza-right"
MODEL = "gemini-2.5-flash"


@pytest.fixture
def app():
    return GeminiApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture(params=["v1", "v1beta", "v1alpha"])
def sdk(request, server):
    with client(server, request.param) as sdk:
        yield sdk


def client(server, version="v1beta", key=KEY):
    options = types.HttpOptions(base_url=server.url, api_version=version, timeout=10_000)
    return genai.Client(api_key=key, vertexai=False, http_options=options)


def strictly(kind, value):
    """`value`, JSON of Google's, as `kind`; its types forbid members that they do not know."""
    return kind.model_validate(value)


def line(key, text):
    return {"key": key, "request": {"contents": [{"role": "user", "parts": [{"text": text}]}]}}


def inlined(*texts):
    return [
        types.InlinedRequest(contents=text, metadata={"key": f"line-{number}"}) for number, text in enumerate(texts, 1)
    ]


def lines_file(sdk, *lines):
    data = b"".join(orjson.dumps(item) + b"\n" for item in lines)
    made = sdk.files.upload(file=io.BytesIO(data), config={"mime_type": "application/jsonl", "display_name": "in"})
    while made.state == types.FileState.PROCESSING:
        made = sdk.files.get(name=made.name)
    return made


def ended(sdk, job):
    for _ in range(5):
        job = sdk.batches.get(name=job.name)
    return job


def test_files_come_and_go(app, sdk):
    made = sdk.files.upload(file=io.BytesIO(b"hello"), config={"mime_type": "text/plain", "display_name": "a.txt"})

    assert made.state == types.FileState.PROCESSING
    got = sdk.files.get(name=made.name), sdk.files.get(name=made.name)
    assert [file.state for file in got] == [types.FileState.PROCESSING, types.FileState.ACTIVE]
    assert (got[1].display_name, got[1].size_bytes, got[1].source) == ("a.txt", 5, types.FileSource.UPLOADED)
    assert (got[1].expiration_time - got[1].create_time).total_seconds() == 48 * 3600
    assert app.files[made.name].data == b"hello"
    with pytest.raises(errors.ClientError) as uploaded:
        sdk.files.download(file=made.name)
    assert uploaded.value.code == 400
    sdk.files.delete(name=made.name)
    with pytest.raises(errors.ClientError) as gone:
        sdk.files.get(name=made.name)
    assert (gone.value.code, gone.value.status) == (403, "PERMISSION_DENIED")


def test_a_large_file_goes_in_chunks(app, server, sdk):
    data = bytes(range(256)) * (9 * 2**20 // 256) + b"end"
    made = sdk.files.upload(file=io.BytesIO(data), config={"mime_type": "text/plain", "name": "named"})

    assert made.name == "files/named"
    assert app.files["files/named"].data == data
    offsets = [r.headers["x-goog-upload-offset"] for r in server.requests if "x-goog-upload-offset" in r.headers]
    assert offsets == ["0", str(8 * 2**20)]


def test_files_are_listed_in_pages(sdk):
    made = [sdk.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain"}).name for _ in range(3)]

    pager = sdk.files.list(config={"page_size": 2})

    assert len(pager.page) == 2
    assert [file.name for file in pager] == made[::-1]


def test_a_batch_of_a_file_gives_a_file(server, sdk):
    source = lines_file(sdk, line("a", "one"), line("b", "please refuse-this"), line("c", "block-this"))
    made = sdk.batches.create(model=MODEL, src=source.name, config={"display_name": "mine"})
    over = ended(sdk, made)

    assert (made.state, made.display_name) == (types.JobState.JOB_STATE_PENDING, "mine")
    assert (over.state, over.model, over.end_time is None) == (
        types.JobState.JOB_STATE_SUCCEEDED,
        f"models/{MODEL}",
        False,
    )
    rows = {row["key"]: row for row in map(orjson.loads, sdk.files.download(file=over.dest.file_name).splitlines())}
    answer = strictly(types.GenerateContentResponse, rows["a"]["response"])
    assert answer.text.endswith("you said: one")
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.total_token_count > 0
    assert strictly(types.JobError, rows["b"]["error"]) == types.JobError(code=3, message="The prompt was refused.")
    blocked = strictly(types.GenerateContentResponse, rows["c"]["response"])
    assert (blocked.candidates, blocked.prompt_feedback.block_reason) == (None, types.BlockedReason.SAFETY)


@pytest.mark.parametrize("places", [("response", "output"), ("output",)])
def test_a_batch_of_inline_requests_carries_its_results(app, sdk, places):
    app.places = places
    made = sdk.batches.create(model=MODEL, src=inlined("one", "refuse-this"), config={"display_name": "mine"})
    over = ended(sdk, made)

    found = {item.metadata["key"]: item for item in over.dest.inlined_responses}
    assert found["line-1"].response.text.endswith("you said: one")
    assert (found["line-2"].response, found["line-2"].error.code) == (None, 3)


@pytest.mark.filterwarnings("ignore:batches.create_embeddings")
def test_embeddings_inline_and_by_file(app, sdk):
    contents = types.EmbedContentBatch(contents=["one", "two"], config={"output_dimensionality": 8})
    made = sdk.batches.create_embeddings(
        model="gemini-embedding-001", src={"inlined_requests": contents}, config={"display_name": "mine"}
    )
    vectors = [item.response.embedding.values for item in ended(sdk, made).dest.inlined_embed_content_responses]
    model = app.model.routes["/v1/embeddings"]({"model": "m", "input": ["one", "two"]})
    assert sorted(vectors) == sorted(item["embedding"] for item in model["data"])

    lines = [{"key": text, "request": {"content": {"parts": [{"text": text}]}}} for text in ("one", "two")]
    made = sdk.batches.create_embeddings(
        model="gemini-embedding-001",
        src={"file_name": lines_file(sdk, *lines).name},
        config={"display_name": "other"},
    )
    rows = sdk.files.download(file=ended(sdk, made).dest.file_name).splitlines()
    found = {row["key"]: row["response"] for row in map(orjson.loads, rows)}
    assert found["two"]["embedding"]["values"] == model["data"][1]["embedding"]


def test_single_calls(sdk):
    tool = types.FunctionDeclaration(name="clock", description="The time.", parameters_json_schema={"type": "object"})
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        max_output_tokens=50,
        stop_sequences=["END"],
        tools=[types.Tool(function_declarations=[tool])],
        tool_config={"function_calling_config": {"mode": "ANY", "allowed_function_names": ["clock"]}},
        automatic_function_calling={"disable": True},
    )
    answer = sdk.models.generate_content(model=MODEL, contents="What time is it?", config=config)

    [call] = answer.function_calls
    assert call.name == "clock" and isinstance(call.args["seed"], str)
    parts = [types.Part.from_function_response(name="clock", response={"result": "noon"})]
    history = ["What time is it?", answer.candidates[0].content, types.Content(role="user", parts=parts)]
    assert sdk.models.generate_content(model=MODEL, contents=history).text
    image = types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")
    assert sdk.models.generate_content(model=MODEL, contents=[image, "What is it?"]).text.endswith("What is it?")
    several = sdk.models.generate_content(model=MODEL, contents="hello", config={"candidate_count": 2})
    assert len(several.candidates) == 2
    vectors = sdk.models.embed_content(model="gemini-embedding-001", contents=["one", "two"]).embeddings
    assert len({tuple(vector.values) for vector in vectors}) == 2


def test_batches_are_listed_cancelled_and_deleted(app, sdk):
    made = [sdk.batches.create(model=MODEL, src=inlined("x"), config={"display_name": str(n)}) for n in range(3)]

    assert [job.name for job in sdk.batches.list(config={"page_size": 2})] == [job.name for job in made[::-1]]
    sdk.batches.cancel(name=made[0].name)
    over = ended(sdk, made[0])
    assert (over.state, over.dest) == (types.JobState.JOB_STATE_CANCELLED, None)
    with pytest.raises(errors.ClientError):
        sdk.batches.cancel(name=made[0].name)
    sdk.batches.delete(name=made[0].name)
    with pytest.raises(errors.ClientError) as gone:
        sdk.batches.get(name=made[0].name)
    assert gone.value.code == 404


def test_a_batch_of_a_bad_file_fails_as_a_whole(sdk):
    made = sdk.batches.create(model=MODEL, src=lines_file(sdk, {"key": "a"}).name, config={"display_name": "mine"})

    assert sdk.batches.get(name=made.name).state == types.JobState.JOB_STATE_FAILED


USER = {"role": "user", "parts": [{"text": "hello"}]}
CALLED = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "x"}}}]}
BAD = {
    "no contents": {"contents": []},
    "unknown member": {"contents": [USER], "messages": []},
    "unknown setting": {"contents": [USER], "generationConfig": {"max_tokens": 5}},
    "a role": {"contents": [{**USER, "role": "assistant"}]},
    "no parts": {"contents": [{"role": "user", "parts": []}]},
    "an empty text": {"contents": [{"role": "user", "parts": [{"text": ""}]}]},
    "two kinds of data": {"contents": [{"role": "user", "parts": [{"text": "x", "inlineData": {}}]}]},
    "data that is not base64": {
        "contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "%"}}]}]
    },
    "a result without its call": {"contents": [USER, RESULT]},
    "a call without its result": {"contents": [USER, CALLED, USER]},
    "arguments in a text": {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": "{}"}}]}]},
    "six stops": {"contents": [USER], "generationConfig": {"stopSequences": list("abcdef")}},
    "a level that it has not": {"contents": [USER], "generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}},
    "an effort": {"contents": [USER], "generationConfig": {"thinkingConfig": {"thinkingLevel": "low-ish"}}},
    "a schema without its type": {"contents": [USER], "generationConfig": {"responseJsonSchema": {}}},
    "a tool of OpenAI's": {"contents": [USER], "tools": [{"type": "function", "function": {"name": "f"}}]},
    "a choice without tools": {
        "contents": [USER],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    },
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_requests_are_looked_at_strictly(server, body):
    with client(server) as sdk, pytest.raises(errors.ClientError) as refused:
        sdk._api_client.request("post", f"models/{MODEL}:generateContent", body)

    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")


def test_newer_models_want_their_calls_signed(server):
    signed = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": base64.b64encode(b"mine").decode()}
    with client(server) as sdk:
        for model, part in itertools.product(("gemini-2.5-flash", "gemini-3-pro"), (CALLED["parts"][0], signed)):
            body = {"contents": [USER, {"role": "model", "parts": [part]}, RESULT]}
            fine = model == "gemini-2.5-flash" or part is signed
            try:
                sdk._api_client.request("post", f"models/{model}:generateContent", body)
                assert fine
            except errors.ClientError:
                assert not fine


def test_a_wrong_key_is_refused(server):
    with client(server, key="wrong") as sdk, pytest.raises(errors.ClientError) as refused:
        sdk.batches.list()

    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")
    assert refused.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"
