"""The connector of Together against its fake: forms, equal content, jobs without counts or marker."""

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import OverloadedError, RefusedError
from app.connectors.contract.objects import NativeJob
from app.connectors.providers.together import Together
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.fakes.together_app import TogetherApp
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    target,
    until_over,
)

KEY = "sk-canary-secret"
MODEL = "meta-llama/Llama-3"


@pytest.fixture
def app():
    return TogetherApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def connector(server):
    connector = Together(target("together", server.base_url))
    yield connector
    connector.close()


def submit(connector, *, count=LINES):
    file = connector.upload_file(new_file(encoded(connector, job_lines(MODEL, count=count))))
    return connector.create_job(new_job(MODEL, lines=count, input_id=file.id))


def test_a_job_whose_lines_all_failed_or_all_did_not_has_one_file(connector):
    refused = [line for line in job_lines(MODEL) if int(line.custom_id[5:]) % 17 == 0]
    file = connector.upload_file(new_file(encoded(connector, refused)))
    over = until_over(connector, connector.create_job(new_job(MODEL, lines=2, input_id=file.id)))

    assert over.output_id is None
    assert [result.status_code for result in connector.results(over)] == [400, 400]


def test_equal_content_is_one_file(app, connector):
    first = connector.upload_file(new_file(b'{"a":1}\n'))

    assert connector.upload_file(new_file(b'{"a":1}\n', filename="other.jsonl")) == first
    assert len(app.files) == 1


def test_bytes_whose_file_is_just_being_deleted_wait(app, connector):
    data = b'{"a":1}\n'
    first = connector.upload_file(new_file(data))
    app.forgets_late = True
    connector.delete_file(first.id)

    with pytest.raises(OverloadedError, match="deleting"):
        connector.upload_file(new_file(data))
    app.known.clear()
    assert connector.upload_file(new_file(data)).id != first.id


@pytest.mark.parametrize(
    ("filename", "purpose", "told"),
    [
        ("input", "batch", ("batch-api", "jsonl")),
        ("input.txt", "batch", ("batch-api", "jsonl")),
        ("data.CSV", "fine-tune", ("fine-tune", "csv")),
        ("data.parquet", "evals", ("eval", "parquet")),
        ("data.bin", "fine-tune", ("fine-tune", "jsonl")),
    ],
)
def test_a_file_is_of_a_purpose_and_type_that_together_knows(app, connector, filename, purpose, told):
    made = connector.upload_file(new_file(b"x\n", filename=filename, purpose=purpose))
    file = app.files[made.id]

    assert (file.purpose, file.fields["file_type"]) == told
    assert (made.filename, made.purpose) == (filename, purpose)


def test_the_account_is_checked_by_its_models(server, connector):
    connector.check()
    assert [model["id"] for model in connector.list_models(timeout_s=5)] == ["meta-llama/Llama-3"]

    server.faults.add(Fault(status=200, body=b'{"object": "list", "data": [{"id": "m"}]}'))
    assert [model["id"] for model in connector.list_models(timeout_s=5)] == ["m"]


def test_single_lines_go_as_they_are(server, connector):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "user": "someone"}

    assert connector.run_line(LineCall(CHAT, body, 5.0)).status_code == 200
    assert server.requests[-1].json == body


def test_the_error_of_a_whole_job_is_told(connector):
    line = next(iter(job_lines(MODEL)))
    data = connector.encode_line(type(line)("x" * 65, CHAT, MODEL, line.body)).data
    file = connector.upload_file(new_file(data))
    job = connector.retrieve_job(connector.create_job(new_job(MODEL, lines=1, input_id=file.id)).id)

    assert job.status == "failed"
    assert [error.message for error in job.errors] == ["custom_id must have at most 64 characters"]


@pytest.mark.parametrize(
    ("code", "status", "error_code"),
    [
        ("batch_client_error", 400, None),
        ("batch_server_error", 500, None),
        ("internal_server_error", 500, None),
        ("server_error", 500, None),
        ("batch_expired", None, "batch_expired"),
    ],
)
def test_who_is_to_blame_for_a_line_says_its_status(server, connector, code, status, error_code):
    row = {"id": "r", "custom_id": "a", "error": {"code": code, "message": "It broke."}}
    server.faults.add(Fault(status=200, body=orjson.dumps(row)))

    [found] = list(connector.results(NativeJob("j", "completed", error_id="err")))

    assert (found.status_code, found.error_code) == (status, error_code)
    if status:
        error = orjson.loads(found.body)["error"]
        kind = "server_error" if status == 500 else "invalid_request_error"
        assert error == {"message": "It broke.", "type": kind, "param": None, "code": None}


def test_an_answer_nested_too_deep_costs_only_its_own_line(server, connector):
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    bad = b'{"custom_id":"a","response":{"status_code":200,"body":' + deep + b"}}\n"
    bad += b'{"custom_id":"b","response":{"status_code":400,"body":{"error":{"message":"x","y":' + deep + b"}}}}\n"
    good = b'{"custom_id":"c","response":{"status_code":200,"body":{}}}'
    server.faults.add(Fault(status=200, body=bad + good))

    found = list(connector.results(NativeJob("j", "completed", output_id="out")))

    assert [(result.custom_id, result.status_code) for result in found] == [("a", None), ("b", None), ("c", 200)]


def test_a_conflict_that_names_no_file_is_a_refusal(server, connector):
    server.faults.add(Fault(status=409, body=b'{"error": {"message": "busy"}}'))

    with pytest.raises(RefusedError) as refused:
        connector.upload_file(new_file(b"x"))

    assert refused.value.status == 409
