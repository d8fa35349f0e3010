"""The fake is proven with OpenRouter's SDK, and its answers strictly against the SDK's types."""

import httpx2 as httpx
import pytest
from openrouter import OpenRouter, components, errors
from openrouter.utils.retries import RetryConfig

from tests.fakes.openrouter_app import OpenRouterApp
from tests.fakes.serving import ServedApp

KEY = "sk-or-right"
CHAT = "/v1/chat/completions"
MODEL = "openai/gpt-5-mini"
ONCE = RetryConfig("none", None, False)


@pytest.fixture
def app():
    return OpenRouterApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def sdk(server):
    with OpenRouter(api_key=KEY, server_url=f"{server.url}/api/v1", retry_config=ONCE) as sdk:
        yield sdk


@pytest.fixture
def http(server):
    with httpx.Client(base_url=f"{server.url}/api/v1", headers={"Authorization": f"Bearer {KEY}"}) as http:
        yield http


def strictly(kind, answer):
    """The JSON of `answer` as `kind`, no field left over."""
    assert set(answer.json()) == {field.alias or name for name, field in kind.model_fields.items()}
    return kind.model_validate_json(answer.content, strict=True)


def request(number, text):
    return {"custom_id": f"line-{number}", "body": {"messages": [{"role": "user", "content": text}]}}


def create(sdk, *texts):
    requests = [request(number, text) for number, text in enumerate(texts, 1)]
    return sdk.batch.create_batches(endpoint=CHAT, model=MODEL, requests=requests)


def test_a_batch_carries_its_lines_and_its_results(sdk, http):
    made = create(sdk, "one", "please refuse-this")
    path = f"/batches/{made.id}"
    running, ended = (strictly(components.BatchObject, http.get(path)) for _ in range(2))

    assert (made.status, made.results, made.request_counts.total) == ("validating", None, 2)
    assert (running.status, running.results) == ("in_progress", None)
    assert (ended.status, ended.request_counts.completed, ended.request_counts.failed) == ("completed", 1, 1)
    rows = {row.custom_id: row for row in ended.results}
    assert rows["line-1"].response.body.choices[0].message.content.endswith("you said: one")
    assert (rows["line-2"].response, rows["line-2"].error.message) == (None, "The prompt was refused.")
    assert sdk.batch.get_batches(id=made.id).usage.total_tokens > 0


def test_batches_are_listed_without_results_and_page_by_id(sdk, http):
    made = [create(sdk, "one").id for _ in range(3)]
    http.get(f"/batches/{made[0]}")
    http.get(f"/batches/{made[0]}")

    page = strictly(components.BatchListResponse, http.get("/batches", params={"limit": 2}))
    rest = sdk.batch.list(limit=2, after=page.last_id)

    assert page.has_more and [item.id for item in page.data] == [made[2], made[1]]
    assert [(item.id, item.results) for item in rest.result.data] == [(made[0], None)]


def test_only_a_batch_that_is_over_is_deleted(sdk, http):
    made = create(sdk, "one")

    with pytest.raises(errors.OpenRouterError) as early:
        sdk.batch.delete(id=made.id)
    for _ in range(2):
        sdk.batch.get_batches(id=made.id)
    gone = strictly(components.BatchDeletedObject, http.delete(f"/batches/{made.id}"))

    assert early.value.status_code == 409
    assert gone.deletion.openrouter == "deleted"
    with pytest.raises(errors.OpenRouterError) as missing:
        sdk.batch.get_batches(id=made.id)
    assert missing.value.status_code == 404


def test_a_new_batch_may_not_be_seen_at_once(app, sdk):
    app.looks_until_seen = 1
    made = create(sdk, "one")

    with pytest.raises(errors.OpenRouterError):
        sdk.batch.get_batches(id=made.id)
    assert sdk.batch.get_batches(id=made.id).id == made.id


def test_the_requests_come_last(http):
    body = b'{"requests":[],"endpoint":"/v1/chat/completions","model":"m"}'

    answer = http.post("/batches", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert strictly(errors.BatchErrorResponseData, answer).error.code == 400


@pytest.mark.parametrize("shape", ["openrouter", "openai"])
def test_files_come_in_the_shape_that_is_negotiated(app, sdk, http, shape):
    app.file_shape = shape
    made = sdk.files.upload(file={"file_name": "a.txt", "content": b"hello", "content_type": "text/plain"})
    file, listed = {
        "openrouter": (components.OpenRouterFile, components.OpenRouterFileList),
        "openai": (components.OpenAIFile, components.OpenAIFileList),
    }[shape]

    assert strictly(file, http.get(f"/files/{made.id}")) == sdk.files.retrieve(file_id=made.id) == made
    assert [item.id for item in strictly(listed, http.get("/files")).data] == [made.id]
    with pytest.raises(errors.BadRequestResponseError):
        sdk.files.download(file_id=made.id)
    app.files[made.id].fields["downloadable"] = True
    assert sdk.files.download(file_id=made.id).read() == b"hello"
    assert sdk.files.delete(file_id=made.id).id == made.id
    with pytest.raises(errors.NotFoundResponseError):
        sdk.files.retrieve(file_id=made.id)


def test_files_of_containers_are_read_only(app, sdk, http):
    app.containers["cntr_1"] = {"/mnt/data/a.txt": b"hello", "/mnt/data/b.txt": b"bye"}

    page = strictly(components.ContainerFileListResponse, http.get("/containers/cntr_1/files", params={"limit": 1}))
    rest = sdk.containers.list_container_files(container_id="cntr_1", after=page.last_id)
    file = strictly(components.ContainerFile, http.get(f"/containers/cntr_1/files/{page.last_id}"))

    assert page.has_more and page.data == [file]
    assert [item.path for item in rest.data] == ["/mnt/data/b.txt"]
    assert sdk.containers.download_container_file_content(container_id="cntr_1", file_id=file.id).read() == b"hello"


def test_a_wrong_key_is_refused(server):
    with (
        OpenRouter(api_key="wrong", server_url=f"{server.url}/api/v1", retry_config=ONCE) as sdk,
        pytest.raises(errors.OpenRouterError) as refused,
    ):
        sdk.batch.list()

    assert refused.value.status_code == 401
