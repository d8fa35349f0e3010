"""The connector of xAI against its fake: files, batches without a status, results in pages."""

import time

import orjson
import pytest

from app.connectors.contract.errors import UpstreamError
from app.connectors.contract.objects import NativeJob, SoughtJob
from app.connectors.providers.xai import XAI
from tests.fakes.faults import Fault
from tests.fakes.serving import ServedApp
from tests.fakes.xai_app import XAIApp, told
from tests.support.native_jobs import (
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    target,
    until_over,
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


def test_the_results_of_a_job_have_its_own_id(connector):
    over = until_over(connector, submit(connector, job_lines("grok-4", count=3)))

    assert over.output_id == over.id


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


def test_a_page_that_leads_to_itself_ends(server, connector):
    server.faults.add(Fault(status=200, body=orjson.dumps({"results": [], "pagination_token": "again"})))

    with pytest.raises(UpstreamError, match="leads to itself"):
        list(connector.results(JOB))
