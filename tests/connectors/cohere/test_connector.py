"""The connector of Cohere against its fake: datasets, batches found by name, results in Avro behind signed URLs."""

import sys
import time

import orjson
import pytest

from app.connectors.catalogue import registry
from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import ConfigurationError, MissingError, RefusedError, UpstreamServerError
from app.connectors.contract.objects import JobLine, NativeJob, SoughtJob
from app.connectors.providers import cohere as package
from app.connectors.providers.cohere.connector import Cohere
from app.translate.errors import TranslationError
from app.translate.neutral import EmbeddingAnswer
from tests.fakes.cohere_app import CohereApp
from tests.fakes.faults import Fault
from tests.fakes.openai_app import _vector
from tests.support.cohere import EMBEDDINGS, MODEL, submit, upload
from tests.support.native_jobs import (
    CHAT,
    encoded,
    job_lines,
    new_file,
    new_job,
    read,
    secrets_in,
    target,
    until_over,
)

KEY = "sk-canary-secret"
DAY_MS = 24 * 3600 * 1000
JOB = NativeJob("batch-1", "completed", output_id="dataset-1", endpoint=CHAT)


@pytest.fixture
def app():
    return CohereApp(api_key=KEY)


@pytest.fixture
def connector(server):
    connector = Cohere(target("cohere", server.url, options={"download_hosts": "127.0.0.1, .example.com"}))
    yield connector
    connector.close()


# Files.


def test_a_dataset_is_made_with_the_ids_of_its_lines_and_checked(server, connector):
    data = encoded(connector, job_lines(MODEL, count=2))
    made = connector.upload_file(new_file(data, endpoint=CHAT, filename="in.jsonl"))
    sent = next(request for request in server.requests if request.method == "POST")
    later = connector.retrieve_file(made.id)

    assert sent.query == "name=in.jsonl&type=batch-chat-v2-input&keep_fields=custom_id"
    assert b'name="data"' in sent.body and data in sent.body
    assert (made.status, later.status) == ("processing", "processed")
    assert (later.filename, later.purpose) == ("in.jsonl", "batch")


def test_the_type_of_a_dataset_is_that_of_its_lines(app, connector):
    for endpoint, kind in (
        (CHAT, "batch-chat-v2-input"),
        ("/v1/responses", "batch-chat-v2-input"),
        ("/v1/messages", "batch-chat-v2-input"),
        (EMBEDDINGS, "batch-embed-v2-input"),
    ):
        made = connector.upload_file(new_file(b"{}\n", endpoint=endpoint))
        assert app.files[made.id].purpose == kind


@pytest.mark.parametrize(
    ("purpose", "endpoint"), [("user_data", None), ("fine-tune", None), ("batch", None), ("batch", "/v1/moderations")]
)
def test_what_is_no_input_of_a_batch_is_never_sent(server, connector, purpose, endpoint):
    with pytest.raises(RefusedError) as refused:
        connector.upload_file(new_file(b"x", purpose=purpose, endpoint=endpoint))

    assert (refused.value.sent, refused.value.param) == (False, "purpose")
    assert server.requests == []


def test_a_dataset_with_wrong_rows_is_an_error(connector):
    assert upload(connector, b'{"custom_id":"a","body":{"model":"m"}}\n').status == "error"


def test_a_dataset_that_cannot_be_looked_at_was_made_all_the_same(server, connector):
    server.faults.add(Fault(method="GET", status=400, body=b'{"message":"No."}'))

    assert connector.upload_file(new_file(b"{}\n", endpoint=CHAT)).status == "processing"


@pytest.mark.parametrize("original", [True, False])
def test_the_files_of_a_dataset_come_one_after_another(app, connector, original):
    made = app.add_dataset(b"", name="x", kind="batch-chat-v2-input", original=original)
    made.fields |= {"parts": [b"one\n", b"two\n", b"three\n"], "looks": 0, "error": ""}

    with connector.read_file(made.id) as download:
        assert download.length is None
        assert b"".join(download.chunks) == b"one\ntwo\nthree\n"
    made.fields["parts"] = [b"one\n"]
    with connector.read_file(made.id) as download:
        assert (download.length, b"".join(download.chunks)) == (4, b"one\n")
    made.fields["parts"] = []
    with pytest.raises(UpstreamServerError):
        read(connector.read_file(made.id))


def test_a_host_that_is_not_allowed_is_never_asked(app, server, connector):
    file = upload(connector, encoded(connector, job_lines(MODEL, count=1)))
    for origin in ("http://127.0.0.1.evil.test", "ftp://127.0.0.1", "http://x@127.0.0.1"):
        app.origin = origin
        with pytest.raises(UpstreamServerError) as refused:
            read(connector.read_file(file.id))
        assert not secrets_in(refused.value)
    assert Cohere(target("cohere", server.url))._download_hosts == ("storage.googleapis.com",)


def test_no_credential_goes_to_the_store(server, connector):
    file = upload(connector, encoded(connector, job_lines(MODEL, count=1)))
    server.forget()

    read(connector.read_file(file.id))

    signed = next(request for request in server.requests if request.path.startswith("/signed/"))
    assert "authorization" not in signed.headers


# Batches.


def test_the_request_is_as_small_as_it_can_be(server, connector):
    made = submit(connector)

    [sent] = [request for request in server.requests if request.path == "/v2/batches"]
    assert sent.json == {"name": "bg-marker-1", "input_dataset_id": made.input_id, "model": MODEL}


def test_lines_of_other_dialects_are_chats(connector):
    messages = {"max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]}
    lines = [
        JobLine("a", "/v1/messages", MODEL, messages),
        JobLine("b", "/v1/responses", MODEL, {"input": "Hello", "max_output_tokens": 5, "user": "u"}),
        JobLine("c", CHAT, MODEL, {**messages, "user": "u", "stop": "END"}),
    ]
    made = [connector.encode_line(line) for line in lines]

    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}], "max_tokens": 5}
    assert [orjson.loads(line.data) for line in made] == [{"custom_id": name, "body": body} for name in "abc"]
    assert set(made[2].dropped) == {"stop", "user"}
    with pytest.raises(TranslationError):
        connector.encode_line(JobLine("d", CHAT, MODEL, {**messages, "n": 2}))


def test_a_job_is_found_by_its_name_on_any_page(app, connector):
    file = upload(connector, encoded(connector, job_lines(MODEL, count=1)))
    made = [connector.create_job(new_job(MODEL, lines=1, input_id=file.id, marker=f"bg-{n}")).id for n in range(3)]
    for number in range(2000):
        app.add_job([], endpoint=CHAT, model=MODEL, fields={"name": f"other {number}"})
    last = connector.create_job(new_job(MODEL, lines=1, input_id=file.id, marker="bg-last"))
    now = int(time.time() * 1000) + 3_600_000

    assert [job.id for job in connector.find_jobs(SoughtJob("bg-1", None, now))] == [made[1]]
    assert [job.id for job in connector.find_jobs(SoughtJob("bg-last", None, 0))] == [last.id]
    assert connector.find_jobs(SoughtJob("bg-nope", file.id, 0)) == []


@pytest.mark.parametrize("path", [":cancel", "/cancel"])
def test_a_job_is_cancelled_and_one_that_is_over_stays_as_it_is(app, connector, path):
    app.cancel_path = path
    made = submit(connector)

    cancelled = until_over(connector, connector.cancel_job(made.id))
    again = connector.cancel_job(made.id)

    assert cancelled.status == again.status == "cancelled"
    assert list(connector.results(cancelled)) == []
    with pytest.raises(MissingError):
        connector.cancel_job("nope")


def test_a_cancel_that_is_refused_while_the_job_runs_is_told(server, connector):
    made = submit(connector)
    server.faults.add(Fault(path="cancel", status=409, body=b'{"message":"Not now."}'))

    with pytest.raises(RefusedError, match=r"Not now\."):
        connector.cancel_job(made.id)


def test_a_failed_job_says_why(app, connector):
    made = submit(connector)
    app.jobs[made.id].state, app.jobs[made.id].fields["reason"] = "failed", "The model is not there."

    job = connector.retrieve_job(made.id)

    assert [(error.code, error.message) for error in job.errors] == [("batch_failed", "The model is not there.")]
    assert list(connector.results(job)) == []


def test_results_that_are_gone_are_missing_where_they_have_to_be(connector):
    with pytest.raises(MissingError):
        list(connector.results(JOB))
    assert list(connector.results(NativeJob("b", "cancelled", output_id="dataset-1"))) == []
    assert list(connector.results(NativeJob("b", "completed"))) == []


# Single lines.


def line(connector, endpoint, **fields):
    return connector.run_line(LineCall(endpoint, {"model": MODEL, **fields}, 5.0))


def test_single_lines_are_answered(server, connector):
    hello = [{"role": "user", "content": "Hello"}]
    told = line(connector, CHAT, messages=hello, stop=["END"], user="u")
    message = line(connector, "/v1/messages", messages=hello, max_tokens=50)
    refused = line(connector, CHAT, messages=[{"role": "user", "content": "please refuse-this"}])
    untold = line(connector, CHAT, messages=hello, n=2)

    assert told.answer.choices[0].parts[0].endswith("you said: Hello")
    assert (told.status_code, told.dropped, told.usage.cached_tokens) == (200, ("user",), 1)
    assert message.answer.choices[0].parts == told.answer.choices[0].parts
    assert refused.status_code == 400
    assert orjson.loads(refused.body)["error"]["message"] == "The prompt was refused."
    assert orjson.loads(untold.body)["error"]["param"] == "n"
    assert [request.path for request in server.requests] == ["/v2/chat"] * 3


def test_vectors_of_many_texts_take_several_calls(server, connector):
    many = [f"text {n}" for n in range(200)]

    told = line(connector, EMBEDDINGS, input=many)

    assert isinstance(told.answer, EmbeddingAnswer)
    assert told.answer.vectors == [_vector(text) for text in many]
    assert told.usage.input_tokens == told.answer.usage.input_tokens == 400
    assert [len(request.json["texts"]) for request in server.requests] == [96, 96, 8]
    assert line(connector, EMBEDDINGS, input="one").answer.vectors == [_vector("one")]
    refused = line(connector, EMBEDDINGS, input=[*many, 7])
    assert refused.status_code == 400
    server.faults.add(Fault(path="/v2/embed", status=500))
    with pytest.raises(UpstreamServerError):
        line(connector, EMBEDDINGS, input=many)


@pytest.mark.parametrize("answer", [b"7", b"{}", b'{"message":{"content":7}}', b"{", b'{"finish_reason":"ERROR"}'])
def test_a_single_answer_that_makes_no_sense_is_an_upstream_error(server, connector, answer):
    server.faults.add(Fault(path="/v2/chat", status=200, body=answer))

    with pytest.raises(UpstreamServerError) as wrong:
        line(connector, CHAT, messages=[{"role": "user", "content": "Hello"}])
    assert wrong.value.code == "bad_answer"


def test_models_are_listed_and_the_key_is_checked(server, connector):
    assert [model["id"] for model in connector.list_models(timeout_s=5.0)] == [MODEL]
    connector.check()
    assert connector.healthy
    versioned = Cohere(target("cohere", f"{server.url}/v1/"))
    versioned.check()
    versioned.close()
    assert {request.path for request in server.requests} == {"/v1/models", "/v1/datasets"}


def test_what_the_catalogue_says(server):
    entry = registry.find("cohere")
    assert entry.install_hint == "pip install batchgate[cohere]"
    [configured] = registry.configured(
        {"COHERE_API_KEY": "k", "CO_API_URL": server.url, "COHERE_DOWNLOAD_HOSTS": "a.example"}
    )
    assert (configured.base_url, configured.options) == (server.url, {"download_hosts": "a.example"})


def test_what_has_to_be_installed_for_it_is_told(monkeypatch, server):
    monkeypatch.setitem(sys.modules, "fastavro", None)
    for name in ("avro", "results", "connector"):
        monkeypatch.delitem(sys.modules, f"app.connectors.providers.cohere.{name}")
        monkeypatch.delattr(package, name)

    with pytest.raises(ConfigurationError, match=r"fastavro.*batchgate\[cohere\]"):
        registry.load(target("cohere", server.url))
