"""What users of the official OpenAI SDK rely on, step by step, with the SDK as it is."""

import io
import time
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import Batch, FileObject
from openai.types.containers import FileListResponse

from tests.support.batches import TERMINAL, chat_line, jsonl
from tests.support.server import LiveServer
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)


def put(sdk: OpenAI, data: bytes, name: str = "in.jsonl", purpose: Any = "batch") -> FileObject:
    return sdk.files.create(file=(name, io.BytesIO(data)), purpose=purpose)


def strict(model: Any, raw: Any) -> None:
    """The JSON itself, and not what the SDK made of it, is what its types say; our own fields come on top."""
    model.model_validate(raw.json(), strict=True)


def test_files(sdk: OpenAI) -> None:
    made = put(sdk, b'{"a": 1}\n', "notes.jsonl")
    assert (made.object, made.bytes, made.filename, made.purpose, made.status) == (
        "file", 9, "notes.jsonl", "batch", "processed",
    )  # fmt: skip
    assert made.expires_at == made.created_at + 30 * 24 * 3600
    strict(FileObject, sdk.files.with_raw_response.retrieve(made.id).http_response)
    assert sdk.files.content(made.id).read() == b'{"a": 1}\n'
    assert [file.id for file in sdk.files.list(purpose="batch", order="asc")] == [made.id]
    assert sdk.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError) as gone:
        sdk.files.retrieve(made.id)
    assert gone.value.request_id
    assert gone.value.request_id == gone.value.response.json()["event_id"]


def test_a_batch_from_upload_to_results(sdk: OpenAI, worker: None) -> None:
    lines = [chat_line(f"c{n}", f"question {n}") for n in range(9)]
    uploaded = put(sdk, jsonl([*lines, chat_line("bad", model="m", file_ids=["file-1"])]))
    batch = sdk.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"run": "7"}
    )
    until(lambda: sdk.batches.retrieve(batch.id).status in TERMINAL)
    over = sdk.batches.retrieve(batch.id)
    strict(Batch, sdk.batches.with_raw_response.retrieve(batch.id).http_response)
    assert (over.status, over.metadata) == ("completed", {"run": "7"})
    assert over.request_counts is not None
    assert (over.request_counts.total, over.request_counts.completed, over.request_counts.failed) == (10, 9, 1)
    assert over.usage is not None
    assert over.usage.total_tokens > 0
    assert over.output_file_id is not None
    assert over.error_file_id is not None
    assert len(sdk.files.content(over.output_file_id).text.splitlines()) == 9
    assert '"bad"' in sdk.files.content(over.error_file_id).text
    assert [listed.id for listed in sdk.batches.list(limit=1)] == [batch.id]
    with pytest.raises(openai.ConflictError):
        sdk.batches.cancel(batch.id)


def test_cancel(sdk: OpenAI) -> None:
    uploaded = put(sdk, jsonl([chat_line("a")]))
    batch = sdk.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert sdk.batches.cancel(batch.id).status == "cancelling"
    with pytest.raises(openai.ConflictError):
        sdk.files.delete(uploaded.id)


def test_uploads_in_parts(sdk: OpenAI) -> None:
    data = b"x" * 150_000
    upload = sdk.uploads.create(filename="big.txt", bytes=len(data), mime_type="text/plain", purpose="user_data")
    parts = [sdk.uploads.parts.create(upload.id, data=data[at : at + 50_000]) for at in range(0, len(data), 50_000)]
    done = sdk.uploads.complete(upload.id, part_ids=[part.id for part in parts])
    assert done.status == "completed"
    assert done.file is not None
    assert sdk.files.content(done.file.id).read() == data
    other = sdk.uploads.create(filename="b.txt", bytes=1, mime_type="text/plain", purpose="user_data")
    assert sdk.uploads.cancel(other.id).status == "cancelled"


def test_containers_and_their_files(sdk: OpenAI) -> None:
    uploaded = put(sdk, b"copied", "a.txt", "user_data")
    box = sdk.containers.create(name="box", file_ids=[uploaded.id], memory_limit="4g")
    assert (box.name, box.status, box.memory_limit) == ("box", "running", "4g")
    sent = sdk.containers.files.create(box.id, file=("b.txt", io.BytesIO(b"sent")))
    named = sdk.containers.files.create(box.id, file_id=uploaded.id)
    listed = list(sdk.containers.files.list(box.id, limit=2))
    assert [file.id for file in listed][:2] == [named.id, sent.id]
    assert len(listed) == 3
    strict(
        FileListResponse, sdk.containers.files.with_raw_response.retrieve(sent.id, container_id=box.id).http_response
    )
    assert sdk.containers.files.content.retrieve(sent.id, container_id=box.id).read() == b"sent"
    sdk.containers.files.delete(sent.id, container_id=box.id)
    assert [found.id for found in sdk.containers.list(name="box")] == [box.id]
    assert sdk.containers.retrieve(box.id).name == "box"
    sdk.containers.delete(box.id)
    with pytest.raises(openai.NotFoundError):
        sdk.containers.retrieve(box.id)


@pytest.mark.parametrize("sdk", ["/v1"], indirect=True)
def test_auto_paging_over_250_files_also_while_deleting_them(sdk: OpenAI) -> None:
    made = [put(sdk, b"x", "a.txt", "user_data").id for _ in range(255)]
    assert [file.id for file in sdk.files.list(limit=100)] == made[::-1]
    seen = []
    for file in sdk.files.list(limit=100):
        seen.append(file.id)
        sdk.files.delete(file.id)
    assert seen == made[::-1]
    assert list(sdk.files.list()) == []


@pytest.mark.parametrize("sdk", ["/v1", "/openai/v1 header"], indirect=True)
def test_models_and_refusals(sdk: OpenAI, live_server: LiveServer) -> None:
    assert isinstance(sdk.models.list().data, list)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.batches.create(input_file_id="file-x", endpoint="/v1/chat/completions", completion_window="24h")
    assert refused.value.param == "input_file_id"
    with (
        openai.OpenAI(base_url=f"{live_server.url}/v1", api_key="sk-bf-no-no", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.files.list()


@pytest.mark.parametrize(("endpoint", "deployment"), [("", None), ("/openai", None), ("", "gpt-5-batch")])
def test_the_azure_sdk(live_server: LiveServer, endpoint: str, deployment: str | None) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=live_server.url + endpoint,
        azure_deployment=deployment,
        api_key=live_server.key,
        api_version="2025-04-01-preview",
        max_retries=0,
    ) as azure:
        made = azure.files.create(file=("in.jsonl", jsonl([chat_line("a")])), purpose="batch")
        assert azure.files.retrieve(made.id).created_at <= time.time()
        batch = azure.batches.create(input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert azure.batches.cancel(batch.id).status == "cancelling"
        assert [listed.id for listed in azure.files.list()] == [made.id]
        box = azure.containers.create(name="box")
        assert azure.containers.retrieve(box.id).id == box.id
