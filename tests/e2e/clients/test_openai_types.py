"""Every answer held against the official SDK's own types, strictly: no field missing, none of another type."""

import asyncio
import hashlib
import io
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.pagination import SyncCursorPage, SyncPage
from openai.types import (
    Batch,
    ContainerCreateResponse,
    ContainerListResponse,
    ContainerRetrieveResponse,
    FileDeleted,
    FileObject,
    Model,
    Upload,
)
from openai.types.containers import FileCreateResponse, FileListResponse, FileRetrieveResponse
from openai.types.uploads import UploadPart

from tests.support.batches import CHAT, TERMINAL, chat_line, jsonl
from tests.support.server import LiveServer
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
ONCE = pytest.mark.parametrize("sdk", ["/v1"], indirect=True)


def strict(model: Any, raw: Any) -> Any:
    """The JSON of the answer, and not what the SDK made of it, as `model`."""
    model.model_validate(raw.http_response.json(), strict=True)
    assert raw.headers["x-request-id"].startswith("req_")
    return raw.parse()


@ONCE
def test_files(sdk: OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "räum.txt"
    path.write_bytes(b"from a path")
    raw = sdk.files.with_raw_response
    from_path = strict(FileObject, raw.create(file=path, purpose="user_data"))
    from_bytes = strict(FileObject, raw.create(file=b"bytes alone", purpose="assistants"))
    typed = strict(FileObject, raw.create(file=("a b.png", io.BytesIO(b"\x89PNG"), "image/png"), purpose="vision"))
    expiring = strict(
        FileObject,
        raw.create(file=("a.txt", b"x"), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}),
    )
    made = [from_path, from_bytes, typed, expiring]
    assert [file.filename for file in made] == ["räum.txt", "upload", "a b.png", "a.txt"]
    assert [file.expires_at for file in made] == [None, None, None, expiring.created_at + 3600]
    for file in made:
        strict(FileObject, raw.retrieve(file.id))
    page = strict(SyncCursorPage[FileObject], raw.list(limit=3, order="asc"))
    assert [file.id for file in page.data] == [file.id for file in made[:3]]
    assert [file.id for file in page.get_next_page().data] == [expiring.id]
    assert sdk.files.content(from_path.id).read() == b"from a path"
    with sdk.files.with_streaming_response.content(typed.id) as streamed:
        assert streamed.read() == b"\x89PNG"
    assert strict(FileDeleted, raw.delete(typed.id)).deleted is True


@ONCE
def test_uploads(sdk: OpenAI, tmp_path: Path) -> None:
    raw, data = sdk.uploads.with_raw_response, jsonl([chat_line(f"c{n}") for n in range(1000)])
    upload = strict(Upload, raw.create(filename="in.jsonl", bytes=len(data), mime_type="text/jsonl", purpose="batch"))
    add = sdk.uploads.parts.with_raw_response.create
    parts = [strict(UploadPart, add(upload.id, data=piece)) for piece in (data[:50_000], data[50_000:])]
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    done = strict(Upload, raw.complete(upload.id, part_ids=[part.id for part in parts], md5=digest))
    assert done.status == "completed"
    with pytest.raises(openai.ConflictError):
        sdk.uploads.cancel(upload.id)
    other = sdk.uploads.create(filename="b.txt", bytes=1, mime_type="text/plain", purpose="user_data")
    assert strict(Upload, raw.cancel(other.id)).status == "cancelled"
    path = tmp_path / "chunked.jsonl"
    path.write_bytes(data)
    by_path = sdk.uploads.upload_file_chunked(file=path, mime_type="text/jsonl", purpose="batch", part_size=40_000)
    in_memory = sdk.uploads.upload_file_chunked(
        file=data, filename="m.jsonl", bytes=len(data), mime_type="text/jsonl", purpose="batch", md5=digest
    )
    for finished in (done, by_path, in_memory):
        assert finished.file is not None
        assert sdk.files.content(finished.file.id).read() == data


@ONCE
def test_batches(sdk: OpenAI, worker: None) -> None:
    raw = sdk.batches.with_raw_response
    uploaded = sdk.files.create(file=("in.jsonl", jsonl([chat_line("a"), {"custom_id": "b"}])), purpose="batch")
    sound = sdk.files.create(file=("in.jsonl", jsonl([chat_line("a")])), purpose="batch")
    seen: list[Batch] = []
    for file in (uploaded, sound):
        made = strict(Batch, raw.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h"))
        until(lambda made=made: strict(Batch, raw.retrieve(made.id)).status in TERMINAL)  # type: ignore[misc]
        seen.append(sdk.batches.retrieve(made.id))
    failed, completed = seen
    assert (failed.status, completed.status) == ("failed", "completed")
    assert failed.errors is not None
    assert failed.errors.data
    assert failed.errors.data[0].line == 2
    page = strict(SyncCursorPage[Batch], raw.list(limit=1))
    assert [batch.id for batch in page] == [completed.id, failed.id]
    assert completed.output_file_id is not None
    output = strict(FileObject, sdk.files.with_raw_response.retrieve(completed.output_file_id))
    assert output.purpose == "batch_output"


@ONCE
def test_cancelled(sdk: OpenAI) -> None:
    uploaded = sdk.files.create(file=("in.jsonl", jsonl([chat_line("a")])), purpose="batch")
    made = sdk.batches.create(input_file_id=uploaded.id, endpoint=CHAT, completion_window="24h")
    assert strict(Batch, sdk.batches.with_raw_response.cancel(made.id)).status == "cancelling"


@ONCE
def test_containers(sdk: OpenAI) -> None:
    raw, files = sdk.containers.with_raw_response, sdk.containers.files.with_raw_response
    uploaded = sdk.files.create(file=("a.txt", b"copied"), purpose="user_data")
    box = strict(
        ContainerCreateResponse,
        raw.create(
            name="box",
            file_ids=[uploaded.id],
            expires_after={"anchor": "last_active_at", "minutes": 5},
            memory_limit="4g",
            network_policy={"type": "allowlist", "allowed_domains": ["example.com"]},
        ),
    )
    sdk.containers.create(name="other")
    strict(ContainerRetrieveResponse, raw.retrieve(box.id))
    page = strict(SyncCursorPage[ContainerListResponse], raw.list(limit=1, order="asc"))
    assert [found.name for found in page] == ["box", "other"]
    sent = strict(FileCreateResponse, files.create(box.id, file=("b.txt", b"sent")))
    strict(FileCreateResponse, files.create(box.id, file_id=uploaded.id))
    strict(FileRetrieveResponse, files.retrieve(sent.id, container_id=box.id))
    assert len(list(strict(SyncCursorPage[FileListResponse], files.list(box.id, limit=2, order="asc")))) == 3
    assert sdk.containers.files.content.retrieve(sent.id, container_id=box.id).read() == b"sent"
    deleted = files.delete(sent.id, container_id=box.id).http_response.json()
    assert (deleted["object"], deleted["deleted"]) == ("container.file.deleted", True)
    gone = raw.delete(box.id).http_response.json()
    assert (gone["object"], gone["deleted"]) == ("container.deleted", True)


@ONCE
def test_models(sdk: OpenAI) -> None:
    page = strict(SyncPage[Model], sdk.models.with_raw_response.list())
    assert all(isinstance(model.id, str) for model in page)


@ONCE
def test_refusals(sdk: OpenAI, live_server: LiveServer) -> None:
    """As the SDK's exceptions, with what it reads of them, and none of them tried again."""
    sent: list[Any] = []
    uploaded = sdk.files.create(file=("in.jsonl", jsonl([chat_line("a")])), purpose="batch")
    with (
        openai.DefaultHttpxClient(event_hooks={"request": [sent.append]}) as transport,
        OpenAI(base_url=f"{live_server.url}/v1", api_key=live_server.key, http_client=transport) as client,
    ):
        batch = client.batches.create(input_file_id=uploaded.id, endpoint=CHAT, completion_window="24h")
        refusals: list[tuple[type[openai.APIStatusError], str | None, Any]] = [
            (openai.NotFoundError, "not_found", lambda: client.files.content("file-nope")),
            (openai.NotFoundError, "not_found", lambda: client.containers.retrieve("cntr_nope")),
            (openai.NotFoundError, "not_found", lambda: client.batches.cancel("batch_nope")),
            (openai.ConflictError, "conflict", lambda: client.files.delete(uploaded.id)),
            (openai.BadRequestError, None, lambda: client.files.list(limit=0)),
            (openai.BadRequestError, None, lambda: client.files.list(after="file-nope")),
            (openai.BadRequestError, None, lambda: client.files.create(file=b"x", purpose="nope")),  # type: ignore[arg-type]
            (
                openai.AuthenticationError,
                "invalid_api_key",
                lambda: client.with_options(api_key="sk-bf-no-no").files.list(),
            ),
        ]
        assert client.batches.cancel(batch.id).status == "cancelling"
        for kind, code, call in refusals:
            sent.clear()
            with pytest.raises(kind) as refused:
                call()
            told = refused.value
            assert (told.code, told.type) == (code, "invalid_request_error")
            assert told.request_id == told.response.json()["event_id"]
            assert live_server.key not in str(told)
            assert len(sent) == 1, f"{told} was sent {len(sent)} times"


def test_the_asynchronous_client(live_server: LiveServer) -> None:
    async def use() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{live_server.url}/v1", api_key=live_server.key) as client:
            made = await asyncio.gather(
                *(client.files.create(file=(f"{n}.txt", b"x"), purpose="user_data") for n in range(8))
            )
            found = [file.id async for file in client.files.list(limit=3)]
            assert sorted(found) == sorted(file.id for file in made)
            return found

    assert len(asyncio.run(use())) == 8


@pytest.mark.parametrize("endpoint", ["", "/openai"])
@pytest.mark.parametrize("version", ["2025-04-01-preview", "v1"])
def test_the_azure_client_in_all_its_calls(live_server: LiveServer, endpoint: str, version: str) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=live_server.url + endpoint, api_key=live_server.key, api_version=version, max_retries=0
    ) as azure:
        created = azure.files.with_raw_response.create(file=("in.jsonl", jsonl([chat_line("a")])), purpose="batch")
        assert created.http_response.status_code == (200 if version == "v1" else 201)
        file = strict(FileObject, created)
        assert azure.files.content(file.id).read() == jsonl([chat_line("a")])
        upload = azure.uploads.create(filename="a.txt", bytes=3, mime_type="text/plain", purpose="assistants")
        part = azure.uploads.parts.create(upload.id, data=b"abc")
        strict(Upload, azure.uploads.with_raw_response.complete(upload.id, part_ids=[part.id]))
        batch = azure.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        assert [listed.id for listed in azure.batches.list(limit=1)] == [batch.id]
        assert azure.batches.cancel(batch.id).status == "cancelling"
        box = azure.containers.create(name="box")
        inside = azure.containers.files.create(box.id, file=("a.txt", b"abc"))
        assert azure.containers.files.content.retrieve(inside.id, container_id=box.id).read() == b"abc"
        azure.containers.delete(box.id)
        with pytest.raises(openai.NotFoundError):
            azure.containers.retrieve(box.id)
    with (
        openai.AzureOpenAI(
            azure_endpoint=live_server.url + endpoint, api_key="sk-bf-no-no", api_version=version, max_retries=0
        ) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.files.list()
