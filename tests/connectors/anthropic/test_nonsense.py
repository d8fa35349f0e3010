"""Answers of Anthropic that refuse, break off or make no sense, and what its connector makes of them."""

from dataclasses import replace

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import RefusedError, UpstreamError
from app.connectors.contract.objects import NativeJob
from app.connectors.providers.anthropic.connector import Anthropic
from tests.fakes.anthropic_app import AnthropicApp
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.support.broken_answers import FAULTS, NEVER_RIGHT, NOT_JSON, refuses, tolerates, variants
from tests.support.native_jobs import (
    CHAT,
    encoded,
    job_lines,
    new_file,
    new_job,
    payload,
    secrets_in,
    target,
    until_over,
)

KEY = "sk-canary-secret"
MODEL = "claude-sonnet-4-5"
MESSAGES = "/v1/messages"
JOB = NativeJob("msgbatch_1", "completed", endpoint=CHAT, ended_at=1_700_000_000_000)
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}
COUNTS = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}


@pytest.fixture
def server():
    with ServedApp(AnthropicApp(api_key=KEY)) as server:
        yield server


@pytest.fixture
def connector(server):
    connector = Anthropic(target("anthropic", server.url))
    yield connector
    connector.close()


def row(custom_id, **result):
    return orjson.dumps({"custom_id": custom_id, "result": result}) + b"\n"


def test_refusals_of_lines_have_the_status_of_their_type(server, connector):
    statuses = {
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
        "overloaded_error": 529,
        "something_new": 400,
    }
    rows = []
    for kind in statuses:
        error = {"type": kind, "message": f"No {kind}.", "details": {"error_code": "why"}}
        rows.append(row(kind, type="errored", error={"type": "error", "error": error, "request_id": f"req_{kind}"}))
    server.faults.add(Fault(status=200, body=b"".join(rows)))

    found = {result.custom_id: result for result in connector.results(JOB)}

    assert {kind: result.status_code for kind, result in found.items()} == statuses
    for kind, result in found.items():
        assert result.request_id == f"req_{kind}"
        assert orjson.loads(result.body)["error"] == {
            "message": f"No {kind}.",
            "type": kind,
            "param": None,
            "code": "why",
        }


def test_rows_that_make_no_sense_cost_only_their_own_line(server, connector):
    deep = b'{"custom_id":"deep","result":{"type":"succeeded","message":{"content":[],"x":' + b"[" * 300 + b"]" * 300
    rows = [
        row("a", type="succeeded", message={"content": [{"type": "text", "text": "Fine."}], "usage": None}),
        row("b", type="succeeded", message={"content": 7}),
        row("c", type="succeeded"),
        row("d", type="errored", error=[]),
        row("e", type="lost"),
        row("f", type=[]),
        b'{"custom_id":"g","result":7}\n',
        row("h", type="expired"),
        row("i", type="succeeded", message={"content": [{"type": "tool_use", "name": "x", "input": "y"}]}),
        row("j", type="errored", error={"error": {"type": ["?"], "message": 7}, "request_id": 7}),
        deep + b"}}}\n",
    ]
    for endpoint in (CHAT, MESSAGES):
        server.faults.clear()
        server.faults.add(Fault(status=200, body=b"".join(rows)))
        found = {result.custom_id: result for result in connector.results(replace(JOB, endpoint=endpoint))}

        assert {name for name, result in found.items() if result.error_code == "bad_answer"} >= set("bcefg")
        assert (found["a"].status_code, found["d"].status_code, found["j"].status_code) == (200, 400, 400)
        assert found["h"].error_code == "batch_expired"
        assert (found["i"].status_code or found["i"].error_code) == ("bad_answer" if endpoint == CHAT else 200)
        assert (found["deep"].status_code or found["deep"].error_code) == (200 if endpoint == CHAT else "bad_answer")


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"result":{"type":"expired"}}', b'{"custom_id":7}'])
def test_rows_of_nobody_are_upstream_errors(server, connector, line):
    server.faults.add(Fault(status=200, body=line + b"\n"))

    with pytest.raises(UpstreamError):
        list(connector.results(JOB))


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no", b'{"content":7}', b'{"content":[7]}'])
def test_an_answer_that_makes_no_sense_is_an_upstream_error(server, connector, body):
    server.faults.add(Fault(status=200, body=body))

    for endpoint in (CHAT, MESSAGES):
        if endpoint == MESSAGES and body == b'{"content":[7]}':
            continue  # messages are not looked into
        with pytest.raises(UpstreamError):
            connector.run_line(LineCall(endpoint, HELLO, 5.0))


CALLS = {
    "retrieve_file": lambda c: c.retrieve_file("f"),
    "list_files": lambda c: c.list_files(),
    "upload_file": lambda c: c.upload_file(new_file(b"x")),
    "retrieve_job": lambda c: c.retrieve_job("b"),
    "cancel_job": lambda c: c.cancel_job("b"),
    "list_jobs": lambda c: c.list_jobs(),
    "list_models": lambda c: c.list_models(timeout_s=5.0),
    "create_job": lambda c: c.create_job(new_job("m", lines=1, payload=payload(b"{}\n"))),
    "results": lambda c: list(c.results(JOB)),
}
WHEN = "2026-11-01T00:00:00Z"
FILE = {"id": "f", "type": "file", "filename": "x", "size_bytes": 1, "created_at": WHEN, "expires_at": WHEN}
BATCH = {
    "id": "b",
    "type": "message_batch",
    "processing_status": "ended",
    "request_counts": {**COUNTS, "succeeded": 1},
    "created_at": WHEN,
    "expires_at": WHEN,
    "ended_at": WHEN,
    "cancel_initiated_at": WHEN,
}
BATCH_FIELDS = (*BATCH, *(f"request_counts.{name}" for name in COUNTS))
PAGE_FIELDS = ("data", "data.0", "data.0.id", "has_more", "last_id", "next_page")


def page(item):
    return {"data": [item], "has_more": True, "last_id": "x", "next_page": "page_x"}


MESSAGE = {
    "id": "msg_1",
    "model": MODEL,
    "content": [{"type": "text", "text": "Hi"}, {"type": "tool_use", "id": "t", "name": "n", "input": {}}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 0, "output_tokens_details": {}},
}
ROW = {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}
ROW_FIELDS = (
    "custom_id",
    "result",
    "result.type",
    "result.message",
    *(f"result.message.{name}" for name in MESSAGE),
    *(f"result.message.content.{n}" for n in ("0", "1", "0.type", "0.text", "1.type", "1.id", "1.name", "1.input")),
    *(f"result.message.usage.{name}" for name in MESSAGE["usage"]),
)
VARIANTS = {
    "retrieve_file": (FILE, tuple(FILE)),
    "upload_file": (FILE, tuple(FILE)),
    "list_files": (page(FILE), PAGE_FIELDS),
    "retrieve_job": (BATCH, BATCH_FIELDS),
    "cancel_job": (BATCH, BATCH_FIELDS),
    "create_job": (BATCH, BATCH_FIELDS),
    "list_jobs": (page(BATCH), PAGE_FIELDS),
    "list_models": (page({"id": "m", "created_at": WHEN}), (*PAGE_FIELDS, "data.0.created_at")),
    "results": (ROW, ROW_FIELDS),
}


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_an_upstream_error(server, connector, name):
    for kind, answer in NEVER_RIGHT.items():
        if (name, kind) != ("results", "nothing"):  # no rows are a right answer
            refuses(lambda: CALLS[name](connector), server, answer)
    for answer in variants(VARIANTS[name][0], *VARIANTS[name][1]):
        tolerates(lambda: CALLS[name](connector), server, answer)
    if not name.startswith("list"):
        refuses(lambda: CALLS[name](connector), server, {})


@pytest.mark.parametrize("name", ["list_files", "upload_file", "create_job", "results"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_upstream_errors_and_posts_are_sent_once(server, connector, name, fault):
    injected, kind = FAULTS[fault]
    server.faults.add(injected)

    with pytest.raises(kind) as wrong:
        CALLS[name](connector)

    assert not secrets_in(wrong.value)
    assert sum(1 for request in server.requests if request.method == "POST") <= 1


@pytest.mark.parametrize("answer", NOT_JSON)
@pytest.mark.parametrize("name", ["results", "retrieve_job"])
def test_streams_that_are_not_json_are_upstream_errors(server, connector, name, answer):
    refuses(lambda: CALLS[name](connector), server, NOT_JSON[answer])


def test_results_that_are_cut_give_no_line_at_all(server, connector):
    lines = payload(encoded(connector, job_lines(MODEL)))
    job = until_over(connector, connector.create_job(new_job(MODEL, lines=40, payload=lines)))
    server.faults.add(Fault(method="GET", cut_at=9000))

    results = connector.results(job)
    with pytest.raises(UpstreamError):
        next(results)


def test_a_wrong_key_shows_nowhere(server):
    connector = Anthropic(target("anthropic", server.url, key="sk-canary-other"))

    with pytest.raises(RefusedError) as refused:
        connector.check()
    connector.close()

    assert refused.value.status == 401
    assert not secrets_in(refused.value, "sk-canary-other")
