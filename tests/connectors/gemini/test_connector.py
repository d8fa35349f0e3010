"""The connector of Gemini's Developer API against its fake: chats and embeddings, inline and by file."""

from dataclasses import replace

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import UpstreamServerError
from app.connectors.contract.objects import JobLine, NativeJob, Payload, SoughtJob, Usage
from app.connectors.providers.gemini import shapes
from app.connectors.providers.gemini.connector import Gemini
from app.translate import dialects
from app.translate.errors import TranslationError
from tests.fakes.faults import Fault
from tests.fakes.gemini_app import GeminiApp
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    payload,
    said,
    target,
    until_over,
    wanted,
)

KEY = "sk-canary-secret"
MODEL = "gemini-2.5-flash"
EMBEDDER = "gemini-embedding-001"
EMBEDDINGS = "/v1/embeddings"
JOB = NativeJob("batches/b1", "completed", endpoint=CHAT)
BY_FILE = replace(JOB, output_id="files/out")
SOUGHT = SoughtJob("bg-marker-1", None, 0)
FORMS = pytest.mark.parametrize("form", ["inline", "file"])


@pytest.fixture
def app():
    return GeminiApp(api_key=KEY)


@pytest.fixture
def connector(server):
    connector = Gemini(target("gemini", server.url))
    yield connector
    connector.close()


def uploaded(connector, data, **fields):
    made = connector.upload_file(new_file(data, **fields))
    while made.status == "processing":
        made = connector.retrieve_file(made.id)
    return made


def submit(connector, form, *, count=LINES, lines=None, model=MODEL, **fields):
    data = encoded(connector, lines or job_lines(model, count=count))
    if form == "file":
        return connector.create_job(new_job(model, lines=count, input_id=uploaded(connector, data).id, **fields))
    return connector.create_job(new_job(model, lines=count, payload=payload(data), **fields))


@FORMS
def test_results_come_the_way_of_the_lines(connector, form):
    over = replace(until_over(connector, submit(connector, form)), endpoint=CHAT)

    assert bool(over.output_id) is bool(over.input_id) is (form == "file")
    rows = [orjson.loads(row) for row in connector.raw_results(over)]
    assert {row["key"] if form == "file" else row["metadata"]["key"] for row in rows} == set(wanted())


@FORMS
def test_what_is_sent(server, connector, form):
    submit(connector, form, count=2)

    sent = server.requests[-1]
    assert sent.path == f"/v1beta/models/{MODEL}:batchGenerateContent"
    assert sent.headers["x-goog-api-key"] == KEY
    batch = sent.json["batch"]
    assert batch["displayName"] == "bg-marker-1"
    if form == "inline":
        [first, _] = batch["inputConfig"]["requests"]["requests"]
        contents = [{"role": "user", "parts": [{"text": "Question 1?"}]}]
        request = {"contents": contents, "generationConfig": {"maxOutputTokens": 50}}
        assert first == {"metadata": {"key": "line-1"}, "request": request}
    else:
        assert list(batch["inputConfig"]) == ["fileName"]


def test_answers_are_of_the_time_of_their_job(connector):
    over = replace(until_over(connector, submit(connector, "inline", count=1)), endpoint=CHAT, ended_at=5_000)

    [result] = connector.results(over)
    assert (result.answer.created, result.answer.model) == (5, MODEL)


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_lines_are_inlined_however_they_are_cut(size):
    keys = ["a", 'b","request":{"x', "c\n\u2028\\", "é"]
    lines = b"".join(
        orjson.dumps({"key": key, "request": {"request": {"key": key}, "text": "\r\n"}}) + b"\n" for key in keys
    )
    cut = Payload(len(lines), lambda: (lines[at : at + size] for at in range(0, len(lines), size)))
    request = shapes.request(new_job("m", lines=1, payload=cut))

    for _ in range(2):
        made = b"".join(request.open())
        assert len(made) == request.length
        found = orjson.loads(made)["batch"]["inputConfig"]["requests"]["requests"]
        assert [row["metadata"]["key"] for row in found] == keys
        assert [row["request"]["request"]["key"] for row in found] == keys


def test_a_line_without_its_end_is_no_line():
    cut = payload(b'{"key":"a","request":{}}')
    with pytest.raises(ValueError, match="newline"):
        list(shapes.request(new_job("m", lines=1, payload=cut)).open())


def embedding_lines():
    yield JobLine("one", EMBEDDINGS, EMBEDDER, {"input": "one text"})
    yield JobLine("many", EMBEDDINGS, EMBEDDER, {"input": [f"text {n}" for n in range(7)], "dimensions": 8})
    yield JobLine("long", EMBEDDINGS, EMBEDDER, {"input": ["fine", "x " * 10]})


@FORMS
def test_texts_of_a_line_come_together_again(app, server, connector, form):
    made = submit(connector, form, lines=embedding_lines(), model=EMBEDDER, endpoint=EMBEDDINGS)
    over = replace(until_over(connector, made), endpoint=EMBEDDINGS)
    found = {result.custom_id: result for result in connector.results(over)}

    assert (over.total, over.completed) == (None, None)  # texts are no lines
    assert any(request.path.endswith(f"{EMBEDDER}:asyncBatchEmbedContent") for request in server.requests)
    for line in embedding_lines():
        answer = app.model.routes[EMBEDDINGS]({"model": "m", **line.body})
        result = found[line.custom_id]
        assert result.status_code == 200
        assert result.answer.vectors == [item["embedding"] for item in answer["data"]]
        tokens = answer["usage"]["prompt_tokens"]
        assert result.usage == result.answer.usage == Usage(tokens, 0, 0, 0, tokens)


def test_a_line_of_texts_is_a_record_for_each(connector):
    records = [connector.encode_line(line).records for line in embedding_lines()]

    assert records == [1, 7, 2]


def test_lines_of_other_dialects_are_encoded(connector):
    messages = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]}
    bodies = {CHAT: messages, "/v1/messages": messages, "/v1/responses": {"input": "Hello", "max_output_tokens": 5}}
    made = {connector.encode_line(JobLine("a", endpoint, MODEL, body)).data for endpoint, body in bodies.items()}

    contents = [{"role": "user", "parts": [{"text": "Hello"}]}]
    request = {"contents": contents, "generationConfig": {"maxOutputTokens": 5}}
    assert made == {orjson.dumps({"key": "a", "request": request}) + b"\n"}


def test_what_a_line_loses_is_told(connector):
    body = {"messages": [{"role": "user", "content": "Hello"}], "user": "me", "reasoning_effort": "low"}

    assert connector.encode_line(JobLine("a", CHAT, MODEL, body)).dropped == ("user",)
    assert connector.encode_line(JobLine("a", CHAT, "gemini-2.0-flash", body)).dropped == ("user", "reasoning_effort")


def test_a_line_that_is_too_deep_is_refused(connector):
    deep = '{"a":' * 300 + "1" + "}" * 300
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": deep}}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}]

    with pytest.raises(TranslationError):
        connector.encode_line(JobLine("a", CHAT, MODEL, {"messages": messages}))


def test_a_prompt_that_was_blocked_is_an_answer(connector):
    body = {"messages": [{"role": "user", "content": "block-this"}]}
    over = until_over(connector, submit(connector, "inline", lines=[JobLine("a", CHAT, MODEL, body)]))

    [result] = said(connector.results(over))
    choice = orjson.loads(result.body)["choices"][0]
    assert (result.status_code, choice["message"]["content"], choice["finish_reason"]) == (200, "", "content_filter")


def test_a_job_is_found_by_its_marker_on_any_page(app, connector):
    names = [f"marker-{n}" for n in range(250)]
    made = [app.add_job([], endpoint=CHAT, model=MODEL, fields={"name": name}).id for name in names]

    assert [job.id for job in connector.find_jobs(replace(SOUGHT, marker="marker-0"))] == [made[0]]
    assert connector.find_jobs(SOUGHT) == []


def test_results_are_no_part_of_a_list(connector):
    over = until_over(connector, submit(connector, "inline"))

    assert connector.list_jobs().items == [over]


def test_a_cancelled_job_has_no_results_and_stays_as_it_is(app, connector):
    app.looks_to_end = None
    made = submit(connector, "inline", count=1)

    connector.cancel_job(made.id)
    over = connector.retrieve_job(made.id)

    assert list(connector.results(over)) == []
    assert connector.cancel_job(made.id) == over


@pytest.mark.parametrize(("state", "code"), [("failed", "invalid_argument"), ("expired", "deadline_exceeded")])
def test_jobs_that_fail_as_a_whole_tell_why(app, connector, state, code):
    made = submit(connector, "inline", count=1)
    app.end(app.job(made.id), state)

    over = connector.retrieve_job(made.id)
    assert (over.status, [error.code for error in over.errors]) == (state, [code])
    assert list(connector.results(over)) == []


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"done": True}, "completed"),
        ({"done": True, "error": {"code": 1}}, "cancelled"),
        ({"done": True, "error": {"code": 13, "message": "Oh."}}, "failed"),
        ({"done": True, "metadata": {"state": "BATCH_STATE_RUNNING"}, "response": {}}, "completed"),
        ({"metadata": {"state": "BATCH_STATE_UNSPECIFIED"}}, "validating"),
        ({"metadata": {"state": "JOB_STATE_RUNNING"}}, "in_progress"),
        ({}, "validating"),
    ],
)
def test_what_an_operation_tells_of_a_job(told, status):
    assert shapes.job({"name": "batches/b", **told}).status == status


def test_a_file_has_the_type_of_its_name_and_is_checked_for_a_while(app, connector):
    made = connector.upload_file(new_file("héllo".encode(), filename="ä.txt", purpose="user_data"))

    assert (made.filename, made.bytes, made.status, made.purpose) == ("ä.txt", 6, "processing", "user_data")
    statuses = [connector.retrieve_file(made.id).status for _ in range(2)]
    assert statuses == ["processing", "processed"]
    assert app.files[made.id].fields["type"] == "text/plain"


def test_a_large_file_is_streamed(app, connector):
    data = b"0123456789abcdef" * 2**16
    opened = []

    def pieces():
        opened.append(1)
        return (data for _ in range(9))

    made = connector.upload_file(replace(new_file(b""), payload=Payload(9 * len(data), pieces)))
    assert made.bytes == len(app.files[made.id].data) == 9 * 2**20
    assert opened == [1]


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "https://127.0.0.1", "http://evil.example", "nonsense"])
def test_an_upload_goes_to_no_other_host(app, server, connector, origin):
    app.origin = origin
    with pytest.raises(UpstreamServerError):
        connector.upload_file(new_file(b"secret bytes"))

    assert len(server.requests) == 1


def test_an_upload_without_an_address_is_refused(server, connector):
    server.faults.add(Fault(status=200, body=b"{}"))

    with pytest.raises(UpstreamServerError):
        connector.upload_file(new_file(b"x"))


@pytest.mark.parametrize("form", ["inline", "file"])
def test_refusals_of_lines_are_read_in_every_form(server, connector, form):
    errors = [
        {"code": 3, "message": "No."},
        {"code": 8, "message": "Later.", "status": "RESOURCE_EXHAUSTED"},
        {"code": 5},
        {"code": 13, "message": "Oh."},
        {"message": "Why?"},
        {"code": 1, "message": "Stopped."},
    ]
    keys = [{"key": f"{n}"} if form == "file" else {"metadata": {"key": f"{n}"}} for n in range(len(errors) + 1)]
    outcomes = [*({"error": error} for error in errors), {}]
    rows = [{**key, **outcome} for key, outcome in zip(keys, outcomes, strict=True)]
    answers = {
        "file": b"".join(orjson.dumps(row) + b"\n" for row in rows),
        "inline": orjson.dumps({"name": "batches/b", "response": {"inlinedResponses": {"inlinedResponses": rows}}}),
    }
    server.faults.add(Fault(status=200, body=answers[form]))

    found = list(connector.results(BY_FILE if form == "file" else JOB))

    assert [result.status_code for result in found] == [400, 429, 404, 500, 400, None, None]
    assert [result.error_code for result in found[5:]] == ["batch_cancelled", "bad_answer"]
    told = [orjson.loads(result.body)["error"] for result in found[:5]]
    assert [error["message"] for error in told if "without giving a reason" not in error["message"]] == [
        "No.",
        "Later.",
        "Oh.",
        "Why?",
    ]
    assert {error["code"] for error in told} == {None}


NOBODYS = [b"{}", b'{"key":7}', b'{"key":""}', b'{"key":null}', b'{"metadata":[]}', b'{"metadata":{"key":""}}']


@pytest.mark.parametrize("row", NOBODYS)
def test_a_row_without_an_owner_does_not_hold_up_the_others(server, connector, row):
    good = b'{"key":"a","error":{"code":3}}\n'
    server.faults.add(Fault(status=200, body=good + row + b"\n" + good.replace(b'"a"', b'"b"')))

    assert [result.custom_id for result in connector.results(BY_FILE)] == ["a", "", "b"]


@pytest.mark.parametrize("row", NOBODYS)
@pytest.mark.parametrize("endpoint", [CHAT, EMBEDDINGS])
def test_results_without_any_owner_are_a_bad_answer(server, connector, row, endpoint):
    server.faults.add(Fault(status=200, body=(row + b"\n") * 2))

    with pytest.raises(UpstreamServerError, match="no row of the results names a line"):
        list(connector.results(replace(BY_FILE, endpoint=endpoint)))


@pytest.mark.parametrize("row", [b"{", b"[]", b'{"key":"a"} x'])
def test_rows_that_cannot_be_read_cost_only_themselves(server, connector, row):
    good = b'{"key":"%b","error":{"code":3}}\n'
    server.faults.add(Fault(status=200, body=good % b"a" + row + b"\n" + good % b"b"))

    found = [(result.custom_id, result.error_code) for result in connector.results(BY_FILE)]
    assert found[1:] == [("", "bad_answer"), ("b", None)]


@pytest.mark.parametrize("response", [7, [], {}, "x", {"candidates": []}, {"candidates": [{"content": "x"}]}])
def test_a_row_whose_answer_makes_no_sense_is_its_lines_error(server, connector, response):
    rows = [{"key": "a", "response": response}, {"key": "b", "error": {"code": 3}}]
    server.faults.add(Fault(status=200, body=b"".join(orjson.dumps(row) + b"\n" for row in rows)))

    one, other = connector.results(BY_FILE)
    assert (one.custom_id, one.error_code) == ("a", "bad_answer")
    assert (other.custom_id, other.status_code) == ("b", 400)


# Single lines.


def run(connector, endpoint, **body):
    return connector.run_line(LineCall(endpoint, {"model": MODEL, **body}, 5.0))


def test_single_lines(server, connector):
    answer = run(connector, CHAT, messages=[{"role": "user", "content": "Hello"}], user="me")

    assert (answer.status_code, answer.dropped) == (200, ("user",))
    assert answer.answer.choices[0].parts[0].endswith("you said: Hello")
    assert server.requests[-1].path == f"/v1beta/models/{MODEL}:generateContent"
    refused = run(connector, CHAT, messages=[{"role": "user", "content": "refuse-this"}])
    assert (refused.status_code, orjson.loads(refused.body)["error"]["message"]) == (400, "The prompt was refused.")
    unsaid = run(connector, CHAT, messages=[{"role": "user", "content": "Hello"}], stop=list("abcdef"))
    assert (unsaid.status_code, orjson.loads(unsaid.body)["error"]["param"]) == (400, "stop")
    nameless = run(connector, CHAT, messages=[{"role": "user", "content": "Hello"}], model="")
    assert (nameless.status_code, orjson.loads(nameless.body)["error"]["param"]) == (400, "model")


@pytest.mark.parametrize(("given", "verb"), [("one", "embedContent"), (["one", "two"], "batchEmbedContents")])
def test_single_embeddings(app, server, connector, given, verb):
    answer = run(connector, EMBEDDINGS, input=given)

    model = app.model.routes[EMBEDDINGS]({"model": "m", "input": given})
    assert answer.answer.vectors == [item["embedding"] for item in model["data"]]
    assert server.requests[-1].path.endswith(f":{verb}")


def test_models_may_be_named_with_their_kind(server, connector):
    for model, path in (("models/a b", "models/a%20b"), ("tunedModels/x", "tunedModels/x"), ("../x", "models/..%2Fx")):
        assert connector.native_call(
            dialects.read_request(CHAT, {"model": model, "messages": [{"role": "user", "content": "x"}]}),
            LineCall(CHAT, {}, 5.0),
        ).path == (f"/v1beta/{path}:generateContent")


def test_models_are_listed_without_their_kind(connector):
    assert [model["id"] for model in connector.list_models(timeout_s=5.0)] == [MODEL]
