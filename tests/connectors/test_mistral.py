"""The connector of Mistral against its fake: pages by number, jobs of its own, bodies that are texts."""

import orjson
import pytest

from app.connectors.base import LineCall, MissingError, RefusedError
from app.connectors.mistral import Mistral
from app.connectors.native import NativeJob, SoughtJob
from tests.fakes.faults import Fault
from tests.fakes.mistral_app import MistralApp
from tests.fakes.serving import ServedApp
from tests.support.broken_answers import FAULTS, NEVER_RIGHT, refuses, tolerates, variants
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    plain,
    secrets_in,
    target,
    until_over,
    wanted,
)

KEY = "sk-canary-secret"
MODEL = "mistral-small-latest"
JOB = NativeJob("j", "completed", output_id="out", error_id="err", endpoint=CHAT)


@pytest.fixture
def app():
    return MistralApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture(params=["", "/v1"])
def connector(server, request):
    connector = Mistral(target("mistral", server.url + request.param))
    yield connector
    connector.close()


def submit(connector, *, count=LINES, **fields):
    file = connector.upload_file(new_file(encoded(connector, job_lines(MODEL, count=count))))
    return connector.create_job(new_job(MODEL, lines=count, input_id=file.id, **fields))


def read(manager):
    with manager as download:
        return b"".join(download.chunks)


def test_every_line_of_a_job_has_its_result(connector):
    made = submit(connector, metadata={"team": "a"})
    over = until_over(connector, made)

    assert (made.status, made.marker, made.total, dict(made.metadata)) == (
        "validating",
        "bg-marker-1",
        None,
        {"team": "a"},
    )
    assert (over.status, over.total, over.completed, over.failed) == ("completed", 40, 38, 2)
    assert (over.endpoint, over.model) == (CHAT, MODEL)
    found, expected = plain(connector.results(over)), wanted()
    assert found == expected


def test_a_job_is_found_by_its_marker(connector):
    made = submit(connector, count=1)
    submit(connector, count=1, marker="bg-other")

    assert [job.id for job in connector.find_jobs(SoughtJob("bg-marker-1", made.input_id, 0))] == [made.id]


def test_a_window_is_told_in_hours(server, connector):
    submit(connector, count=1)
    assert server.requests[-1].json["timeout_hours"] == 24
    file = connector.upload_file(new_file(b""))
    connector.create_job(type(new_job("m", lines=0))(CHAT, "m", "7d", "x", 0, input_id=file.id))
    assert server.requests[-1].json["timeout_hours"] == 168


def test_lists_go_to_the_end(app, connector):
    files = [app.add_file(b"", filename=f"{n}", purpose="batch").id for n in range(250)]
    seen, after = [], None
    while True:
        page = connector.list_files(after=after)
        seen += [file.id for file in page.items]
        after = page.after
        if after is None:
            break

    assert seen == files


def test_a_file_comes_and_goes(connector):
    made = connector.upload_file(new_file(b"", filename="a.jsonl"))

    assert (made.filename, made.bytes, made.purpose, made.status) == ("a.jsonl", 0, "batch", "processed")
    assert connector.retrieve_file(made.id) == made
    assert read(connector.read_file(made.id)) == b""
    connector.delete_file(made.id)
    connector.delete_file(made.id)
    with pytest.raises(MissingError):
        connector.retrieve_file(made.id)


def test_a_file_with_a_bad_line_is_refused_at_once(connector):
    with pytest.raises(RefusedError, match="Invalid file format") as refused:
        connector.upload_file(new_file(b"not json\n"))

    assert refused.value.status == 422


def test_cancelling_takes_a_while_and_means_nothing_afterwards(connector):
    made = submit(connector, count=1)

    assert connector.cancel_job(made.id).status == "cancelling"
    assert connector.retrieve_job(made.id).status == "cancelled"
    assert connector.cancel_job(made.id).status == "cancelled"
    connector.delete_job(made.id)
    connector.delete_job(made.id)
    with pytest.raises(MissingError):
        connector.retrieve_job(made.id)


def test_errors_of_a_job_that_failed_are_told_with_their_number(app, connector):
    made = submit(connector, count=1)
    app.jobs[made.id].fields["errors"] = ["Bad model"]
    app.end(app.jobs[made.id], "failed")

    assert [error.message for error in connector.retrieve_job(made.id).errors] == ["Bad model (3 lines)"]


def test_single_lines_are_translated_both_ways(server, connector):
    body = {
        "model": MODEL,
        "messages": [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
        "seed": 1,
        "user": "someone",
        "max_completion_tokens": 2,
    }
    answer = connector.run_line(LineCall(CHAT, body, 5.0))

    assert answer.status_code == 200
    choice = orjson.loads(answer.body)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert "tool_calls" not in choice["message"]
    assert set(server.requests[-1].json) == {"model", "messages", "random_seed", "max_tokens"}


CALLS = {
    "retrieve_file": lambda c: c.retrieve_file("f"),
    "list_files": lambda c: c.list_files(),
    "upload_file": lambda c: c.upload_file(new_file(b"x")),
    "retrieve_job": lambda c: c.retrieve_job("j"),
    "list_jobs": lambda c: c.list_jobs(),
    "create_job": lambda c: c.create_job(new_job("m", lines=1, input_id="f")),
    "cancel_job": lambda c: c.cancel_job("j"),
    "results": lambda c: list(c.results(JOB)),
}
FILE = {"id": "f", "filename": "x", "bytes": 1, "created_at": 1700000000, "purpose": "batch"}
JOB_OBJECT = {
    "id": "j",
    "status": "FAILED",
    "input_files": ["f"],
    "output_file": "o",
    "error_file": "e",
    "endpoint": CHAT,
    "model": "m",
    "metadata": {"batchgate": "m"},
    "errors": [{"message": "x", "count": 1}],
    "total_requests": 1,
    "succeeded_requests": 1,
    "failed_requests": 0,
    "created_at": 1700000000,
    "started_at": 1700000000,
    "completed_at": 1700000000,
}
ROW = {"id": "r", "custom_id": "a", "response": {"status_code": 200, "body": {"choices": [{}]}}, "error": None}
VARIANTS = {
    "retrieve_file": (FILE, tuple(FILE)),
    "upload_file": (FILE, tuple(FILE)),
    "list_files": ({"data": [FILE], "total": 1}, ("data", "data.0", "data.0.id", "total")),
    "retrieve_job": (JOB_OBJECT, (*JOB_OBJECT, "errors.0", "errors.0.message", "input_files.0")),
    "cancel_job": (JOB_OBJECT, tuple(JOB_OBJECT)),
    "create_job": (JOB_OBJECT, tuple(JOB_OBJECT)),
    "list_jobs": ({"data": [JOB_OBJECT], "total": 1}, ("data", "data.0", "data.0.id", "total")),
    "results": (
        ROW,
        ("custom_id", "response", "response.status_code", "response.body", "response.body.choices", "error"),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_an_upstream_error(server, connector, name):
    for kind, answer in NEVER_RIGHT.items():
        if not (name == "results" and kind == "nothing"):
            refuses(lambda: CALLS[name](connector), server, answer)
    for answer in variants(VARIANTS[name][0], *VARIANTS[name][1]):
        tolerates(lambda: CALLS[name](connector), server, answer)


@pytest.mark.parametrize("name", ["list_files", "upload_file", "create_job", "results"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_upstream_errors_and_posts_are_sent_once(server, connector, name, fault):
    injected, kind = FAULTS[fault]
    server.faults.add(injected)

    with pytest.raises(kind) as wrong:
        CALLS[name](connector)

    assert not secrets_in(wrong.value)
    assert sum(1 for request in server.requests if request.method == "POST") <= 1


@pytest.mark.parametrize(
    "body",
    [
        '{"object":"error","message":"The prompt was refused.","type":"invalid_request_error","param":null,"code":"1"}',
        '{"detail":"The prompt was refused."}',
        "The prompt was refused.",
    ],
)
def test_refusals_are_read_from_the_text_of_their_body(server, connector, body):
    row = {"id": "r", "custom_id": "a", "response": {"status_code": 422, "body": body}, "error": None}
    server.faults.add(Fault(status=200, body=orjson.dumps(row)))
    job = NativeJob("j", "completed", error_id="err", endpoint=CHAT)

    [found] = list(connector.results(job))

    assert found.status_code == 422
    error = orjson.loads(found.body)["error"]
    assert (error["message"], error["type"], error["code"]) == (
        "The prompt was refused.",
        "invalid_request_error",
        None,
    )
