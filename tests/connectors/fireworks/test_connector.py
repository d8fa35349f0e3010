"""The connector of Fireworks against its fake: datasets, jobs under our own ids, signed URLs."""

import orjson
import pytest

from app.connectors.contract.base import LineCall
from app.connectors.contract.errors import MissingError, RefusedError, UpstreamError
from app.connectors.contract.objects import NativeJob, SoughtJob
from app.connectors.providers.fireworks import shapes
from app.connectors.providers.fireworks.connector import Fireworks
from tests.fakes.faults import Fault
from tests.fakes.fireworks_app import FireworksApp
from tests.support.native_jobs import (
    CHAT,
    LINES,
    encoded,
    job_lines,
    new_file,
    new_job,
    target,
    until_over,
)

KEY = "sk-canary-secret"
MODEL = "accounts/fireworks/models/llama-v3p1-8b-instruct"
DATASET = "accounts/acme/datasets/d"
JOB = NativeJob("job-1", "completed", output_id=DATASET)


@pytest.fixture
def app():
    return FireworksApp(api_key=KEY)


def options(server):
    return {"account_id": "acme", "download_hosts": f"storage.example, 127.0.0.1:{server.port}"}


@pytest.fixture
def connector(server):
    connector = Fireworks(target("fireworks", server.url, options=options(server)))
    yield connector
    connector.close()


def submit(connector, *, count=LINES, **fields):
    source = connector.upload_file(new_file(encoded(connector, job_lines(MODEL, count=count)), lines=count))
    return connector.create_job(new_job(MODEL, lines=count, input_id=source.id, **fields))


def read(connector, native_id):
    with connector.read_file(native_id) as download:
        return b"".join(download.chunks)


def test_a_dataset_is_made_under_an_id_of_ours_with_the_number_of_its_lines(server, connector):
    made = connector.upload_file(new_file(b"{}\n{}\n", filename="in.jsonl", lines=2))

    assert made.id.startswith("accounts/acme/datasets/bg-")
    assert server.requests[0].json["dataset"]["exampleCount"] == "2"
    assert connector.retrieve_file(made.id).filename == "in.jsonl"


def test_lines_are_counted_where_nobody_did(server, connector):
    connector.upload_file(new_file(b"{}\n" * 1234))

    assert server.requests[0].json["dataset"]["exampleCount"] == "1234"


def test_a_dataset_that_is_not_ready_is_processing_and_nobody_waits(app, server, connector):
    app.looks_until_ready = 2
    made = connector.upload_file(new_file(b"{}\n", lines=1))

    assert made.status == "processing"
    assert len(server.requests) == 3
    assert [connector.retrieve_file(made.id).status for _ in range(2)] == ["processing", "processed"]


def test_a_dataset_that_could_not_be_filled_is_deleted(app, server, connector):
    server.faults.add(Fault(path=":upload", status=500, body=b"{}"))

    with pytest.raises(UpstreamError):
        connector.upload_file(new_file(b"{}\n", lines=1))

    assert not app.files


def test_a_dataset_that_is_filled_stays_whatever_comes_after(app, server, connector):
    server.faults.add(Fault(method="GET", status=500, body=b"{}"))

    made = connector.upload_file(new_file(b"{}\n", lines=1))

    assert made.status == "processing" and len(app.files) == 1


def test_results_are_a_dataset_whose_urls_are_signed(server, connector):
    made = submit(connector, marker="bg-1")
    over = until_over(connector, made)

    assert (made.id, over.output_id) == ("bg-1", "accounts/acme/datasets/bg-1-output")
    assert over.usage.total_tokens == over.usage.input_tokens + over.usage.output_tokens > 0
    results = list(connector.results(over))
    assert sum(result.usage.output_tokens for result in results) == over.usage.output_tokens
    assert len(read(connector, over.output_id).splitlines()) == 38
    signed = [request for request in server.requests if request.path.startswith("/signed/")]
    assert signed and not any("authorization" in request.headers for request in signed)


def test_lines_carry_no_model(connector):
    (line,) = (orjson.loads(connector.encode_line(line).data) for line in job_lines(MODEL, count=1))

    assert set(line) == {"custom_id", "body"} and "model" not in line["body"]


def test_a_job_is_found_by_one_call(server, connector):
    made = submit(connector, count=1, marker="Marker of ours, with spaces")
    server.forget()

    found = connector.find_jobs(SoughtJob(made.marker, None, 0))

    assert [(job.id, job.marker) for job in found] == [(made.id, "Marker of ours, with spaces")]
    assert connector.find_jobs(SoughtJob("bg-none", made.input_id, 0)) == []
    assert len(server.requests) == 2


def test_a_job_that_is_there_already_is_the_one_that_was_asked_for(app, connector):
    first = submit(connector, count=1, marker="bg-1")
    again = submit(connector, count=1, marker="bg-1")

    assert (again.id, again.input_id) == (first.id, first.input_id)
    assert len(app.jobs) == 1


@pytest.mark.parametrize("marker", ["bg-1", "B" * 64, "ends-", "", "späm", "x" * 64, "bg_0123"])
def test_slugs_suit_the_provider(marker):
    made = shapes.slug(marker)

    assert shapes.SLUG.fullmatch(made) and len(made) <= 63
    assert made == shapes.slug(marker) != shapes.slug(marker + "1")


def test_a_job_is_cancelled_by_its_deletion(app, server, connector):
    app.looks_to_end = None
    made = submit(connector, count=3)
    connector.retrieve_job(made.id)

    asked = connector.cancel_job(made.id)

    assert asked.status == "cancelled"
    with pytest.raises(MissingError):
        connector.retrieve_job(made.id)
    assert list(connector.results(asked)) == []


def test_a_job_that_is_over_is_not_deleted_by_a_cancel(app, connector):
    over = until_over(connector, submit(connector, count=1))

    assert connector.cancel_job(over.id).status == "completed"
    assert over.id in app.jobs
    connector.delete_job(over.id)
    connector.delete_job(over.id)
    assert not app.jobs


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled", "completed"])
def test_results_that_are_not_there(connector, status):
    job = NativeJob("job-1", status, output_id=DATASET)

    if status == "completed":
        with pytest.raises(MissingError):
            list(connector.results(job))
    else:
        assert list(connector.results(job)) == []


@pytest.mark.parametrize("state", shapes.STATUSES)
def test_every_state_has_its_status(server, connector, state):
    told = {"name": "accounts/acme/batchInferenceJobs/j", "state": f"JOB_STATE_{state}"}
    server.faults.add(Fault(status=200, body=orjson.dumps(told)))

    assert connector.retrieve_job("j").status == shapes.STATUSES[state]


def test_what_failed_a_job_is_told(server, connector):
    told = {
        "name": "accounts/acme/batchInferenceJobs/j",
        "state": "JOB_STATE_FAILED",
        "status": {"code": "INVALID_ARGUMENT", "message": "Row 3 has no messages."},
        "jobProgress": {"totalInputRequests": "3", "inputTokens": "4294967297"},
    }
    server.faults.add(Fault(status=200, body=orjson.dumps(told)))

    job = connector.retrieve_job("j")

    assert [(error.code, error.message) for error in job.errors] == [("invalid_argument", "Row 3 has no messages.")]
    assert (job.total, job.usage.input_tokens) == (3, 4294967297)


def test_the_account_is_found_out_once(server):
    connector = Fireworks(target("fireworks", f"{server.url}/inference/v1"))
    connector.check()
    connector.check()
    connector.close()

    assert [request.path for request in server.requests].count("/v1/accounts") == 1


@pytest.mark.parametrize("accounts", [[], [{"name": "accounts/a"}, {"name": "accounts/b"}]])
def test_an_account_that_cannot_be_found_out_must_be_named(server, accounts):
    connector = Fireworks(target("fireworks", server.url))
    server.faults.add(Fault(status=200, body=orjson.dumps({"accounts": accounts})))

    with pytest.raises(RefusedError, match="set the option account_id"):
        connector.list_files()
    connector.close()


@pytest.mark.parametrize(
    "origin",
    ["https://elsewhere.example", "ftp://127.0.0.1", "nonsense", "http://[x", "http://127.0.0.1:x", "http://ä"],
)
def test_bytes_come_from_allowed_hosts_only(app, connector, origin):
    made = connector.upload_file(new_file(b"{}\n", lines=1))
    app.origin = origin

    with pytest.raises(UpstreamError):
        read(connector, made.id)


def test_single_lines_go_to_the_inference_base(server, connector):
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}

    assert connector.run_line(LineCall(CHAT, body, 5.0)).status_code == 200
    assert server.requests[-1].path == "/inference/v1/chat/completions"


ROWS = {
    "nothing": {},
    "no id": {"response": {"choices": []}},
    "no answer": {"custom_id": "1"},
    "nulls": {"custom_id": "1", "response": None, "error": None},
    "text": {"custom_id": "1", "response": "fine"},
    "number": {"custom_id": 1, "response": {"choices": []}},
    "status": {"custom_id": "1", "response": {"status_code": "many", "body": {}}},
    "list": [],
}


@pytest.mark.parametrize("row", ROWS)
def test_rows_that_make_no_sense_are_upstream_errors(row):
    with pytest.raises(UpstreamError):
        shapes.result(orjson.dumps(ROWS[row]))
    with pytest.raises(UpstreamError):
        shapes.result(b"{not json")


def test_a_wrong_key_has_the_code_of_the_provider(server):
    connector = Fireworks(target("fireworks", server.url, key="sk-canary-other", options=options(server)))

    with pytest.raises(RefusedError) as refused:
        connector.check()
    connector.close()

    assert (refused.value.status, refused.value.code) == (403, "UNAUTHORIZED")
