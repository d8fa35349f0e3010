"""The fake is proven with Together's SDK, and its answers against the SDK's types.

The SDK uploads through signed URLs; the plain form, which the connector sends, is held against its type of a file.
"""

import orjson
import pytest
import requests
import together
from together.types import BatchCreateResponse, BatchJob, FileResponse

from tests.fakes.serving import ServedApp
from tests.fakes.together_app import TogetherApp

KEY = "tgp_right"
CHAT = "/v1/chat/completions"


@pytest.fixture
def app():
    return TogetherApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def sdk(server):
    with together.Together(api_key=KEY, base_url=server.url, max_retries=0) as sdk:
        yield sdk


def upload(server, data):
    return requests.post(
        f"{server.base_url}/files/upload",
        headers={"Authorization": f"Bearer {KEY}"},
        data={"purpose": "batch-api", "file_name": "in.jsonl", "file_type": "jsonl"},
        files={"file": ("in.jsonl", data)},
        timeout=5,
    )


def lines(*texts):
    return b"".join(
        orjson.dumps({"custom_id": f"c{n}", "body": {"model": "m", "messages": [{"role": "user", "content": text}]}})
        + b"\n"
        for n, text in enumerate(texts)
    )


def test_a_file_comes_and_goes(sdk, server):
    made = FileResponse.model_validate(upload(server, b'{"a":1}\n').json())

    assert (made.bytes, made.filename, made.purpose) == (8, "in.jsonl", "batch-api")
    assert sdk.files.retrieve(made.id).id == made.id
    assert [file.id for file in sdk.files.list().data] == [made.id]
    assert sdk.files.content(made.id).read() == b'{"a":1}\n'
    again = upload(server, b'{"a":1}\n')
    assert (again.status_code, again.json()["file_id"]) == (409, made.id)
    assert sdk.files.delete(made.id).deleted
    with pytest.raises(together.NotFoundError):
        sdk.files.retrieve(made.id)


def test_a_batch_runs_to_its_files(sdk, server):
    file = upload(server, lines("hello", "please refuse-this", "bye")).json()["id"]
    raw = sdk.batches.with_raw_response.create(input_file_id=file, endpoint=CHAT)

    assert raw.http_response.status_code == 201
    made = BatchCreateResponse.model_validate(raw.http_response.json()).job
    assert made is not None
    assert made.status == "VALIDATING"
    assert [job.id for job in sdk.batches.list()] == [made.id]
    sdk.batches.retrieve(made.id)
    over = BatchJob.model_validate(sdk.batches.with_raw_response.retrieve(made.id).http_response.json())
    assert over.status == "COMPLETED"
    output = [orjson.loads(line) for line in sdk.files.content(over.output_file_id).read().splitlines()]
    errors = [orjson.loads(line) for line in sdk.files.content(over.error_file_id).read().splitlines()]
    assert sorted(row["custom_id"] for row in output) == ["c0", "c2"]
    assert [(row["custom_id"], row["error"]["code"]) for row in errors] == [("c1", "batch_client_error")]
    with pytest.raises(together.ConflictError):
        sdk.batches.cancel(made.id)


def test_a_batch_is_cancelled(sdk, server):
    file = upload(server, lines("hello")).json()["id"]
    made = sdk.batches.create(input_file_id=file, endpoint=CHAT).job
    assert sdk.batches.cancel(made.id).id == made.id
    assert sdk.batches.retrieve(made.id).status == "CANCELLED"


def test_a_wrong_key_is_refused(server):
    with (
        together.Together(api_key="tgp_wrong", base_url=server.url, max_retries=0) as sdk,
        pytest.raises(together.AuthenticationError),
    ):
        sdk.files.list()
