"""The connector against the fake server: answers, refusals, faults, and older servers."""

import orjson
import pytest
from openai.types.responses import Response

from app.connectors.catalogue import registry
from app.connectors.contract.base import LineCall, Target
from app.connectors.contract.errors import (
    OverloadedError,
    RefusedError,
    UpstreamError,
    UpstreamServerError,
    UpstreamTimeoutError,
)
from app.connectors.contract.objects import Usage
from app.connectors.contract.refusals import Kind
from app.connectors.providers.openai.lines import OpenAICompatible, has_version
from tests.fakes.faults import Fault, html, overload
from tests.fakes.openai_server import FakeServer

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
SECRET = "sk-very-secret"
BODIES = {
    CHAT: {"model": "fake-model", "messages": [{"role": "user", "content": "Hello"}]},
    "/v1/completions": {"model": "fake-model", "prompt": "Hello"},
    "/v1/embeddings": {"model": "fake-embedder", "input": "Hello you"},
    RESPONSES: {"model": "fake-model", "input": "Hello"},
}


def connect(server, path="", *, api_key=SECRET):
    return OpenAICompatible(
        Target(provider="local", base_url=server.url + path, credential=api_key, abilities=registry.abilities("local"))
    )


def run(connector, endpoint=CHAT, *, timeout_s=5.0, **changes):
    return connector.run_line(LineCall(endpoint, {**BODIES[endpoint], **changes}, timeout_s))


@pytest.fixture
def server():
    with FakeServer(api_key=SECRET) as server:
        yield server


@pytest.fixture
def connector(server):
    connector = connect(server)
    yield connector
    connector.close()


@pytest.mark.parametrize("endpoint", BODIES)
def test_every_endpoint_answers_with_its_usage(connector, endpoint):
    answer = run(connector, endpoint)

    body = orjson.loads(answer.body)
    assert answer.status_code == 200
    assert answer.request_id.startswith("req_")
    told = body["usage"]
    assert answer.usage.input_tokens == told.get("prompt_tokens", told.get("input_tokens")) > 0
    assert answer.usage.output_tokens == told.get("completion_tokens", told.get("output_tokens", 0))
    assert answer.usage.total_tokens == told["total_tokens"]


def test_details_of_the_usage_are_read(connector):
    assert run(connector, CHAT).usage.cached_tokens == 1
    assert run(connector, RESPONSES).usage.cached_tokens == 2


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_the_base_url_may_end_in_v1_or_not(server, path):
    connector = connect(server, path)

    assert run(connector).status_code == 200
    assert [request.path for request in server.requests] == [CHAT]
    connector.close()


@pytest.mark.parametrize(
    ("url", "complete"),
    [
        ("http://h", False),
        ("http://h/proxy", False),
        ("http://h/v1", True),
        ("http://h/api/v1/", True),
        ("http://h/v1beta/openai", True),
        ("http://h/vllm", False),
        ("http://v1/", False),
    ],
)
def test_a_base_url_is_complete_when_it_has_a_version(url, complete):
    assert has_version(url) is complete


def test_without_a_key_no_authorization_is_sent():
    with FakeServer() as server:
        connector = connect(server, api_key="")
        run(connector)
        connector.close()

    assert "authorization" not in server.requests[0].headers


def test_models_are_listed(connector):
    assert [model["id"] for model in connector.list_models(timeout_s=5)] == ["fake-model", "fake-embedder"]


def test_models_of_a_server_that_refuses_are_an_error(server):
    connector = connect(server, api_key="sk-wrong")

    with pytest.raises(RefusedError, match="Incorrect API key") as refusal:
        connector.list_models(timeout_s=5)
    assert (refusal.value.status, refusal.value.kind) == (401, Kind.CREDENTIAL)
    connector.close()


def test_line_breaks_leave_the_answer(connector, server):
    pretty = b'{\r\n "choices": [\n  {"n": 12345678901234567890123, "t": "a\\nb"}]\n}\n'
    server.faults.add(Fault(body=pretty))

    body = run(connector).body

    assert b"\n" not in body
    assert b"\r" not in body
    assert orjson.loads(body) == orjson.loads(pretty)
    assert b"12345678901234567890123" in body


# --- Final refusals ---


def test_a_4xx_is_an_answer_in_openais_envelope(connector):
    answer = run(connector, model="gpt-none")

    error = orjson.loads(answer.body)["error"]
    assert answer.status_code == 404
    assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert answer.usage == Usage()


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"error": {"message": "m", "type": "t", "param": "p", "code": "c"}},
            {"message": "m", "type": "t", "param": "p", "code": "c"},
        ),
        ({"error": {"message": "m", "code": 40012}}, {"message": "m", "code": "40012"}),
        ({"error": "m"}, {"message": "m"}),
        ({"object": "error", "message": "m", "type": "BadRequestError"}, {"message": "m", "type": "BadRequestError"}),
        ({"detail": "Not Found"}, {"message": "Not Found"}),
        ({"detail": [{"loc": ["body", "n"], "msg": "too big"}]}, {"message": "body.n: too big"}),
        ({"detail": {"reason": 1}}, {"message": '{"reason":1}'}),
    ],
)
def test_any_spelling_of_an_error_becomes_openais(connector, server, status, body, expected):
    server.faults.add(Fault(status=status, body=orjson.dumps(body)))

    answer = run(connector)

    wanted = {"type": "invalid_request_error", "param": None, "code": None, **expected}
    assert (answer.status_code, orjson.loads(answer.body)["error"]) == (status, wanted)


def test_a_code_that_repeats_the_status_is_none(connector, server):
    server.faults.add(Fault(status=400, body=b'{"error": {"message": "m", "code": 400}}'))

    assert orjson.loads(run(connector).body)["error"]["code"] is None


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (html(status=404), "status 404 with an HTML page: <html>"),
        (Fault(status=404, body=b"404 page not found\n", content_type="text/plain"), "text/plain: 404 page not found"),
        (Fault(status=400, body=b""), "status 400 with nothing."),
        (Fault(status=400, body=b'{"error": {"mess'), 'cut or malformed JSON: {"error": {"mess'),
        (Fault(status=400, body=b"[1]"), "status 400"),
        (Fault(status=400, body=b'{"error": null}'), "status 400"),
        (Fault(status=400, body=b"\xff\xfe"), "status 400"),
    ],
)
def test_a_refusal_that_is_not_json_is_readable(connector, server, fault, text):
    server.faults.add(fault)

    answer = run(connector)

    assert answer.status_code == fault.status
    assert text in orjson.loads(answer.body)["error"]["message"]


def test_the_credential_is_not_in_a_refusal(server):
    connector = connect(server, api_key="sk-mistyped")

    with pytest.raises(OverloadedError) as caught:
        run(connector)
    connector.close()

    assert (caught.value.status, caught.value.kind) == (401, "credential")
    assert b"mistyped" not in caught.value.body
    assert caught.value.message == "Incorrect API key provided: [redacted]."


# --- Errors that may pass ---


@pytest.mark.parametrize("status", [429, 503, 529])
def test_overload_tells_how_long_to_wait(connector, server, status):
    server.faults.add(overload(status=status, retry_after="7"))

    with pytest.raises(OverloadedError, match="Slow down") as overloaded:
        run(connector)

    assert (overloaded.value.status, overloaded.value.retry_after_s) == (status, 7.0)


def test_too_many_at_once_is_overload(connector, server):
    server.max_concurrent = 0

    with pytest.raises(OverloadedError) as overloaded:
        run(connector)

    assert overloaded.value.retry_after_s == 1.0


@pytest.mark.parametrize("status", [500, 501, 502, 504, 520, 302])
def test_other_statuses_are_server_errors(connector, server, status):
    server.faults.add(html(status=status))

    with pytest.raises(UpstreamServerError) as failed:
        run(connector)

    assert failed.value.status == status


def test_the_credential_is_not_in_an_error(connector, server):
    server.faults.add(Fault(status=500, body=b'{"error": "bad key sk-very-secret"}'))

    with pytest.raises(UpstreamServerError) as failed:
        run(connector)

    assert SECRET not in failed.value.message
    assert SECRET.encode() not in failed.value.body


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (html(status=200), "an HTML page instead of JSON"),
        (Fault(body=b'{"choices": [{"mess'), "cut or malformed JSON"),
        (Fault(body=b""), "nothing instead of JSON"),
        (Fault(body=b"[]"), "not an object"),
        (Fault(body=b'"text"'), "not an object"),
        (Fault(body=b"null"), "not an object"),
        (Fault(body=b"NaN"), "instead of JSON"),
        (Fault(body=b"{}"), "no list 'choices'"),
        (Fault(body=b'{"choices": {}}'), "no list 'choices'"),
        (Fault(body=b'{"error": {"message": "out of memory"}}'), "out of memory"),
        (Fault(body=b'data: {"choices": []}\n\n', content_type="text/event-stream"), "text/event-stream"),
        (Fault(body=b"[" * 100_000), "instead of JSON"),
        (Fault(cut_at=10), "cut short"),
        (Fault(reset=True), "closed the connection"),
    ],
)
@pytest.mark.parametrize("endpoint", [CHAT, "/v1/completions"])
def test_an_answer_that_is_none_is_a_server_error(connector, server, endpoint, fault, text):
    server.faults.add(fault)

    with pytest.raises(UpstreamServerError, match=text):
        run(connector, endpoint)


@pytest.mark.parametrize(
    "usage", [None, [], "many", {}, {"prompt_tokens": "3"}, {"prompt_tokens": -1}, {"prompt_tokens_details": 5}]
)
def test_a_strange_usage_counts_as_none(connector, server, usage):
    server.faults.add(Fault(body=orjson.dumps({"choices": [], "usage": usage})))

    assert run(connector).usage == Usage()


def test_a_late_answer_is_a_timeout(connector, server):
    server.faults.add(Fault(latency_s=30))

    with pytest.raises(UpstreamTimeoutError):
        run(connector, timeout_s=0.1)


# --- Servers without /v1/responses ---


@pytest.fixture
def older():
    with FakeServer(responses=False) as server:
        yield server


@pytest.fixture
def older_connector(older):
    connector = connect(older)
    yield connector
    connector.close()


def test_an_older_server_answers_responses_by_chat(older_connector):
    answer = run(older_connector, RESPONSES, instructions="Be brief", max_output_tokens=50)

    response = Response.model_validate(orjson.loads(answer.body), strict=True)
    assert response.output_text.endswith("you said: Hello")
    assert response.usage.input_tokens == answer.usage.input_tokens > 0
    assert response.instructions == "Be brief"


def test_what_the_server_lacks_is_learned_once(older, older_connector):
    for _ in range(3):
        run(older_connector, RESPONSES)

    assert [request.path for request in older.requests] == [RESPONSES, CHAT, CHAT, CHAT]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=404, body=b'{"detail":"Not Found"}'),
        Fault(status=404, body=b"404 page not found", content_type="text/plain"),
        Fault(status=404, body=b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}'),
        Fault(status=405, body=b'{"detail":"Method Not Allowed"}'),
        Fault(status=501, body=b'{"error":"not implemented"}'),
    ],
)
def test_the_spellings_of_a_missing_route(older, older_connector, fault):
    older.faults.add(Fault(**{**{name: getattr(fault, name) for name in Fault.__slots__}, "path": RESPONSES}))

    assert run(older_connector, RESPONSES).status_code == 200


@pytest.mark.parametrize(
    "error",
    [
        {"message": "The model `m` does not exist.", "param": "model", "code": 404},
        {"message": "model 'm' not found, try pulling it first"},
        {"message": "Response with id 'resp_1' not found.", "param": "response_id"},
        {"message": "no such thing", "code": "model_not_found"},
    ],
)
def test_a_404_about_an_object_is_final(connector, server, error):
    server.faults.add(Fault(status=404, body=orjson.dumps({"error": error}), path=RESPONSES))

    assert run(connector, RESPONSES).status_code == 404
    assert len(server.requests) == 1


def test_a_wrong_base_url_is_not_taken_for_an_older_server(server):
    server.faults.add(html(status=404, times=2))
    connector = connect(server)

    first = run(connector, RESPONSES)
    second = run(connector, RESPONSES)
    connector.close()

    assert (first.status_code, second.status_code) == (404, 200)
    assert [request.path for request in server.requests] == [RESPONSES, CHAT, RESPONSES]


def test_what_chat_cannot_express_is_a_final_400(older_connector):
    answer = run(older_connector, RESPONSES, previous_response_id="resp_1")

    error = orjson.loads(answer.body)["error"]
    assert answer.status_code == 400
    assert (error["param"], error["code"]) == ("previous_response_id", "unsupported_parameter")


def test_a_refusal_by_chat_is_the_line_s(older_connector):
    assert run(older_connector, RESPONSES, model="gpt-none").status_code == 404


@pytest.mark.parametrize(
    "choices", [[], [1], [{}], [{"message": {"content": 5}}], [{"message": {"tool_calls": [{}], "content": None}}]]
)
def test_a_chat_answer_that_is_none_is_a_server_error(older, older_connector, choices):
    older.faults.add(Fault(path=CHAT, body=orjson.dumps({"choices": choices})))

    with pytest.raises(UpstreamServerError, match="chat answer"):
        run(older_connector, RESPONSES)


def test_a_dead_server_waits(older, older_connector):
    older.stop()
    try:
        with pytest.raises(OverloadedError) as refused:
            run(older_connector, RESPONSES)
    finally:
        older.start()

    assert isinstance(refused.value, UpstreamError)
    assert refused.value.sent is False
