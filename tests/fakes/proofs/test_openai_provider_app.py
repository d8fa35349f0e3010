"""The fake of OpenAI's shapes is proven with the official SDKs, its answers strictly against their types."""

import groq
import openai
import orjson
import perplexity
import pytest
from cerebras.cloud.sdk import Cerebras
from groq.types import (
    BatchCreateResponse,
    BatchListResponse,
    FileCreateResponse,
    FileInfoResponse,
    FileListResponse,
)
from groq.types import FileDeleteResponse as GroqFileDeleted
from openai.types import Batch, ContainerCreateResponse, ContainerListResponse, FileDeleted, FileObject
from openai.types.chat import ChatCompletion
from openai.types.containers import FileCreateResponse as ContainerFile

from tests.fakes.openai_provider_app import provider_app
from tests.fakes.openai_quirks import CHAT, QUIRKS, RESPONSES
from tests.fakes.provider_app import to_json_lines
from tests.fakes.serving import ServedApp

KEY = "sk-test"
SHAPED = [name for name in QUIRKS if name != "azure"]


def line(name, text="Hello", *, url=CHAT, model="m-1", **changes):
    body = {"model": model}
    body |= {"input": text} if url == RESPONSES else {"messages": [{"role": "user", "content": text}]}
    return {"custom_id": name, "method": "POST", "url": url, "body": body, **changes}


def strictly(kind, raw):
    return kind.model_validate(raw.http_response.json(), strict=True)


@pytest.fixture
def provider(request):
    return getattr(request, "param", "openai")


@pytest.fixture
def fake(provider):
    return provider_app(provider, api_key=KEY)


@pytest.fixture
def server(fake):
    with ServedApp(fake) as server:
        yield server


@pytest.fixture
def sdk(server, fake):
    with openai.OpenAI(base_url=server.url + fake.quirks.prefix, api_key=KEY, max_retries=0) as client:
        yield client


def upload(sdk, lines, **more):
    return sdk.files.create(file=("in.jsonl", to_json_lines(lines)), purpose="batch", **more)


def run(sdk, lines, *, url=CHAT, looks=2):
    batch = sdk.batches.create(input_file_id=upload(sdk, lines).id, endpoint=url, completion_window="24h")
    for _ in range(looks):
        batch = sdk.batches.retrieve(batch.id)
    return batch


def rows(sdk, file_id):
    return {row["custom_id"]: row for row in map(orjson.loads, sdk.files.content(file_id).read().splitlines())}


@pytest.mark.parametrize("provider", SHAPED, indirect=True)
def test_a_batch_runs_at_every_provider(provider, fake, sdk):
    url = fake.quirks.endpoints[0]

    batch = run(sdk, [line("a", "one", url=url), line("b", "two", url=url)], url=url)

    assert batch.status == "completed"
    assert batch.request_counts.model_dump() == {"total": 2, "completed": 2, "failed": 0}
    found = rows(sdk, batch.output_file_id)
    assert {row["response"]["status_code"] for row in found.values()} == {200}
    assert sorted(found) == ["a", "b"]
    assert [file.purpose for file in sdk.files.list(purpose="batch").data] == ["batch"]
    sdk.files.delete(batch.input_file_id)
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve(batch.input_file_id)


def test_objects_match_the_sdk_types(sdk):
    raw = sdk.files.with_raw_response.create(
        file=("in.jsonl", to_json_lines([line("a"), line("b", "refuse-this")])),
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    file = strictly(FileObject, raw)
    batch = strictly(
        Batch,
        sdk.batches.with_raw_response.create(
            input_file_id=file.id,
            endpoint=CHAT,
            completion_window="24h",
            metadata={"team": "x"},
            output_expires_after={"anchor": "created_at", "seconds": 7200},
        ),
    )
    for state in ("in_progress", "completed"):
        batch = strictly(Batch, sdk.batches.with_raw_response.retrieve(batch.id))
        assert batch.status == state

    assert file.expires_at == file.created_at + 3600
    assert batch.metadata == {"team": "x"} and batch.usage.total_tokens > 0
    output = strictly(FileObject, sdk.files.with_raw_response.retrieve(batch.output_file_id))
    assert output.expires_at - output.created_at == 7200
    good, bad = rows(sdk, batch.output_file_id)["a"], rows(sdk, batch.error_file_id)["b"]
    ChatCompletion.model_validate(good["response"]["body"], strict=True)
    assert bad["response"]["status_code"] == 400 and bad["error"] is None
    assert strictly(FileDeleted, sdk.files.with_raw_response.delete(file.id)).deleted


def test_lists_page_through_everything(sdk):
    files = [upload(sdk, [line("a")]).id for _ in range(5)]
    batches = [sdk.batches.create(input_file_id=files[0], endpoint=CHAT, completion_window="24h").id for _ in range(5)]
    containers = [sdk.containers.create(name=f"c{n}").id for n in range(5)]

    assert [file.id for file in sdk.files.list(limit=2)] == files[::-1]
    assert [file.id for file in sdk.files.list(limit=2, order="asc")] == files
    assert [batch.id for batch in sdk.batches.list(limit=2)] == batches[::-1]
    assert [found.id for found in sdk.containers.list(limit=2)] == containers[::-1]
    assert [found.name for found in sdk.containers.list(name="c3")] == ["c3"]
    assert sdk.files.list(purpose="vision").data == []


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        ([line("a"), line("a")], "duplicate_custom_id", 2),
        ([line("a"), line("b", model="m-2")], "mismatched_model", 2),
        ([line("a", url="/v1/embeddings")], "invalid_url", 1),
        ([line("a", body={"messages": []})], "invalid_request", 1),
        ([{"custom_id": "a"}], "missing_required_parameter", 1),
        ([], "empty_file", None),
    ],
)
def test_a_wrong_input_fails_the_batch_later(sdk, lines, code, number):
    batch = run(sdk, lines, looks=1)

    assert batch.status == "failed" and batch.failed_at
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert [(error.code, error.line) for error in batch.errors.data] == [(code, number)]


@pytest.mark.parametrize(
    "change", [{"endpoint": "/v1/other"}, {"completion_window": "1h"}, {"metadata": {str(n): "" for n in range(17)}}]
)
def test_a_wrong_batch_is_refused_at_once(sdk, change):
    asked = {"input_file_id": upload(sdk, [line("a")]).id, "endpoint": CHAT, "completion_window": "24h", **change}

    with pytest.raises(openai.BadRequestError):
        sdk.batches.create(**asked)


def test_a_cancelled_batch_keeps_what_ran(sdk, fake):
    fake.looks_to_end, fake.ran_before_end = None, 1
    batch = run(sdk, [line("a"), line("b")], looks=1)

    assert sdk.batches.cancel(batch.id).status == "cancelling"
    batch = strictly(Batch, sdk.batches.with_raw_response.retrieve(batch.id))

    assert batch.status == "cancelled"
    assert list(rows(sdk, batch.output_file_id)) == ["a"]
    assert rows(sdk, batch.error_file_id)["b"]["error"]["code"] == "batch_cancelled"
    with pytest.raises(openai.ConflictError):
        sdk.batches.cancel(batch.id)


def test_an_expired_batch_tells_what_did_not_run(sdk, fake):
    fake.looks_to_end = None
    batch = run(sdk, [line("a")], looks=1)
    fake.end(fake.job(batch.id), "expired")

    batch = sdk.batches.retrieve(batch.id)

    assert batch.status == "expired" and batch.expired_at
    assert rows(sdk, batch.error_file_id)["a"]["error"]["code"] == "batch_expired"


def test_containers_and_their_files_match_the_sdk_types(sdk, fake):
    raw = sdk.containers.with_raw_response.create(
        name="box",
        memory_limit="4g",
        expires_after={"anchor": "last_active_at", "minutes": 10},
        network_policy={"type": "allowlist", "allowed_domains": ["example.com"]},
    )
    box = strictly(ContainerCreateResponse, raw)
    put = strictly(ContainerFile, sdk.containers.files.with_raw_response.create(box.id, file=("a.txt", b"abc")))
    file = sdk.files.create(file=("b.txt", b"from files"), purpose="user_data")
    copied = strictly(ContainerFile, sdk.containers.files.with_raw_response.create(box.id, file_id=file.id))
    made = fake.put(box.id, "/mnt/data/plot.png", b"png")

    assert box.memory_limit == "4g" and box.network_policy.allowed_domains == ["example.com"]
    assert (put.source, put.path[-6:]) == ("user", "-a.txt")
    listed = [found.id for found in sdk.containers.files.list(box.id, limit=2)]
    assert listed == [made["id"], copied.id, put.id]
    assert sdk.containers.files.retrieve(made["id"], container_id=box.id).source == "assistant"
    assert sdk.containers.files.content.retrieve(copied.id, container_id=box.id).read() == b"from files"
    assert sdk.containers.files.delete(put.id, container_id=box.id) is None
    strictly(ContainerListResponse, _only(sdk.containers.with_raw_response.list()))
    fake.expire(box.id)
    assert sdk.containers.retrieve(box.id).status == "expired"
    assert sdk.containers.delete(box.id) is None
    with pytest.raises(openai.NotFoundError):
        sdk.containers.retrieve(box.id)


def _only(raw):
    class First:
        class http_response:  # noqa: N801
            @staticmethod
            def json():
                return raw.http_response.json()["data"][0]

    return First


@pytest.mark.parametrize("provider", ["groq"], indirect=True)
def test_groq_answers_its_own_sdk(provider, server):
    with groq.Groq(base_url=server.url, api_key=KEY, max_retries=0) as sdk:
        raw = sdk.files.with_raw_response.create(file=("in.jsonl", to_json_lines([line("a")])), purpose="batch")
        file = _strictly_groq(FileCreateResponse, raw)
        raw = sdk.batches.with_raw_response.create(
            input_file_id=file.id, endpoint=CHAT, completion_window="7d", metadata={"a": "b"}
        )
        batch = _strictly_groq(BatchCreateResponse, raw)
        sdk.batches.retrieve(batch.id)
        batch = sdk.batches.retrieve(batch.id)

        assert batch.status == "completed"
        assert orjson.loads(sdk.files.content(batch.output_file_id).read())["custom_id"] == "a"
        assert _strictly_groq(FileInfoResponse, sdk.files.with_raw_response.info(file.id)).bytes > 0
        assert len(_strictly_groq(FileListResponse, sdk.files.with_raw_response.list()).data) == 2
        assert len(_strictly_groq(BatchListResponse, sdk.batches.with_raw_response.list()).data) == 1
        assert _strictly_groq(GroqFileDeleted, sdk.files.with_raw_response.delete(file.id)).deleted
        said = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert said.choices[0].message.content.endswith("you said: hi")
        with pytest.raises(groq.ConflictError):
            sdk.batches.cancel(batch.id)


def _strictly_groq(kind, raw):
    return kind.model_validate_json(raw.http_response.content, strict=True)


@pytest.mark.parametrize("provider", ["deepinfra"], indirect=True)
def test_deepinfra_has_rows_and_numbers_of_its_own(provider, sdk, fake):
    batch = run(sdk, [line("a"), line("b", "refuse-this")])
    empty = run(sdk, [line("a")])
    failed = run(sdk, [line("a"), line("a")], looks=1)

    assert batch.output_file_id == f"{batch.id}_output"
    error = rows(sdk, batch.error_file_id)["b"]
    assert error["response"] is None and error["error"]["code"] == "400"
    assert sdk.files.content(empty.error_file_id).read() == b""
    assert [(error.code, error.line) for error in failed.errors.data] == [("duplicate_custom_id", 1)]
    with pytest.raises(openai.BadRequestError) as refusal:
        sdk.batches.cancel(batch.id)
    assert refusal.value.body == {"detail": "Cannot cancel a batch with status 'completed'."}


@pytest.mark.parametrize("provider", ["perplexity"], indirect=True)
def test_perplexity_checks_lines_at_upload_and_takes_no_expiry(provider, sdk):
    with pytest.raises(openai.BadRequestError, match="not a request"):
        sdk.files.create(file=("in.jsonl", b"{bad\n"), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="expires_after"):
        upload(sdk, [line("a", url=RESPONSES)], expires_after={"anchor": "created_at", "seconds": 3600})


def test_a_bad_key_is_refused_with_the_key_in_the_text(server, fake):
    with (
        openai.OpenAI(base_url=server.base_url, api_key="sk-other", max_retries=0) as sdk,
        pytest.raises(openai.AuthenticationError, match="sk-other"),
    ):
        sdk.files.list()


@pytest.mark.parametrize("provider", ["cerebras"], indirect=True)
def test_cerebras_answers_its_own_sdk_that_knows_lines_only(server):
    with Cerebras(base_url=server.url, api_key=KEY, warm_tcp_connection=False, max_retries=0) as sdk:
        said = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])

    assert said.choices[0].message.content.endswith("you said: hi")


@pytest.mark.parametrize("provider", ["perplexity"], indirect=True)
def test_perplexity_answers_its_own_sdk_that_knows_lines_only(provider, server):
    with perplexity.Perplexity(base_url=server.url, api_key=KEY, max_retries=0) as sdk:
        said = sdk.responses.create(model="m", input="hi")
        sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])

    assert said.output[0].content[0].text.endswith("you said: hi")
    assert [request.path for request in server.requests] == ["/v1/responses", "/chat/completions"]
