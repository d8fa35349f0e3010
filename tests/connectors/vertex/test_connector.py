"""The connector of Vertex against its fake: Gemini, Claude and vectors, by jobs and one by one; bytes in a bucket."""

from dataclasses import replace

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import ConfigurationError, MissingError, RefusedError
from app.connectors.contract.objects import JobLine, SoughtJob
from app.connectors.providers.vertex import models
from app.connectors.providers.vertex.connector import Vertex
from app.translate import dialects
from app.translate.errors import TranslationError
from tests.fakes import google_keys
from tests.fakes.gcs_app import Remote
from tests.fakes.serving import ServedApp
from tests.fakes.vertex_app import BUCKET, LOCATION, NUMBER, VertexApp
from tests.support.gcs import make_bucket
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    plain,
    target,
    until_over,
    wanted,
)

TOKEN = "sk-canary-secret"
GEMINI, CLAUDE, EMBEDDER = "gemini-2.5-flash", "claude-sonnet-4-5", "gemini-embedding-001"
EMBEDDINGS = "/v1/embeddings"
SOUGHT = SoughtJob("bg-marker-1", None, 0)
BOTH = pytest.mark.parametrize("model", [GEMINI, CLAUDE])
HELLO = {"messages": [{"role": "user", "content": "Hello?"}]}


@pytest.fixture
def app():
    return VertexApp(api_key=TOKEN)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


def account(server, **options):
    options = {"bucket": BUCKET, "prefix": "team", "storage_url": server.url, **options}
    key = google_keys.service_account(f"{server.url}/token")
    return Vertex(target("vertex", server.url, key=key, options=options))


@pytest.fixture
def connector(server):
    connector = account(server)
    connector.check()  # so that it has its token
    server.forget()
    yield connector
    connector.close()


def uploaded(connector, data):
    return connector.upload_file(new_file(data, filename="batchgate-1.jsonl")).id


def submit(connector, *, model=GEMINI, count=LINES, **fields):
    source = uploaded(connector, encoded(connector, job_lines(model, count=count)))
    return connector.create_job(new_job(model, lines=count, input_id=source, **fields))


def said(results):
    """Results as the pipeline makes lines of them."""
    for result in results:
        if result.answer is not None:
            words = {"answer_id": "x", "model": "m", "now_s": 17}
            body = dialects.write_answer(CHAT, result.answer, request={}, **words)
            result = replace(result, body=orjson.dumps(body))
        yield result


def read(manager):
    with manager as download:
        return b"".join(download.chunks)


@BOTH
def test_results_lie_in_the_bucket_until_they_are_deleted(app, connector, model):
    made = submit(connector, model=model)
    over = replace(until_over(connector, made), endpoint=CHAT, model=model)

    assert made.id.startswith(f"projects/{NUMBER}/locations/{LOCATION}/batchPredictionJobs/")
    assert made.input_id == f"gs://{BUCKET}/team/batchgate-1.jsonl"
    assert over.output_id.startswith(f"gs://{BUCKET}/team/jobs/bg-marker-1/prediction-model-")
    assert all("response" in orjson.loads(row) for row in connector.raw_results(over))
    assert connector.retrieve_file(over.output_id).bytes == sum(
        len(stored.data) for name, stored in app.memory.buckets[BUCKET].items() if "/jobs/" in name
    )
    connector.delete_file(over.output_id)
    assert [name for name in app.memory.buckets[BUCKET] if "/jobs/" in name] == []
    with pytest.raises(MissingError):
        list(connector.results(over))


def test_a_job_whose_bytes_lie_in_a_bucket_that_is_not_ours(app, server, gcs_server):
    make_bucket(gcs_server, BUCKET)
    app.store = Remote(gcs_server)
    connector = account(server, storage_url=gcs_server, prefix="jobs-of-vertex")
    over = until_over(connector, submit(connector))

    assert plain(said(connector.results(replace(over, endpoint=CHAT, model=GEMINI)))) == wanted()
    connector.delete_file(over.output_id)
    connector.delete_file(over.input_id)
    assert connector.list_files().items == []
    connector.close()


def test_the_request_of_a_job(server, connector):
    submit(connector, count=1)

    assert server.requests[-1].path == f"/v1/projects/acme-tests/locations/{LOCATION}/batchPredictionJobs"
    assert server.requests[-1].json == {
        "displayName": "bg-marker-1",
        "model": "publishers/google/models/gemini-2.5-flash",
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [f"gs://{BUCKET}/team/batchgate-1.jsonl"]}},
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{BUCKET}/team/jobs/bg-marker-1/"},
        },
        "labels": {"batchgate": "bg-marker-1"},
    }


def test_lines_as_each_model_has_them(connector):
    assert orjson.loads(connector.encode_line(JobLine("l-1", CHAT, GEMINI, HELLO)).data) == {
        "request": {
            "contents": [{"role": "user", "parts": [{"text": "Hello?"}]}],
            "labels": {"batchgate_id": "l-1"},
        }
    }
    claude = orjson.loads(connector.encode_line(JobLine("l-1", CHAT, CLAUDE, {**HELLO, "max_tokens": 9})).data)
    assert claude == {
        "custom_id": "l-1",
        "request": {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, **HELLO},
    }
    asked = {"input": ["a", "b"], "dimensions": 8, "user": "u"}
    line = connector.encode_line(JobLine("l-1", EMBEDDINGS, EMBEDDER, asked))
    assert [orjson.loads(record) for record in line.data.splitlines()] == [
        {"key": f"l-1#{n}/2", "request": {"content": {"parts": [{"text": text}]}, "output_dimensionality": 8}}
        for n, text in enumerate("ab")
    ]
    assert (line.records, line.dropped) == (2, ("user",))


@pytest.mark.parametrize(
    ("endpoint", "model", "body"),
    [
        (CHAT, "meta/llama-4-maverick-17b-128e-instruct-maas", HELLO),
        (CHAT, "../../other", HELLO),
        (CHAT, "", HELLO),
        (CHAT, GEMINI, {"messages": []}),
        (EMBEDDINGS, CLAUDE, {"input": "a"}),
        (EMBEDDINGS, EMBEDDER, {"input": ""}),
    ],
)
def test_lines_that_cannot_be_said(connector, endpoint, model, body):
    with pytest.raises(TranslationError):
        connector.encode_line(JobLine("l-1", endpoint, model, {"model": model, **body}))


@pytest.mark.parametrize(
    ("model", "path", "family"),
    [
        (GEMINI, "publishers/google/models/gemini-2.5-flash", "gemini"),
        ("google/gemini-2.5-flash", "publishers/google/models/gemini-2.5-flash", "gemini"),
        ("text-embedding-005", "publishers/google/models/text-embedding-005", "gemini"),
        ("claude-opus-4-5@20251101", "publishers/anthropic/models/claude-opus-4-5@20251101", "claude"),
        ("anthropic/claude-opus-4-5", "publishers/anthropic/models/claude-opus-4-5", "claude"),
        ("publishers/anthropic/models/claude-x", "publishers/anthropic/models/claude-x", "claude"),
        ("projects/p/locations/l/models/123", "projects/p/locations/l/models/123", "gemini"),
        (
            "projects/p/locations/l/publishers/anthropic/models/x",
            "projects/p/locations/l/publishers/anthropic/models/x",
            "claude",
        ),
    ],
)
def test_names_of_models(model, path, family):
    assert (models.path(model), models.family(model)) == (path, family)


def test_texts_become_vectors_in_order(connector):
    asked = {f"l-{n}": [f"text {n}.{part}" for part in range(n)] for n in range(1, 30)}
    data = b"".join(
        connector.encode_line(JobLine(name, EMBEDDINGS, EMBEDDER, {"input": texts})).data
        for name, texts in asked.items()
    )
    made = connector.create_job(new_job(EMBEDDER, lines=29, input_id=uploaded(connector, data), endpoint=EMBEDDINGS))
    over = replace(until_over(connector, made), endpoint=EMBEDDINGS, model=EMBEDDER)

    assert over.total is None  # Vertex counts texts
    found = {result.custom_id: result for result in connector.results(over)}
    assert found.keys() == asked.keys()
    for name, texts in asked.items():
        [alone] = [answered(connector, EMBEDDER, {"input": text}).answer.vectors[0] for text in texts[:1]]
        assert len(found[name].answer.vectors) == len(texts) and found[name].answer.vectors[0] == alone
        assert found[name].usage.input_tokens == 2 * len(texts)


def answered(connector, model, body, endpoint=EMBEDDINGS):
    return connector.run_line(LineCall(endpoint, {"model": model, **body}, 5.0))


@pytest.mark.parametrize("model", [EMBEDDER, "text-embedding-005"])
def test_single_texts(server, connector, model):
    one = answered(connector, model, {"input": "a b", "dimensions": 8})
    two = answered(connector, model, {"input": ["a b", "c"], "input_type": "search_query"})

    assert one.status_code == two.status_code == 200
    assert two.answer.vectors[0] == one.answer.vectors[0] and len(two.answer.vectors) == 2
    assert (one.usage.input_tokens, two.usage.input_tokens) == (2, 3)


@BOTH
def test_single_chats(server, connector, model):
    fine = answered(connector, model, HELLO, CHAT)
    wrong = answered(connector, model, {"messages": [{"role": "user", "content": "refuse-this"}]}, CHAT)
    unsaid = answered(connector, "meta/llama", HELLO, CHAT)

    assert fine.status_code == 200 and fine.answer.choices[0].parts[0].endswith("you said: Hello?")
    assert (wrong.status_code, orjson.loads(wrong.body)["error"]["message"]) == (400, "The prompt was refused.")
    assert (unsaid.status_code, orjson.loads(unsaid.body)["error"]["param"]) == (400, "model")
    verb = "rawPredict" if model == CLAUDE else "generateContent"
    assert server.requests[-1].path.endswith(f"/models/{model}:{verb}")


def test_jobs_are_listed_to_the_end_and_found_by_their_marker(app, connector):
    app.looks_to_end = None
    source = uploaded(connector, encoded(connector, job_lines(GEMINI, count=1)))
    made = [connector.create_job(new_job(GEMINI, lines=1, input_id=source, marker=f"bg-{n}")) for n in range(120)]

    first = connector.list_jobs()
    rest = connector.list_jobs(after=first.after)
    assert [job.id for job in (*first.items, *rest.items)] == [job.id for job in made[::-1]]
    assert rest.after is None
    assert [job.id for job in connector.find_jobs(SoughtJob("bg-17", None, 0))] == [made[17].id]
    assert connector.find_jobs(SOUGHT) == []


@pytest.mark.parametrize("marker", ["batch_0123-1", "Upper/case", "x" * 100])
def test_any_marker_finds_its_job(app, connector, marker):
    made = submit(connector, count=1, marker=marker)

    assert [job.id for job in connector.find_jobs(replace(SOUGHT, marker=marker))] == [made.id]
    assert made.marker == marker


def test_jobs_of_others_have_no_marker(app, connector):
    made = submit(connector, count=1)
    app.job(made.id.rpartition("/")[2]).fields["asked"]["labels"] = {}

    assert connector.retrieve_job(made.id).marker is None


def test_a_job_is_cancelled_and_deleted(app, connector):
    app.looks_to_end = None
    made = submit(connector, count=1)

    with pytest.raises(RefusedError) as early:
        connector.delete_job(made.id)
    assert connector.cancel_job(made.id).status in ("cancelling", "cancelled")
    over = until_over(connector, made)
    assert (over.status, over.errors, over.output_id) == ("cancelled", (), None)
    assert list(connector.results(replace(over, endpoint=CHAT, model=GEMINI))) == []
    assert connector.cancel_job(made.id).status == "cancelled"
    connector.delete_job(made.id)
    connector.delete_job(made.id)
    assert early.value.status == 400
    with pytest.raises(MissingError):
        connector.retrieve_job(made.id)


def test_a_job_that_ends_early_keeps_what_it_has(app, connector):
    app.looks_to_end = None
    job = app.job(submit(connector).id.rpartition("/")[2])
    job.results = [app.run(job, line) for line in job.lines[:3]]
    job.fields |= {
        "partial": [{"code": 14, "message": "One shard was lost."}],
        "error": {"code": 4, "message": "Late."},
    }
    app.end(job, "expired")

    over = connector.retrieve_job(f"projects/{NUMBER}/locations/{LOCATION}/batchPredictionJobs/{job.id}")
    assert (over.status, over.total, over.completed, over.failed) == ("expired", 40, 3, 37)
    assert [(error.code, error.message) for error in over.errors] == [
        ("deadline_exceeded", "Late."),
        ("unavailable", "One shard was lost."),
    ]
    assert len(list(connector.results(replace(over, endpoint=CHAT, model=GEMINI)))) == 3


def test_a_job_that_fails_as_a_whole_says_why(connector):
    made = connector.create_job(new_job(GEMINI, lines=1, input_id=f"gs://{BUCKET}/team/nowhere"))

    assert (made.status, made.total, made.failed) == ("failed", 0, 0)
    assert [error.code for error in made.errors] == ["not_found"]


def test_shards_of_other_names_are_left_alone(app, connector):
    over = replace(until_over(connector, submit(connector, count=3)), endpoint=CHAT, model=GEMINI)
    folder = over.output_id.removeprefix(f"gs://{BUCKET}/")
    app.memory.put(BUCKET, f"{folder}prediction.errors_stats-00000-of-00001", b"nonsense")
    app.memory.put(BUCKET, f"{folder}README", b"nonsense")

    assert len(list(connector.results(over))) == 3


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({}, "https://us-central1-aiplatform.googleapis.com"),
        ({"location": "europe-west4"}, "https://europe-west4-aiplatform.googleapis.com"),
        ({"location": "global"}, "https://aiplatform.googleapis.com"),
        ({"location": "eu"}, "https://aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_the_host_follows_the_location(options, host):
    for base_url in ("https://aiplatform.googleapis.com", ""):
        connector = Vertex(target("vertex", base_url, key="ya29.token-of-some-length", options=options))
        assert connector._api.remote.base_url == host


@pytest.mark.parametrize(
    "options",
    [{"location": "a.example/"}, {"project": "a/b"}, {"bucket": "No Bucket"}, {"prefix": "../x"}],
    ids=str,
)
def test_options_that_make_no_sense(server, options):
    with pytest.raises(ConfigurationError):
        account(server, **options)


def test_what_an_account_lacks_is_told_before_anything_is_sent(server):
    no_bucket = account(server, bucket="")
    no_project = Vertex(target("vertex", server.url, key=TOKEN, options={"storage_url": server.url}))

    for call in (lambda: no_bucket.upload_file(new_file(b"x")), no_bucket.list_files):
        with pytest.raises(RefusedError) as wrong:
            call()
        assert wrong.value.code == "no_bucket"
    for call in (no_project.list_jobs, no_project.check, lambda: answered(no_project, GEMINI, HELLO, CHAT)):
        with pytest.raises(RefusedError) as wrong:
            call()
        assert wrong.value.code == "no_project"
    assert server.requests == []
    with pytest.raises(MissingError):
        no_bucket.create_job(new_job(GEMINI, lines=1, input_id=f"gs://{BUCKET}/a"))
    no_bucket.check()
    assert [request.method for request in server.requests] == ["POST", "GET"]
