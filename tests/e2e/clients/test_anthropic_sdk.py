"""What users of Anthropic's official SDK rely on, step by step, with the SDK as it is and nothing but a key."""

import io
from collections.abc import Iterator

import anthropic
import pytest
from anthropic import Anthropic

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.support.batches import CHAT, chat_line, jsonl, upload
from tests.support.batches import create as create_batch
from tests.support.server import LiveServer
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
WEATHER = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


@pytest.fixture
def sdk(live_server: LiveServer) -> Iterator[Anthropic]:
    with Anthropic(base_url=f"{live_server.url}/anthropic", api_key=live_server.key, max_retries=0) as client:
        yield client


def params(text: str, model: str = "m", **more: object) -> dict[str, object]:
    return {"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": text}], **more}


def ended(sdk: Anthropic, batch_id: str) -> None:
    until(lambda: sdk.messages.batches.retrieve(batch_id).processing_status == "ended")


@pytest.mark.one_database
def test_files(sdk: Anthropic) -> None:
    made = sdk.files.upload(file=("notes.txt", io.BytesIO(b"some notes"), "text/plain"))
    assert (made.type, made.filename, made.mime_type, made.size_bytes, made.expires_at) == (
        "file", "notes.txt", "text/plain", 10, None,
    )  # fmt: skip
    assert made.id.startswith("file_")
    assert sdk.files.retrieve_metadata(made.id) == made
    assert sdk.files.download(made.id).read() == b"some notes"
    kept = sdk.files.upload(file=("x.txt", b"x"), expires_in_seconds=3600)
    assert kept.expires_at is not None
    assert round((kept.expires_at - kept.created_at).total_seconds()) == 3600
    assert [file.id for file in sdk.files.list(ids=[made.id, "file_none"])] == [made.id]
    gone = sdk.files.delete(made.id)
    assert (gone.id, gone.type) == (made.id, "file_deleted")
    with pytest.raises(anthropic.NotFoundError) as error:
        sdk.files.retrieve_metadata(made.id)
    assert error.value.request_id == error.value.response.json()["request_id"]
    assert error.value.body["error"]["type"] == "not_found_error"


def test_lists_go_on_by_themselves_in_both_directions(sdk: Anthropic) -> None:
    names = [f"{number:03}.txt" for number in range(45)]
    for name in names:
        sdk.files.upload(file=(name, b"x"))
    assert [file.filename for file in sdk.files.list(limit=20)] == names[::-1]
    first = sdk.files.list(limit=20)
    assert (len(first.data), first.has_next_page()) == (20, True)
    made = [sdk.messages.batches.create(requests=[{"custom_id": "a", "params": params(str(n))}]).id for n in range(5)]
    assert [batch.id for batch in sdk.messages.batches.list(limit=2)] == made[::-1]
    assert [batch.id for batch in sdk.messages.batches.list(limit=2, after_id=made[3])] == made[2::-1]
    newer = sdk.messages.batches.list(limit=2, before_id=made[1])
    assert [batch.id for batch in newer.data] == [made[3], made[2]]
    assert [batch.id for batch in newer] == [made[3], made[2], made[4]]


def test_a_batch_from_requests_to_results(sdk: Anthropic, worker: None) -> None:
    requests = [{"custom_id": f"c{n}", "params": params(f"question {n}")} for n in range(4)]
    requests.append({"custom_id": "tool", "params": params("call-tool weather", tools=[WEATHER])})
    requests.append({"custom_id": "bad", "params": params("refuse-this")})
    made = sdk.messages.batches.create(requests=requests)
    assert (made.type, made.processing_status, made.results_url) == ("message_batch", "in_progress", None)
    assert made.id.startswith("msgbatch_")
    with pytest.raises(anthropic.AnthropicError):
        sdk.messages.batches.results(made.id)
    ended(sdk, made.id)
    over = sdk.messages.batches.retrieve(made.id)
    assert (over.request_counts.succeeded, over.request_counts.errored, over.request_counts.processing) == (5, 1, 0)
    assert over.ended_at is not None
    by_id = {row.custom_id: row.result for row in sdk.messages.batches.results(made.id)}
    assert set(by_id) == {request["custom_id"] for request in requests}
    for n in range(4):
        result = by_id[f"c{n}"]
        assert result.type == "succeeded"
        assert result.message.role == "assistant"
        assert result.message.content[0].type == "text"
        assert result.message.usage.output_tokens > 0
    assert by_id["bad"].type == "errored"
    assert by_id["bad"].error.error.type == "invalid_request_error"
    gone = sdk.messages.batches.delete(made.id)
    assert (gone.id, gone.type) == (made.id, "message_batch_deleted")


def test_a_batch_of_chat_lines_has_messages_as_results(
    sdk: Anthropic, client: KeyClient, live_server: LiveServer, gateway: Gateway, worker: None
) -> None:
    client.key = live_server.key
    made = create_batch(client, jsonl([chat_line("a", "hello"), chat_line("b", "refuse-this")]), endpoint=CHAT)
    shown = made["id"].replace("batch_", "msgbatch_")
    ended(sdk, shown)
    assert client.get(f"/v1/batches/{shown}").json["id"] == made["id"]
    by_id = {row.custom_id: row.result for row in sdk.messages.batches.results(shown)}
    assert by_id["a"].type == "succeeded"
    [block] = by_id["a"].message.content
    answered = client.get(f"/v1/batches/{made['id']}/results").text.splitlines()
    assert block.text in answered[0]
    assert by_id["b"].type == "errored"


@pytest.mark.one_database
def test_cancel_and_errors_of_each_class(sdk: Anthropic, live_server: LiveServer) -> None:
    made = sdk.messages.batches.create(requests=[{"custom_id": "a", "params": params("x")}])
    with pytest.raises(anthropic.BadRequestError, match="end before deleting"):
        sdk.messages.batches.delete(made.id)
    for _ in range(2):
        assert sdk.messages.batches.cancel(made.id).processing_status == "canceling"
    same = [{"custom_id": "a", "params": params("x")}] * 2
    for requests, field in (
        ([], "requests"),
        (same, r"requests\.1\.custom_id"),
        ([{"custom_id": "a b", "params": params("x")}], r"requests\.0\.custom_id"),
        ([{"custom_id": "a", "params": params("x"), "more": 1}], r"requests\.0"),
        (
            [{"custom_id": n, "params": params("x", model)} for n, model in (("a", "openai/m"), ("b", "m"))],
            r"requests\.1\.params\.model",
        ),
    ):
        with pytest.raises(anthropic.BadRequestError, match=field) as error:
            sdk.messages.batches.create(requests=requests)
        assert error.value.body["error"]["type"] == "invalid_request_error"
    with pytest.raises(anthropic.NotFoundError):
        sdk.messages.batches.retrieve("msgbatch_none")
    wrong = Anthropic(base_url=f"{live_server.url}/anthropic", api_key="sk-bf-no-key", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError) as refused:
        wrong.files.list()
    assert refused.value.body["error"]["type"] == "authentication_error"
    with pytest.raises(anthropic.NotFoundError) as unknown:
        sdk.get("/v1/skills", cast_to=object)
    assert unknown.value.body["type"] == "error"


@pytest.mark.one_database
def test_models(sdk: Anthropic, fake: object) -> None:
    listed = [model.id for model in sdk.models.list(limit=1)]
    assert listed == sorted(listed)
    if listed:
        assert sdk.models.retrieve(listed[0]).id == listed[0]
    with pytest.raises(anthropic.NotFoundError):
        sdk.models.retrieve("none")


@pytest.mark.one_database
def test_a_batch_of_embeddings_is_listed_and_its_results_are_elsewhere(
    sdk: Anthropic, client: KeyClient, live_server: LiveServer, worker: None
) -> None:
    client.key = live_server.key
    lines = [{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": "x"}}]
    made = create_batch(client, jsonl(lines), endpoint="/v1/embeddings")
    shown = made["id"].replace("batch_", "msgbatch_")
    ended(sdk, shown)
    assert [batch.id for batch in sdk.messages.batches.list()] == [shown]
    with pytest.raises(anthropic.BadRequestError, match=f"/v1/batches/{made['id']}/results"):
        sdk.messages.batches.results(shown)


@pytest.mark.one_database
def test_ids_of_either_form_name_the_same_object_wherever_they_stand(
    sdk: Anthropic, client: KeyClient, live_server: LiveServer, worker: None
) -> None:
    client.key = live_server.key
    line = chat_line("a")
    theirs = [sdk.files.upload(file=(f"{n}.txt", b"some notes", "text/plain")).id for n in range(2)]
    ours = [name.replace("file_", "file-") for name in theirs]
    assert [file["id"] for file in client.get(f"/v1/files?after={theirs[1]}").json["data"]] == [ours[0]]
    assert client.get(f"/v1/files/{theirs[0]}/content").data == b"some notes"
    assert sdk.files.retrieve_metadata(ours[0]).id == theirs[0]
    source = upload(client, jsonl([line])).replace("file-", "file_")
    made = client.post("/v1/batches", json={"input_file_id": source, "endpoint": CHAT, "completion_window": "24h"}).json
    assert made["input_file_id"] == source.replace("file_", "file-")
    document = {"type": "document", "source": {"type": "file", "file_id": theirs[0]}}
    asked = params("", messages=[{"role": "user", "content": [{"type": "text", "text": "what?"}, document]}])
    batch = sdk.messages.batches.create(requests=[{"custom_id": "a", "params": asked}])
    ended(sdk, batch.id)
    [row] = sdk.messages.batches.results(batch.id)
    assert row.result.type == "succeeded", row
    assert [each.id for each in sdk.messages.batches.list(after_id=made["id"])] == []
