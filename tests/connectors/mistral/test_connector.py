"""The connector of Mistral against its fake: pages by number, jobs of its own, bodies that are texts."""

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamServerError
from app.connectors.contract.objects import JobLine, NativeJob, SoughtJob
from app.connectors.providers.mistral import Mistral
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


def test_a_cancelled_job_may_have_results(app, connector):
    app.cancelled_lines = 20
    made = submit(connector)
    connector.cancel_job(made.id)
    over = connector.retrieve_job(made.id)

    assert (over.status, over.completed, over.failed) == ("cancelled", 19, 1)
    found, expected = plain(connector.results(over)), wanted()
    assert len(found) == 20
    assert all(expected[custom_id] == result for custom_id, result in found.items())


def test_a_refused_cancel_of_a_job_that_is_over_means_nothing(app, server, connector):
    app.keeps_on = False
    over = until_over(connector, submit(connector, count=1))

    assert connector.cancel_job(over.id).status == "completed"
    running = submit(connector, count=1)
    server.faults.add(Fault(path="/cancel", status=409, body=b'{"message": "busy"}'))
    with pytest.raises(RefusedError, match="busy"):
        connector.cancel_job(running.id)


def test_the_account_is_checked_by_its_models(server, connector):
    connector.check()
    assert [model["id"] for model in connector.list_models(timeout_s=5)] == ["mistral-small-latest"]

    stranger = Mistral(target("mistral", server.url, key="sk-canary-other"))
    with pytest.raises(UpstreamServerError) as refused:
        stranger.check()
    stranger.close()
    assert refused.value.status == 401
    assert not secrets_in(refused.value, "sk-canary-other")


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


def test_lines_with_fields_of_other_providers_cost_no_file(app, connector):
    chat = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {}}], "name": "n"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "service_tier": "flex",
        "user": "someone",
    }
    embedding = {"input": "Hi", "dimensions": 4, "user": "someone"}
    line = connector.encode_line(JobLine("a", CHAT, MODEL, chat)).data

    connector.upload_file(new_file(line))
    connector.upload_file(new_file(connector.encode_line(JobLine("a", "/v1/embeddings", MODEL, embedding)).data))
    connector.upload_file(new_file(connector.encode_line(JobLine("a", "/v1/moderations", MODEL, {"input": "Hi"})).data))

    assert len(app.files) == 3
    assert set(orjson.loads(line)) == {"custom_id", "body"}
    assert connector.run_line(LineCall("/v1/embeddings", {"model": MODEL, **embedding}, 5.0)).status_code == 200


def test_an_answer_nested_too_deep_costs_only_its_own_line(server, connector):
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    row = b'{"custom_id":"a","response":{"status_code":200,"body":' + deep + b"}}\n"
    good = orjson.dumps({"custom_id": "b", "response": {"status_code": 200, "body": {"choices": []}}})
    server.faults.add(Fault(method="GET", status=200, body=row + good))
    server.faults.add(Fault(method="POST", status=200, body=b'{"choices":[' + deep + b"]}"))

    found = list(connector.results(NativeJob("j", "completed", output_id="out", endpoint=CHAT)))
    assert [(result.status_code, result.error_code) for result in found] == [(None, "provider_error"), (200, None)]
    with pytest.raises(UpstreamServerError, match="nested too deep"):
        connector.run_line(LineCall(CHAT, {"model": MODEL, "messages": []}, 5.0))


CALLS = {
    "retrieve_file": lambda c: c.retrieve_file("f"),
    "list_files": lambda c: c.list_files(),
    "upload_file": lambda c: c.upload_file(new_file(b"x")),
    "retrieve_job": lambda c: c.retrieve_job("j"),
    "list_jobs": lambda c: c.list_jobs(),
    "create_job": lambda c: c.create_job(new_job("m", lines=1, input_id="f")),
    "cancel_job": lambda c: c.cancel_job("j"),
    "results": lambda c: list(c.results(JOB)),
    "list_models": lambda c: c.list_models(timeout_s=5),
    "run_line": lambda c: c.run_line(LineCall(CHAT, {"model": "m", "messages": []}, 5)),
}
MESSAGE = {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}]}
CALLED = {**MESSAGE, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {}}}]}
ANSWER = {"choices": [{"message": CALLED, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
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
ROW = {"id": "r", "custom_id": "a", "response": {"status_code": 200, "body": ANSWER}, "error": None}
WITHIN = (
    "choices",
    "choices.0",
    "choices.0.finish_reason",
    "choices.0.message",
    "choices.0.message.content",
    "choices.0.message.content.0",
    "choices.0.message.content.0.thinking",
    "choices.0.message.content.0.thinking.0.text",
    "choices.0.message.tool_calls",
    "choices.0.message.tool_calls.0",
    "choices.0.message.tool_calls.0.function",
    "choices.0.message.tool_calls.0.function.arguments",
    "usage",
)
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
        ("custom_id", "response", "response.status_code", "error", *(f"response.body.{name}" for name in WITHIN)),
    ),
    "list_models": ({"data": [{"id": "m"}]}, ("data", "data.0", "data.0.id")),
    "run_line": (ANSWER, WITHIN),
}


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_an_upstream_error(server, connector, name):
    for kind, answer in NEVER_RIGHT.items():
        if not (name == "results" and kind == "nothing"):
            refuses(lambda: CALLS[name](connector), server, answer)
    for answer in variants(VARIANTS[name][0], *VARIANTS[name][1]):
        tolerates(lambda: CALLS[name](connector), server, answer)


@pytest.mark.parametrize("name", ["list_files", "upload_file", "create_job", "cancel_job", "results"])
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
        '{"detail":[{"type":"value_error","loc":[],"msg":"The prompt was refused.","input":null}]}',
        '{"error":{"message":"The prompt was refused.","type":"invalid_request_error","code":"400"}}',
        '"The prompt was refused."',
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
