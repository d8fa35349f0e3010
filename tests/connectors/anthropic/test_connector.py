"""The connector of Anthropic against its fake: both shapes of lists, lines in the request, results as a stream."""

import time
from dataclasses import replace

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import MissingError, RefusedError
from app.connectors.contract.objects import JobLine
from app.connectors.providers.anthropic.connector import Anthropic
from app.translate.chat import answers
from app.translate.errors import TranslationError
from tests.fakes.anthropic_app import LEGACY_FILES, AnthropicApp
from tests.fakes.faults import Fault
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
MODEL = "claude-sonnet-4-5"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}


@pytest.fixture
def app():
    return AnthropicApp(api_key=KEY)


@pytest.fixture
def connector(server):
    connector = Anthropic(target("anthropic", server.url))
    yield connector
    connector.close()


def submit(connector, *, count=LINES, endpoint=CHAT):
    lines = payload(encoded(connector, job_lines(MODEL, count=count, endpoint=endpoint)))
    return replace(connector.create_job(new_job(MODEL, lines=count, payload=lines)), endpoint=endpoint)


def over(connector, made):
    return replace(until_over(connector, made), endpoint=made.endpoint)


def written(result):
    """A result with its answer written as a chat completion, as the pipeline does."""
    if result.answer is None:
        return result
    body = answers.write(result.answer, answer_id="x", model="", now_s=0)
    return replace(result, body=orjson.dumps(body))


# Jobs.


def test_results_have_an_id_and_the_time_of_their_job(connector):
    job = over(connector, submit(connector))

    results = list(connector.results(job))

    assert all(result.request_id for result in results)
    assert {result.answer.created for result in results if result.answer} == {job.ended_at // 1000}


def test_the_request_is_one_document(server, connector):
    submit(connector, count=2)

    sent = server.requests[-1]
    assert (sent.path, sent.headers["content-length"]) == ("/v1/messages/batches", str(len(sent.body)))
    assert sent.json == {
        "requests": [
            {
                "custom_id": f"line-{n}",
                "params": {
                    "model": MODEL,
                    "max_tokens": 50,
                    "messages": [{"role": "user", "content": f"Question {n}?"}],
                },
            }
            for n in (1, 2)
        ]
    }


def test_messages_go_and_come_untouched(server, connector):
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], "stream": False, "model": "other"}
    line = connector.encode_line(JobLine("a", MESSAGES, MODEL, {**body, "cache_control": {"type": "ephemeral"}}))
    made = connector.create_job(new_job(MODEL, lines=1, payload=payload(line.data)))
    [result] = connector.results(replace(until_over(connector, made), endpoint=MESSAGES))

    [sent] = server.requests[0].json["requests"]
    del body["stream"]
    assert sent["params"] == {**body, "model": MODEL, "cache_control": {"type": "ephemeral"}}
    assert (result.status_code, result.answer) == (200, None)
    message = orjson.loads(result.body)
    assert (message["type"], message["usage"]["service_tier"]) == ("message", "batch")
    assert result.usage.total_tokens == result.usage.input_tokens + result.usage.output_tokens > 0
    assert result.usage.input_tokens == message["usage"]["input_tokens"] + 1


def test_what_is_left_out_of_a_line_is_told_and_what_cannot_be_said_is_refused(connector):
    seeded = connector.encode_line(JobLine("a", CHAT, MODEL, {**HELLO, "seed": 7, "store": True}))
    asked = connector.encode_line(JobLine("a", RESPONSES, MODEL, {"input": "Hi", "max_output_tokens": 5}))

    assert set(seeded.dropped) == {"seed", "store"}
    assert orjson.loads(asked.data)["params"]["max_tokens"] == 5
    with pytest.raises(TranslationError) as refused:
        connector.encode_line(JobLine("a", CHAT, MODEL, {**HELLO, "n": 2}))
    assert refused.value.param == "n"


def test_raw_results_are_the_providers_own_lines(connector):
    job = over(connector, submit(connector, count=3))

    rows = [orjson.loads(line) for line in connector.raw_results(job)]

    assert sorted(row["custom_id"] for row in rows) == ["line-1", "line-2", "line-3"]
    assert {row["result"]["type"] for row in rows} == {"succeeded"}


def test_a_cancelled_job_keeps_what_was_answered(app, connector):
    app.looks_to_end, app.cancelled_lines = None, 2
    made = submit(connector, count=5)

    cancelling = connector.cancel_job(made.id)
    job = over(connector, made)
    again = connector.cancel_job(made.id)

    assert (cancelling.status, job.status, again.status) == ("cancelling", "cancelled", "cancelled")
    assert (job.completed, job.failed, job.total) == (2, 3, 5)
    results = list(connector.results(job))
    assert sorted(result.error_code or "" for result in results) == ["", "", *["batch_cancelled"] * 3]


COUNTS = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}


@pytest.mark.parametrize(
    ("cancelled", "counts", "status"),
    [
        (False, {"succeeded": 3}, "completed"),
        (False, {"errored": 3}, "completed"),
        (False, {"expired": 3}, "expired"),
        (False, {"expired": 2, "errored": 1}, "completed"),
        (True, {"canceled": 1, "succeeded": 2}, "cancelled"),
        (True, {"succeeded": 3}, "completed"),
        (True, {"expired": 1, "canceled": 1}, "cancelled"),
    ],
)
def test_how_a_job_ended_follows_from_its_counts(server, connector, cancelled, counts, status):
    told = {"id": "b", "processing_status": "ended", "request_counts": {**COUNTS, **counts}}
    told["cancel_initiated_at"] = "2026-11-01T00:00:00Z" if cancelled else None
    server.faults.add(Fault(status=200, body=orjson.dumps(told)))

    assert connector.retrieve_job("b").status == status


def test_only_a_job_that_is_over_has_results(connector):
    made = submit(connector, count=1)

    with pytest.raises(MissingError):
        list(connector.results(made))


# Files.


@pytest.mark.parametrize("beta", ["", f"{LEGACY_FILES},other-2026-01-01"])
def test_a_file_comes_and_goes_in_either_generation(app, server, beta):
    connector = Anthropic(target("anthropic", server.url, options={"beta": beta, "workspace": "wrkspc_1"}))
    before = int(time.time() * 1000) - 1000
    made = connector.upload_file(new_file(b"%PDF", filename="a.pdf", purpose="user_data", expires_after_s=3600))

    assert (made.filename, made.bytes, made.status) == ("a.pdf", 4, "processed")
    assert made.expires_at == made.created_at + 3600_000 and before <= made.created_at <= before + 60_000
    assert app.files[made.id].fields["mime_type"] == "application/pdf"
    assert connector.retrieve_file(made.id) == made
    with pytest.raises(RefusedError) as uploaded:
        read(connector.read_file(made.id))
    assert uploaded.value.status == 400
    app.files[made.id].fields["downloadable"] = True
    assert read(connector.read_file(made.id)) == b"%PDF"
    connector.delete_file(made.id)
    with pytest.raises(MissingError):
        connector.delete_file(made.id)
    with pytest.raises(MissingError):
        connector.retrieve_file(made.id)
    connector.close()
    assert {request.headers.get("anthropic-beta", "") for request in server.requests} == {beta}
    assert {request.headers["anthropic-workspace-id"] for request in server.requests} == {"wrkspc_1"}


@pytest.mark.parametrize("beta", ["", LEGACY_FILES])
def test_files_are_listed_to_the_end(app, server, beta):
    connector = Anthropic(target("anthropic", server.url, options={"beta": beta}))
    made = [app.add_file(b"", filename=f"{n}", purpose="").id for n in range(1020)]

    first = connector.list_files()
    rest = connector.list_files(after=first.after)
    connector.close()

    assert [file.id for file in (*first.items, *rest.items)] == made[::-1]
    assert (first.after.startswith("page=page_"), rest.after) == (not beta, None)


# Lines, and the account.


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES, MESSAGES])
def test_single_lines_are_answered(server, connector, endpoint):
    body = {"model": MODEL, "input": "Hello"} if endpoint == RESPONSES else HELLO

    answer = connector.run_line(LineCall(endpoint, body, 5.0))

    assert (answer.status_code, server.requests[-1].path) == (200, MESSAGES)
    assert answer.request_id and answer.usage.total_tokens > 0
    if endpoint == MESSAGES:
        assert orjson.loads(answer.body)["content"][0]["text"].endswith("you said: Hello")
    else:
        assert answer.answer.choices[0].parts[0].endswith("you said: Hello")


@pytest.mark.parametrize("endpoint", [CHAT, MESSAGES])
def test_single_lines_are_refused_in_openais_words(connector, endpoint):
    body = {**HELLO, "messages": [{"role": "user", "content": "refuse-this"}]}

    answer = connector.run_line(LineCall(endpoint, body, 5.0))

    assert answer.status_code == 400
    told = {"message": "The prompt was refused.", "type": "invalid_request_error", "param": None, "code": None}
    assert orjson.loads(answer.body) == {"error": told}


def test_a_line_that_cannot_be_said_is_never_sent(server, connector):
    answer = connector.run_line(LineCall(CHAT, {**HELLO, "n": 3}, 5.0))

    assert (answer.status_code, orjson.loads(answer.body)["error"]["param"]) == (400, "n")
    assert not server.requests


def test_the_key_is_checked_and_models_are_listed(server, connector):
    connector.check()

    assert server.requests[-1].path == "/v1/messages/batches"
    assert server.requests[-1].headers["x-api-key"] == KEY
    assert connector.list_models(timeout_s=5.0)[0] == {
        "id": MODEL,
        "object": "model",
        "created": 1767225600,
        "owned_by": "anthropic",
    }


def test_tokens_of_people_go_in_another_header(app, server):
    app.api_key = "sk-ant-oat01-canary"
    connector = Anthropic(target("anthropic", f"{server.url}/v1", key=app.api_key))

    connector.check()
    connector.close()

    assert server.requests[-1].headers["authorization"] == f"Bearer {app.api_key}"
    assert "x-api-key" not in server.requests[-1].headers
