"""Answers of Anthropic that refuse, break off or make no sense, and what its connector makes of them."""

from dataclasses import replace

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import UpstreamError
from app.connectors.contract.objects import NativeJob
from app.connectors.providers.anthropic.connector import Anthropic
from tests.fakes.anthropic_app import AnthropicApp
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.support.native_jobs import (
    CHAT,
    target,
)

KEY = "sk-canary-secret"
MESSAGES = "/v1/messages"
MODEL = "claude-sonnet-4-5"
JOB = NativeJob("msgbatch_1", "completed", endpoint=CHAT, ended_at=1_700_000_000_000)
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}


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
