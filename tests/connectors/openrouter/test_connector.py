"""The connector of OpenRouter against its fake: lines and results within the batch, files that stay there."""

import time

import orjson
import pytest
from anthropic.types import Message

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import MissingError, RefusedError
from app.connectors.contract.objects import JobLine, NativeJob
from app.connectors.providers.openrouter import shapes
from app.connectors.providers.openrouter.connector import OpenRouter
from tests.fakes.faults import Fault
from tests.fakes.openrouter_app import OpenRouterApp
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    payload,
    read,
    target,
    until_over,
)

KEY = "sk-canary-secret"
MODEL = "openai/gpt-5-mini"
MESSAGES = "/v1/messages"
JOB = NativeJob("batch_1", "completed")


@pytest.fixture
def app():
    return OpenRouterApp(api_key=KEY)


@pytest.fixture
def connector(server):
    connector = OpenRouter(target("openrouter", f"{server.url}/api/v1"))
    yield connector
    connector.close()


def submit(connector, *, count=LINES):
    lines = payload(encoded(connector, job_lines(MODEL, count=count)))
    return connector.create_job(new_job(MODEL, lines=count, payload=lines))


def test_results_that_were_answered_have_an_id(connector):
    over = until_over(connector, submit(connector))

    assert over.usage.total_tokens > 0
    assert all(result.request_id for result in connector.results(over) if result.status_code == 200)


def test_messages_go_untouched_and_their_cached_tokens_count_as_input(app, connector):
    body = {"model": MODEL, "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
    line = JobLine("m", MESSAGES, MODEL, body)
    data = payload(encoded(connector, [line]))
    job = until_over(connector, connector.create_job(new_job(MODEL, lines=1, payload=data, endpoint=MESSAGES)))

    [result] = connector.results(job)

    assert next(iter(app.jobs.values())).lines == [{"custom_id": "m", "body": body}]
    told = Message.model_validate_json(result.body, strict=True).usage
    assert result.usage.input_tokens == told.input_tokens + told.cache_read_input_tokens
    assert (result.usage.cached_tokens, result.usage.output_tokens) == (1, told.output_tokens)


def test_the_request_is_one_document_with_its_lines_last(server, connector):
    submit(connector, count=3)

    sent = server.requests[-1]
    assert list(sent.json) == ["endpoint", "model", "completion_window", "requests"]
    assert sent.json["requests"][1] == {
        "custom_id": "line-2",
        "body": {"model": MODEL, "messages": [{"role": "user", "content": "Question 2?"}], "max_tokens": 50},
    }
    assert sent.headers["content-length"] == str(len(sent.body))


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
@pytest.mark.parametrize("lines", [b"", b'{"a":1}\n', b'{"a":"x\\ny"}\n{"b":2}\n{"c":3}\n'])
def test_lines_are_wrapped_however_they_are_cut(lines, size):
    cut = payload(lines)
    cut = type(cut)(len(lines), lambda: (lines[at : at + size] for at in range(0, len(lines), size)))
    request = shapes.request(new_job("m", lines=1, payload=cut))

    for _ in range(2):
        made = b"".join(request.open())
        assert len(made) == request.length
        assert orjson.loads(made)["requests"] == [orjson.loads(line) for line in lines.splitlines()]


def test_a_new_job_may_be_missing_at_first(app, connector):
    app.looks_until_seen = 1
    made = submit(connector, count=1)

    with pytest.raises(MissingError):
        connector.retrieve_job(made.id)
    assert connector.retrieve_job(made.id).id == made.id


@pytest.mark.parametrize("shape", ["openrouter", "openai"])
def test_a_file_comes_and_goes_in_either_shape(app, connector, shape):
    app.file_shape = shape
    before = int(time.time() * 1000) - 1000
    made = connector.upload_file(new_file(b"hello", filename="a.txt", purpose="user_data"))

    assert (made.filename, made.bytes, made.status) == ("a.txt", 5, "processed")
    assert before <= made.created_at <= before + 60_000
    assert connector.retrieve_file(made.id) == made
    with pytest.raises(RefusedError) as uploaded:
        read(connector.read_file(made.id))
    assert uploaded.value.status == 400
    app.files[made.id].fields["downloadable"] = True
    assert read(connector.read_file(made.id)) == b"hello"
    connector.delete_file(made.id)
    with pytest.raises(MissingError):
        connector.delete_file(made.id)
    with pytest.raises(MissingError):
        connector.retrieve_file(made.id)


@pytest.mark.parametrize("shape", ["openrouter", "openai"])
def test_files_are_listed_to_the_end(app, connector, shape):
    app.file_shape = shape
    made = [app.add_file(b"", filename=f"{n}", purpose="").id for n in range(120)]

    first = connector.list_files()
    rest = connector.list_files(after=first.after)

    assert [file.id for file in (*first.items, *rest.items)] == made
    assert rest.after is None


def test_files_of_containers_are_read(app, connector):
    app.containers["cntr_1"] = {"/mnt/data/a.txt": b"hello", "/mnt/data/b.txt": b"bye"}

    page = connector.list_container_files("cntr_1")
    file = page.items[0]

    assert [(item.path, item.source, item.bytes) for item in page.items] == [
        ("/mnt/data/a.txt", "assistant", 5),
        ("/mnt/data/b.txt", "assistant", 3),
    ]
    assert connector.retrieve_container_file("cntr_1", file.id).path == file.path
    assert read(connector.read_container_file("cntr_1", file.id)) == b"hello"
    with pytest.raises(MissingError):
        connector.list_container_files("cntr_2")


def test_refusals_of_lines_are_read_in_every_form(server, connector):
    answers = [
        {"error": {"message": "No.", "type": "invalid_request_error", "param": "model", "error_type": "not_found"}},
        {"error": {"message": "Later.", "type": "x", "param": None, "error_type": "provider_overloaded"}},
        {"error": {"message": "Never.", "error_type": "something_new"}},
        {"response": {"status_code": 402, "body": {"error": {"code": 402, "message": "Pay."}}}},
        {"response": {"status_code": 500, "body": None}, "error": {"message": "Oh."}},
        {"response": {"status_code": 400, "body": "plain"}},
    ]
    rows = [{"id": "r", "custom_id": f"{n}", **answer} for n, answer in enumerate(answers)]
    batch = {"results": rows, "id": "b", "status": "completed"}
    server.faults.add(Fault(status=200, body=orjson.dumps(batch)))

    found = list(connector.results(JOB))

    assert [result.status_code for result in found] == [404, 503, 400, 402, 500, 400]
    errors = [orjson.loads(result.body)["error"] for result in found]
    assert [error["message"] for error in errors] == ["No.", "Later.", "Never.", "Pay.", "Oh.", "plain"]
    assert errors[0]["param"] == "model"
    assert {error["code"] for error in errors} == {None}


def test_the_error_of_a_whole_job_is_told(server, connector):
    batch = {"id": "b", "status": "failed", "error": {"message": "Model is not batchable."}, "results": None}
    server.faults.add(Fault(status=200, body=orjson.dumps(batch)))

    job = connector.retrieve_job("b")

    assert [error.message for error in job.errors] == ["Model is not batchable."]
    assert list(connector.results(job)) == []


def test_single_lines_are_answered_and_the_key_is_checked(server, connector):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}

    assert connector.run_line(LineCall(CHAT, body, 5.0)).status_code == 200
    connector.check()
    assert server.requests[-1].path == "/api/v1/batches"
