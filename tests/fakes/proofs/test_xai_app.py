"""The fake against the shapes of the contract, written out here, and xAI's files against OpenAI's SDK.

`xai-sdk` speaks gRPC only, so it can prove nothing of the REST surface.
"""

import httpx2 as httpx
import openai
import orjson
import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.dataclasses import dataclass

from tests.fakes.serving import ServedApp
from tests.fakes.xai_app import XAIApp

KEY = "xai-right"
STRICT = ConfigDict(extra="forbid")


@dataclass(config=STRICT)
class State:
    num_requests: int
    num_pending: int
    num_success: int
    num_error: int
    num_cancelled: int


class Batch(BaseModel):
    """The names and types of `Batch` in xai-sdk's protobuf, in JSON."""

    model_config = STRICT

    batch_id: str
    name: str
    create_time: AwareDatetime
    expire_time: AwareDatetime
    cancel_time: AwareDatetime | None
    cancel_by_xai_message: str | None
    create_api_key_id: str
    state: State
    cost_breakdown: dict[str, object]
    input_file_id: str


class File(BaseModel):
    model_config = STRICT

    id: str
    object: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    expires_at: int | None = None


class Page(BaseModel):
    model_config = STRICT

    data: list[File] | None = None
    batches: list[Batch] | None = None
    results: list[dict[str, object]] | None = None
    pagination_token: str | None


def line(number, text, *, url="/v1/chat/completions"):
    body = {"model": "grok-4", "messages": [{"role": "user", "content": text}]}
    if url == "/v1/responses":
        body = {"model": "grok-4-fast", "input": text}
    return orjson.dumps({"custom_id": f"line-{number}", "method": "POST", "url": url, "body": body}) + b"\n"


@pytest.fixture
def app():
    return XAIApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.base_url, headers={"Authorization": f"Bearer {KEY}"}) as http:
        yield http


def strictly(kind, answer, status=200):
    assert answer.status_code == status, answer.text
    return kind.model_validate_json(answer.content, strict=True)


def upload(http, data, **form):
    return strictly(File, http.post("/files", files={"file": ("in.jsonl", data)}, data={"purpose": "batch", **form}))


def test_the_openai_sdk_gets_along_with_its_files(server):
    with openai.OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0) as sdk:
        made = sdk.files.create(file=("in.jsonl", b"{}\n"), purpose="batch")

        assert (made.purpose, made.bytes, made.filename) == ("", 3, "in.jsonl")
        assert sdk.files.retrieve(made.id).id == made.id
        assert [file.id for file in sdk.files.list().data] == [made.id]
        assert sdk.files.content(made.id).content == b"{}\n"
        assert sdk.files.delete(made.id).deleted
        with pytest.raises(openai.NotFoundError):
            sdk.files.retrieve(made.id)


def test_files_match_the_contract_and_page_by_token(http):
    made = [upload(http, b"{}\n", expires_after="3600").id for _ in range(3)]

    first = strictly(Page, http.get("/files", params={"limit": 2}))
    rest = strictly(Page, http.get("/files", params={"limit": 2, "pagination_token": first.pagination_token}))

    assert [file.id for file in (*first.data, *rest.data)] == made[::-1]
    assert rest.pagination_token is None
    assert first.data[0].expires_at == first.data[0].created_at + 3600


def test_a_batch_runs_lines_of_several_urls_and_models(http):
    data = line(1, "one") + line(2, "please refuse-this") + line(3, "three", url="/v1/responses")
    source = upload(http, data)
    made = strictly(Batch, http.post("/batches", json={"name": "mine", "input_file_id": source.id}))
    seen = [strictly(Batch, http.get(f"/batches/{made.batch_id}")) for _ in range(2)]

    results = strictly(Page, http.get(f"/batches/{made.batch_id}/results", params={"limit": 2}))
    more = strictly(
        Page, http.get(f"/batches/{made.batch_id}/results", params={"pagination_token": results.pagination_token})
    )

    assert made.state == State(0, 0, 0, 0, 0) and made.input_file_id == source.id
    assert [batch.state for batch in seen] == [State(3, 3, 0, 0, 0), State(3, 0, 2, 1, 0)]
    assert strictly(Page, http.get("/batches")).batches == seen[1:]
    rows = {row["batch_request_id"]: row["batch_result"] for row in (*results.results, *more.results)}
    assert rows["line-1"]["response"]["chat_get_completion"]["model"] == "grok-4"
    assert rows["line-2"] == {"error": {"code": 3, "message": "The prompt was refused."}}
    assert rows["line-3"]["response"]["responses"]["model"] == "grok-4-fast"
    assert more.pagination_token is None


def test_a_batch_is_cancelled_by_its_verb(app, http):
    app.looks_to_end = None
    source = upload(http, line(1, "one"))
    made = strictly(Batch, http.post("/batches", json={"name": "mine", "input_file_id": source.id}))
    strictly(Batch, http.get(f"/batches/{made.batch_id}"))

    asked = strictly(Batch, http.post(f"/batches/{made.batch_id}:cancel"))
    ended = strictly(Batch, http.get(f"/batches/{made.batch_id}"))

    assert asked.cancel_time is not None and asked.state.num_pending == 1
    assert ended.state == State(1, 0, 0, 0, 1)


def test_a_wrong_key_is_refused(server):
    answer = httpx.get(f"{server.base_url}/files", headers={"Authorization": "Bearer wrong"})

    assert answer.status_code == 401
    assert set(answer.json()) == {"code", "error"}
