"""The connector of Mistral against its fake: pages by number, jobs of its own, bodies that are texts."""

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import RefusedError, UpstreamServerError
from app.connectors.contract.objects import JobLine, NativeJob
from app.connectors.providers.mistral import Mistral
from app.translate.errors import TranslationError
from tests.fakes.faults import Fault
from tests.fakes.mistral_app import MistralApp
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    plain,
    read,
    target,
    until_over,
    wanted,
)

KEY = "sk-canary-secret"
MODEL = "mistral-small-latest"


@pytest.fixture
def app():
    return MistralApp(api_key=KEY)


@pytest.fixture(params=["", "/v1"])
def connector(server, request):
    connector = Mistral(target("mistral", server.url + request.param))
    yield connector
    connector.close()


def submit(connector, *, count=LINES, **fields):
    file = connector.upload_file(new_file(encoded(connector, job_lines(MODEL, count=count))))
    return connector.create_job(new_job(MODEL, lines=count, input_id=file.id, **fields))


def test_a_job_keeps_the_metadata_beside_its_marker(connector):
    made = submit(connector, count=1, metadata={"team": "a"})

    assert (made.marker, dict(made.metadata)) == ("bg-marker-1", {"team": "a"})


def test_a_window_is_told_in_hours(server, connector):
    submit(connector, count=1)
    assert server.requests[-1].json["timeout_hours"] == 24
    file = connector.upload_file(new_file(b""))
    connector.create_job(type(new_job("m", lines=0))(CHAT, "m", "7d", "x", 0, input_id=file.id))
    assert server.requests[-1].json["timeout_hours"] == 168


def test_a_file_may_be_empty(connector):
    made = connector.upload_file(new_file(b"", filename="a.jsonl"))

    assert made.bytes == 0 and connector.retrieve_file(made.id) == made
    assert read(connector.read_file(made.id)) == b""


def test_a_file_with_a_bad_line_is_refused_at_once(connector):
    with pytest.raises(RefusedError, match="Invalid file format") as refused:
        connector.upload_file(new_file(b"not json\n"))

    assert refused.value.status == 422


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


def test_the_account_is_checked_by_its_files(server, connector):
    connector.check()
    assert server.requests[-1].path == "/v1/files"
    assert [model["id"] for model in connector.list_models(timeout_s=5)] == ["mistral-small-latest"]


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


def test_fields_that_mistral_lacks_are_listed_and_turns_put_in_order(app, server, connector):
    call = {"id": "abcDEF123", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    hello = {"role": "user", "content": "Hello"}
    body = {
        "model": MODEL,
        "messages": [
            hello,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "abcDEF123", "content": "1"},
            hello,
        ],
        "user": "someone",
        "verbosity": "low",
    }
    line = connector.encode_line(JobLine("a", CHAT, MODEL, body))
    answer = connector.run_line(LineCall(CHAT, body, 5.0))

    assert line.dropped == answer.dropped == ("user", "verbosity")
    assert answer.status_code == 200
    assert [said["role"] for said in server.requests[-1].json["messages"]] == [
        *("user", "assistant", "tool", "assistant", "user")
    ]


def test_a_line_that_mistral_cannot_do_is_refused_before_it_is_sent(server, connector):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "modalities": ["audio"]}
    asked = len(server.requests)
    answer = connector.run_line(LineCall(CHAT, body, 5.0))

    assert (answer.status_code, orjson.loads(answer.body)["error"]["param"]) == (400, "modalities")
    assert len(server.requests) == asked
    with pytest.raises(TranslationError):
        connector.encode_line(JobLine("a", CHAT, MODEL, body))


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
