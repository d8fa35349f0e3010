"""Results of Cohere's batches: rows in Avro or JSON, put together, and whatever may be wrong with them."""

import io

import fastavro
import orjson
import pytest

from app.connectors.contract.errors import RefusedError, UpstreamError, UpstreamServerError
from app.connectors.contract.objects import JobLine, NativeJob
from app.connectors.providers.cohere.connector import Cohere
from tests.fakes.cohere_app import CohereApp
from tests.fakes.faults import Fault
from tests.fakes.openai_app import _vector
from tests.support.cohere import EMBEDDINGS, MODEL, over, submit
from tests.support.native_jobs import (
    CHAT,
    LINES,
    secrets_in,
    target,
    until_over,
)

KEY = "sk-canary-secret"


@pytest.fixture
def app():
    return CohereApp(api_key=KEY)


@pytest.fixture
def connector(server):
    connector = Cohere(target("cohere", server.url, options={"download_hosts": "127.0.0.1, .example.com"}))
    yield connector
    connector.close()


def embedding_line(number, texts, **more):
    return JobLine(f"line-{number}", EMBEDDINGS, MODEL, {"model": "x", "input": texts, **more})


def test_results_are_there_when_their_dataset_is(connector):
    ended = until_over(connector, submit(connector))

    assert ended.usage.total_tokens > 0
    with pytest.raises(UpstreamServerError, match="still preparing"):
        list(connector.results(ended))
    answered = [result for result in connector.results(over(connector, ended)) if result.status_code == 200]
    assert all(result.request_id for result in answered)
    assert {result.usage.cached_tokens for result in answered} == {1}


def test_raw_results_are_the_rows_as_lines(app, connector):
    ended = over(connector, submit(connector))

    rows = [orjson.loads(line) for line in connector.raw_results(ended)]

    assert {row["custom_id"] for row in rows} == {f"line-{n}" for n in range(1, LINES + 1)}
    assert all(set(row) == {"custom_id", "error", "body"} for row in rows)
    assert rows[0]["body"] is None or rows[0]["body"]["message"]["role"] == "assistant"
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in connector.raw_results(ended))


def test_texts_of_a_line_come_back_together(app, connector):
    app.part_rows = 1
    many = [f"text {n}" for n in range(200)]
    lines = [embedding_line(1, "one"), embedding_line(2, many), embedding_line(3, ["a", "b"])]
    records = [connector.encode_line(line).records for line in lines]
    ended = over(connector, submit(connector, lines, endpoint=EMBEDDINGS), endpoint=EMBEDDINGS)

    found = {result.custom_id: result for result in connector.results(ended)}

    assert records == [1, 3, 1]
    assert {name: result.status_code for name, result in found.items()} == {f"line-{n}": 200 for n in (1, 2, 3)}
    assert found["line-1"].answer.vectors == [_vector("one")]
    assert found["line-2"].answer.vectors == [_vector(text) for text in many]
    assert found["line-2"].usage.input_tokens == 400
    rows = [orjson.loads(line)["custom_id"] for line in connector.raw_results(ended)]
    assert sorted(rows) == ["line-1", "line-2#0/3", "line-2#1/3", "line-2#2/3", "line-3"]


# Rows.


def output(app, data):
    """A batch whose results are `data`."""
    made = app.add_dataset(b"", name="x", kind="batch-chat-v2-input")
    made.fields |= {"parts": [data], "looks": 0, "error": ""}
    return NativeJob("batch-1", "completed", output_id=made.id, endpoint=CHAT)


def jsonl(*rows):
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def body(**more):
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    return {"id": "x", "finish_reason": "COMPLETE", "message": message, **more}


def test_refusals_of_lines_are_read_in_every_form(app, connector):
    errors = [
        ("No.", 400, "No."),
        ('{"message":"Slow down.","status_code":429,"code":429}', 429, "Slow down."),
        ({"message": "Oh.", "code": "500"}, 500, "Oh."),
        ('["odd"]', 400, '["odd"]'),
        ({}, None, None),
    ]
    rows = [{"custom_id": f"{n}", "error": error, "body": None} for n, (error, _, _) in enumerate(errors)]
    rows.append({"custom_id": "9", "error": "", "body": body(finish_reason="ERROR")})

    found = {result.custom_id: result for result in connector.results(output(app, jsonl(*rows)))}

    for n, (_, status, message) in enumerate(errors):
        assert found[f"{n}"].status_code == status
        if status is not None:
            assert orjson.loads(found[f"{n}"].body)["error"]["message"] == message
    assert found["4"].error_code == "bad_answer"  # neither an answer nor an error
    assert found["9"].status_code == 500


@pytest.mark.parametrize(
    "nonsense",
    [None, "", "{", '"text"', 7, [], {}, {"message": 7}, body(message={"content": [7]}), {"embeddings": {}}],
)
def test_an_answer_that_makes_no_sense_ends_its_own_line_alone(app, connector, nonsense):
    rows = [{"custom_id": "a", "error": "", "body": nonsense}, {"custom_id": "b", "error": None, "body": body()}]
    embedding = NativeJob("b", "completed", endpoint=EMBEDDINGS, output_id=output(app, jsonl(rows[0])).output_id)

    found = {result.custom_id: result for result in connector.results(output(app, jsonl(*rows)))}

    assert (found["a"].status_code, found["a"].error_code) == (None, "bad_answer")
    assert found["b"].status_code == 200
    [alone] = connector.results(embedding)
    assert alone.error_code == "bad_answer"


@pytest.mark.parametrize("row", [7, [], {}, {"custom_id": 7}, {"custom_id": ""}, {"custom_id": None, "body": body()}])
def test_a_row_of_nobody_is_an_upstream_error(app, connector, row):
    with pytest.raises(UpstreamServerError):
        list(connector.results(output(app, jsonl(row))))
    if not isinstance(row, dict):
        with pytest.raises(UpstreamServerError):
            list(connector.raw_results(output(app, jsonl(row))))
    good = {"custom_id": "a", "error": "no"}
    named = [result.custom_id for result in connector.results(output(app, jsonl(good, row, good)))]
    assert named == ["a", "", "a"]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"{\n", b"[" * 100_000, b"Obj\x01", b"Obj\x01" + b"\xff" * 500])
def test_files_of_nonsense_are_upstream_errors(app, connector, data):
    for call in (connector.results, connector.raw_results):
        if data == b"{\n" and call == connector.raw_results:
            assert list(call(output(app, data))) == [data]  # one line, as it is
            continue
        with pytest.raises(UpstreamServerError) as wrong:
            list(call(output(app, data)))
        assert wrong.value.code == "bad_answer"


def test_damaged_avro_is_an_upstream_error(app, connector):
    ended = over(connector, submit(connector))
    parts = app.files[ended.output_id].fields["parts"]
    whole = parts[0]
    for place in range(0, len(whole), 97):
        parts[0] = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        try:
            for result in connector.results(ended):
                assert result.custom_id or result.error_code == "bad_answer"
        except UpstreamServerError as error:
            assert error.code == "bad_answer"


def test_rows_that_json_cannot_say_are_upstream_errors(app, connector):
    schema = {
        "type": "record",
        "name": "row",
        "fields": [
            {"name": "custom_id", "type": "string"},
            {"name": "body", "type": ["bytes", "null", {"type": "map", "values": "bytes"}]},
        ],
    }

    def avro(value):
        file = io.BytesIO()
        fastavro.writer(file, schema, [{"custom_id": "a", "body": value}])
        return output(app, file.getvalue())

    [result] = connector.results(avro(orjson.dumps(body())))
    assert result.status_code == 200
    [line] = connector.raw_results(avro(b"{}"))
    assert orjson.loads(line) == {"custom_id": "a", "body": "{}"}
    [result] = connector.results(avro({"message": b"\xff"}))
    assert result.error_code == "bad_answer"
    for value in (b"\xff", {"x": b"\xff"}):
        with pytest.raises(UpstreamServerError):
            list(connector.raw_results(avro(value)))


def test_files_of_results_are_signed_anew(app, server, connector):
    app.part_rows = 10
    ended = over(connector, submit(connector))
    server.forget()

    results = connector.results(ended)
    next(results)
    for request in server.requests:
        assert "/2?" not in f"{request.path}?"
    assert len(list(results)) == LINES - 1
    asked = [request.path for request in server.requests]
    signed = [path for path in asked if path.startswith("/signed/")]
    assert [path.rpartition("/")[2] for path in signed] == ["0", "1", "2", "3"]
    assert asked.count(f"/v1/datasets/{ended.output_id}") == 4


def test_results_that_are_cut_give_no_line_of_that_file(server, connector):
    ended = over(connector, submit(connector))
    server.faults.add(Fault(path="/0", cut_at=900))

    with pytest.raises(UpstreamError) as wrong:
        next(connector.results(ended))
    assert "Signature" not in str(wrong.value)


def test_a_store_that_repeats_the_signature_does_not_show_it(server, connector):
    ended = over(connector, submit(connector))
    server.faults.add(Fault(path="/0", status=403, body=b"<Error>No.</Error>", content_type="application/xml"))
    with pytest.raises(RefusedError):
        list(connector.results(ended))
    signed = next(request.query for request in server.requests if request.path.startswith("/signed/"))
    signature = signed.rpartition("=")[2]
    server.faults.clear()
    told = orjson.dumps({"message": f"The signature {signature} of {KEY} is wrong."})
    server.faults.add(Fault(path="/0", status=403, body=told))

    with pytest.raises(RefusedError) as wrong:
        list(connector.results(ended))
    assert not secrets_in(wrong.value, KEY)
