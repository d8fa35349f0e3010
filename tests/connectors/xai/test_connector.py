"""The connector of xAI against its fake: files, batches without a status, results in pages."""

import time

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError
from app.connectors.contract.objects import NativeJob, SoughtJob
from app.connectors.providers.xai import XAI
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.fakes.xai_app import XAIApp, told
from tests.support.broken_answers import FAULTS, NEVER_RIGHT, NOT_JSON, refuses, tolerates, variants
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    plain,
    secrets_in,
    target,
    until_over,
    wanted,
)

KEY = "sk-canary-secret"
JOB = NativeJob("batch_1", "completed")


@pytest.fixture
def app():
    return XAIApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def connector(server):
    connector = XAI(target("xai", server.base_url))
    yield connector
    connector.close()


def submit(connector, lines, **fields):
    source = connector.upload_file(new_file(encoded(connector, lines)))
    return connector.create_job(new_job("grok-4", lines=LINES, input_id=source.id, **fields))


def test_a_file_comes_and_goes(connector):
    made = connector.upload_file(new_file(b"hello", filename="a b.txt", purpose="user_data", expires_after_s=3600))

    assert (made.filename, made.bytes, made.purpose, made.status) == ("a b.txt", 5, "", "processed")
    assert made.expires_at == made.created_at + 3_600_000
    assert connector.retrieve_file(made.id) == made
    with connector.read_file(made.id) as download:
        assert b"".join(download.chunks) == b"hello"
    connector.delete_file(made.id)
    connector.delete_file(made.id)
    with pytest.raises(MissingError):
        connector.retrieve_file(made.id)


def test_files_are_listed_to_the_end(app, connector):
    made = [app.add_file(b"", filename=f"{n}", purpose="").id for n in range(150)]

    first = connector.list_files()
    rest = connector.list_files(after=first.after)

    assert [file.id for file in (*first.items, *rest.items)] == made[::-1]
    assert rest.after is None


def test_every_line_of_a_job_has_its_result(app, connector):
    app.most_per_page = 7
    made = submit(connector, job_lines("grok-4"), marker="bg-1")
    over = until_over(connector, made)

    assert (made.status, made.marker, made.output_id, made.errors) == ("validating", "bg-1", None, ())
    assert (over.status, over.total, over.completed, over.failed) == ("completed", 40, 38, 2)
    assert over.output_id == over.id and over.expires_at == over.created_at + 24 * 3_600_000
    results = list(connector.results(over))
    assert plain(results) == wanted()
    assert {result.usage.total_tokens > 0 for result in results if result.status_code == 200} == {True}


def test_a_job_is_found_by_its_marker(app, connector):
    for number in range(120):
        app.add_job([], endpoint="", model="", input_id="file_1", fields={"name": f"bg-{number}"})
    sought = SoughtJob("bg-3", None, int(time.time() * 1000) - 60_000)

    assert [job.marker for job in connector.find_jobs(sought)] == ["bg-3"]
    assert connector.find_jobs(SoughtJob("bg-none", "file_1", sought.not_before)) == []


def test_a_job_is_cancelled_once(app, server, connector):
    app.looks_to_end = None
    made = submit(connector, job_lines("grok-4", count=3))

    asked = connector.cancel_job(made.id)
    over = until_over(connector, asked)
    again = connector.cancel_job(made.id)

    assert (asked.status, over.status, again.status) == ("cancelling", "cancelled", "cancelled")
    assert over.ended_at is not None and (over.completed, over.failed) == (0, 3)
    assert {result.error_code for result in connector.results(over)} == {"batch_cancelled"}
    assert sum(1 for request in server.requests if request.path.endswith(":cancel")) == 1


PAST, SOON = told(time.time() - 60), told(time.time() + 3600)


@pytest.mark.parametrize(
    ("changes", "pending", "status"),
    [
        ({}, 0, "validating"),
        ({}, 2, "in_progress"),
        ({"num_requests": 2}, 0, "completed"),
        ({"expire_time": PAST}, 2, "expired"),
        ({"expire_time": PAST}, 0, "expired"),
        ({"expire_time": PAST, "num_requests": 2}, 0, "completed"),
        ({"cancel_time": PAST}, 2, "cancelling"),
        ({"cancel_time": PAST}, 0, "cancelled"),
        ({"cancel_time": PAST, "expire_time": PAST}, 2, "cancelled"),
        ({"cancel_time": PAST, "cancel_by_xai_message": "Abuse."}, 2, "failed"),
        ({"cancel_by_xai_message": ""}, 2, "in_progress"),
    ],
)
def test_the_status_is_derived_in_order(server, connector, changes, pending, status):
    counts = {"num_requests": changes.pop("num_requests", pending), "num_pending": pending}
    batch = {"batch_id": "b", "name": "n", "create_time": PAST, "expire_time": SOON, "state": counts, **changes}
    server.faults.add(Fault(status=200, body=orjson.dumps(batch)))

    job = connector.retrieve_job("b")

    assert job.status == status
    assert [error.message for error in job.errors] == (["Abuse."] if status == "failed" else [])


def test_other_endpoints_and_other_errors_are_read(server, connector):
    answers = [
        {"batch_result": {"response": {"responses": {"id": "r", "output": []}}}},
        {"batch_result": {"response": {"image_generation": {"data": []}, "chat_get_completion": None}}},
        {"response": {"video_generation": {"url": "u"}}},
        {"batch_result": {"error": {"code": 8, "message": "Slow."}}},
        {"error": {"code": "INTERNAL", "message": "Oh."}},
        {"batch_result": {"error": {"code": "content_moderated", "message": "No."}}},
        {"batch_result": {"error": "Just words."}},
    ]
    rows = [{"batch_request_id": f"{number}", **answer} for number, answer in enumerate(answers)]
    server.faults.add(Fault(status=200, body=orjson.dumps({"results": rows})))

    found = list(connector.results(JOB))

    assert [result.status_code for result in found] == [200, 200, 200, 429, 500, 400, 400]
    told_as = [orjson.loads(result.body) for result in found]
    assert told_as[:3] == [{"id": "r", "output": []}, {"data": []}, {"url": "u"}]
    assert [body["error"]["code"] for body in told_as[3:]] == [None, None, "content_moderated", None]
    assert told_as[6]["error"]["message"] == "Just words."


def test_single_lines_are_answered(connector):
    body = {"model": "grok-4", "messages": [{"role": "user", "content": "Hello"}]}

    assert connector.run_line(LineCall(CHAT, body, 5.0)).status_code == 200
    connector.check()


CALLS = {
    "retrieve_file": lambda c: c.retrieve_file("f/1"),
    "list_files": lambda c: c.list_files(),
    "upload_file": lambda c: c.upload_file(new_file(b"x")),
    "retrieve_job": lambda c: c.retrieve_job("b"),
    "list_jobs": lambda c: c.list_jobs(),
    "create_job": lambda c: c.create_job(new_job("m", lines=1, input_id="f")),
    "cancel_job": lambda c: c.cancel_job("b"),
    "results": lambda c: list(c.results(JOB)),
    "find_jobs": lambda c: c.find_jobs(SoughtJob("m", None, 0)),
}
FILE = {"id": "f", "filename": "x", "bytes": 1, "created_at": 1700000000, "expires_at": None, "purpose": ""}
BATCH = {
    "batch_id": "b",
    "name": "n",
    "create_time": "2026-01-01T00:00:00Z",
    "expire_time": "2026-01-01T00:00:00Z",
    "cancel_time": None,
    "input_file_id": "f",
    "state": {"num_requests": 1, "num_pending": 1, "num_success": 0, "num_error": 0},
}
ROW = {"batch_request_id": "1", "batch_result": {"response": {"chat_get_completion": {"choices": []}}}}
FILE_FIELDS = ("id", "filename", "bytes", "created_at", "purpose")
BATCH_FIELDS = ("batch_id", "name", "create_time", "expire_time", "cancel_time", "input_file_id", "state")
VARIANTS = {
    "retrieve_file": (FILE, FILE_FIELDS),
    "upload_file": (FILE, FILE_FIELDS),
    "list_files": ({"data": [FILE], "pagination_token": None}, ("data", "data.0", "data.0.id", "pagination_token")),
    "retrieve_job": (BATCH, (*BATCH_FIELDS, "state.num_requests", "state.num_pending")),
    "create_job": (BATCH, BATCH_FIELDS),
    "cancel_job": (BATCH, BATCH_FIELDS),
    "list_jobs": ({"batches": [BATCH], "pagination_token": None}, ("batches", "batches.0", "pagination_token")),
    "find_jobs": ({"batches": [BATCH], "pagination_token": None}, ("batches", "batches.0.name")),
    "results": (
        {"results": [ROW], "pagination_token": None},
        ("results", "results.0", "results.0.batch_result", "results.0.batch_result.response", "pagination_token"),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_an_upstream_error(server, connector, name):
    for answer in NEVER_RIGHT.values():
        refuses(lambda: CALLS[name](connector), server, answer)
    for answer in variants(*VARIANTS[name][:1], *VARIANTS[name][1]):
        tolerates(lambda: CALLS[name](connector), server, answer)
    if not name.startswith(("list", "find", "results")):
        refuses(lambda: CALLS[name](connector), server, {})


@pytest.mark.parametrize("answer", NOT_JSON)
def test_results_that_are_not_json_are_an_upstream_error(server, connector, answer):
    refuses(lambda: list(connector.results(JOB)), server, NOT_JSON[answer])


def test_a_page_that_leads_to_itself_ends(server, connector):
    server.faults.add(Fault(status=200, body=orjson.dumps({"results": [], "pagination_token": "again"})))

    with pytest.raises(UpstreamError, match="leads to itself"):
        list(connector.results(JOB))


@pytest.mark.parametrize("name", ["list_files", "upload_file", "create_job", "results"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_upstream_errors_and_posts_are_sent_once(server, connector, name, fault):
    injected, kind = FAULTS[fault]
    server.faults.add(injected)

    with pytest.raises(kind) as wrong:
        CALLS[name](connector)

    assert not secrets_in(wrong.value)
    assert sum(1 for request in server.requests if request.method == "POST") <= 1
    if fault == "429":
        assert wrong.value.retry_after_s == 7


def test_a_wrong_key_shows_nowhere(server):
    connector = XAI(target("xai", server.base_url, key="sk-canary-other"))

    with pytest.raises(RefusedError) as refused:
        connector.list_files()
    connector.close()

    assert refused.value.status == 401
    assert not secrets_in(refused.value, "sk-canary-other")
