"""The connector of Vertex against answers that it should not be given, and ids that mean nothing."""

from dataclasses import replace

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import MissingError, OverloadedError, RefusedError, UpstreamError
from app.connectors.contract.objects import NativeJob
from app.connectors.contract.refusals import Kind
from app.connectors.providers.vertex import shapes
from app.connectors.providers.vertex.connector import Vertex
from tests.connectors.vertex.specimen import JOB as SPECIMEN_JOB
from tests.fakes import google_keys
from tests.fakes.faults import Fault
from tests.fakes.provider_app import FakeResult
from tests.fakes.vertex_app import BUCKET, LOCATION, NUMBER, PROJECT, VertexApp
from tests.support.broken_answers import NOT_JSON, variants
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    secrets_in,
    target,
    until_over,
)

TOKEN = "sk-canary-secret"
GEMINI = "gemini-2.5-flash"
NAME = f"projects/{NUMBER}/locations/{LOCATION}/batchPredictionJobs/17"
HELLO = {"messages": [{"role": "user", "content": "Hello?"}]}


@pytest.fixture
def app():
    return VertexApp(api_key=TOKEN)


def account(server):
    options = {"bucket": BUCKET, "prefix": "team", "storage_url": server.url}
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


def submit(connector, *, count=LINES):
    source = uploaded(connector, encoded(connector, job_lines(GEMINI, count=count)))
    return connector.create_job(new_job(GEMINI, lines=count, input_id=source))


def answered(connector):
    return connector.run_line(LineCall(CHAT, {"model": GEMINI, **HELLO}, 5.0))


def test_results_lie_where_they_were_to_be_and_no_other_folder_is_deleted(app, server, connector):
    over = until_over(connector, submit(connector, count=2))
    job = app.job(over.id.rpartition("/")[2])
    places = ("team", "team/jobs", "team/jobs/bg-marker-1", "team/jobs/another/x", "else/jobs/bg-marker-1/x")
    for place in (*places, "team/jobs/bg-marker-1/.."):
        job.output_id = f"gs://{BUCKET}/{place}"
        with pytest.raises(UpstreamError, match="not in their folder"):
            connector.retrieve_job(over.id)
    server.forget()
    for folder in ("team/", "team/jobs/", "team/jobs/bg-marker-1/", "team/p1/file-1/", "else/jobs/a/b/"):
        with pytest.raises(MissingError):
            connector.delete_file(f"gs://{BUCKET}/{folder}")
    assert server.requests == []


def test_statuses_of_lines_in_every_form():
    forms = {
        '{"code": 3, "message": "No."}': (400, "No."),
        '{"code": 429, "message": "Slow."}': (429, "Slow."),
        'Bad Request: {"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT"}}': (400, "No."),
        '{"type": "error", "error": {"type": "overloaded_error", "message": "Full."}}': (529, "Full."),
        '{"type": "not_found_error", "message": "Gone."}': (404, "Gone."),
        "RESOURCE_EXHAUSTED: Quota exceeded.": (429, "RESOURCE_EXHAUSTED: Quota exceeded."),
        "Internal error occurred {": (400, "Internal error occurred {"),
        "It is (UNAVAILABLE)": (503, "It is (UNAVAILABLE)"),
    }
    rows = [
        {"custom_id": f"{n}", "status": text, "request": {}, "response": {"content": []}}
        for n, text in enumerate(forms)
    ]
    rows.append({"custom_id": "object", "status": {"code": 7, "message": "Never."}, "request": {}})
    found = list(shapes.chats(iter([map(orjson.dumps, rows)]), lambda _: None))

    told = [(result.status_code, orjson.loads(result.body)["error"]["message"]) for result in found]
    assert told == [*forms.values(), (403, "Never.")]


def test_rows_that_make_no_sense():
    good = {"status": "", "request": {"labels": {"batchgate_id": "a"}}, "response": {}}
    for row in (b"{", b"[]", b"17", b"{}", orjson.dumps({**good, "request": {"labels": {}}})):
        with pytest.raises(UpstreamError):
            list(shapes.chats(iter([iter([row])]), lambda _: None))
    for field in ("request.labels", "request", "status"):
        for row in variants(good, field):
            try:
                list(shapes.chats(iter([iter([orjson.dumps(row)])]), lambda _: None))
            except UpstreamError:
                continue
    [none] = shapes.chats(iter([iter([orjson.dumps({**good, "response": None})])]), lambda _: None)
    assert none.error_code == "bad_answer"


def test_a_row_without_an_owner_does_not_hold_up_the_others():
    good = {"status": "Never.", "request": {"labels": {"batchgate_id": "a"}}}
    for nobodys in ({}, {"custom_id": ""}, {"request": []}, {"request": {"labels": {"batchgate_id": 7}}}):
        rows = [good, nobodys, {"custom_id": "b", "status": "Never."}]
        found = shapes.chats(iter([map(orjson.dumps, rows)]), lambda _: None)
        assert [result.custom_id for result in found] == ["a", "", "b"]
    pieces = [orjson.dumps({"key": key, "status": "Never."}) for key in ("a", None, "b")]
    found = shapes.embeddings(iter([iter(pieces)]), lambda _: None, status="completed")
    assert [result.custom_id for result in found] == ["a", "", "b"]


def test_answers_that_make_no_sense_end_their_lines_only(app, connector):
    app.looks_to_end = None
    job = app.job(submit(connector, count=3).id.rpartition("/")[2])
    job.results = [app.run(job, line) for line in job.lines]
    job.results[1] = FakeResult("", 200, {**job.results[1].body, "response": {"candidates": "x"}})
    app.end(job, "expired")
    over = connector.retrieve_job(f"projects/{NUMBER}/locations/{LOCATION}/batchPredictionJobs/{job.id}")

    found = list(connector.results(replace(over, endpoint=CHAT, model=GEMINI)))
    assert [result.error_code for result in found] == [None, "bad_answer", None]


@pytest.mark.parametrize("native_id", ["17", "projects/p/locations/l/batchPredictionJobs/../x", f"{NAME}/x", "", "a b"])
def test_ids_that_are_no_jobs_are_missing_without_a_call(server, connector, native_id):
    for call in (connector.retrieve_job, connector.cancel_job):
        with pytest.raises(MissingError):
            call(native_id)
    connector.delete_job(native_id)
    assert server.requests == []


def test_a_refused_token_is_in_no_error(server, connector):
    server.app.api_key = "another"
    calls = {
        connector.list_jobs: RefusedError,
        connector.list_files: RefusedError,
        lambda: answered(connector): OverloadedError,
    }
    for call, expected in calls.items():
        with pytest.raises(expected) as refusal:
            call()
        assert (refusal.value.status, refusal.value.kind) == (401, Kind.CREDENTIAL)
        assert not secrets_in(refusal.value)
    assert not connector._api.remote.redaction.text(google_keys.private_key()).count("PRIVATE")


JOB = {**SPECIMEN_JOB, "outputInfo": {"gcsOutputDirectory": f"gs://{BUCKET}/team/jobs/bg-marker-1/out"}}


def test_a_whole_job_as_it_is_told(server, connector):
    server.faults.add(Fault(status=200, body=orjson.dumps(JOB)))
    job = connector.retrieve_job(NAME)

    assert (job.status, job.marker, job.input_id) == ("completed", "bg-marker-1", "gs://a/b")
    assert (job.total, job.completed, job.failed) == (3, 1, 2)
    assert (job.created_at, job.in_progress_at, job.ended_at) == (1767323045000, 1767323045100, 1767323046123)
    assert [error.code for error in job.errors] == ["invalid_argument", "invalid_argument"]
    assert PROJECT in connector._base()


@pytest.mark.parametrize("answer", NOT_JSON)
def test_results_that_are_not_json_are_upstream_errors(app, server, connector, answer):
    app.memory.put(BUCKET, "team/jobs/m/out/predictions.jsonl", NOT_JSON[answer])
    job = NativeJob(NAME, "completed", endpoint=CHAT, model=GEMINI, output_id=f"gs://{BUCKET}/team/jobs/m/out/")
    with pytest.raises(UpstreamError):
        list(connector.results(job))


def test_results_that_are_cut_give_no_line_of_their_file(app, server, connector):
    app.part_rows = 1000
    over = replace(until_over(connector, submit(connector)), endpoint=CHAT, model=GEMINI)
    server.faults.add(Fault(path="predictions.jsonl", cut_at=5000))

    seen = []
    with pytest.raises(UpstreamError):
        seen += connector.results(over)
    assert seen == []
