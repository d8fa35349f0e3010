"""Answers of Gemini that make no sense, and what its connector makes of them."""

from dataclasses import replace

import orjson
import pytest

from app.connectors.contract.errors import UpstreamError, UpstreamServerError
from tests.connectors.gemini.test_connector import (
    BY_FILE,
    CHAT,
    EMBEDDINGS,
    FORMS,
    JOB,
    SOUGHT,
    app,
    connector,
    server,
    submit,
)
from tests.fakes.faults import Fault
from tests.support.broken_answers import FAULTS, NEVER_RIGHT, NOT_JSON, refuses, tolerates, variants
from tests.support.native_jobs import new_file, new_job, payload, secrets_in, until_over

__all__ = ["app", "connector", "server"]  # fixtures


CALLS = {
    "retrieve_file": lambda c: c.retrieve_file("files/f"),
    "list_files": lambda c: c.list_files(),
    "upload_file": lambda c: c.upload_file(new_file(b"x")),
    "retrieve_job": lambda c: c.retrieve_job("batches/b"),
    "list_jobs": lambda c: c.list_jobs(),
    "find_jobs": lambda c: c.find_jobs(SOUGHT),
    "create_job": lambda c: c.create_job(new_job("m", lines=1, payload=payload(b'{"key":"a","request":{}}\n'))),
    "results": lambda c: list(c.results(JOB)),
    "raw_results": lambda c: list(c.raw_results(JOB)),
    "file_results": lambda c: list(c.results(BY_FILE)),
    "embeddings": lambda c: list(c.results(replace(JOB, endpoint=EMBEDDINGS))),
    "list_models": lambda c: c.list_models(timeout_s=5.0),
}
FILE = {
    "name": "files/f",
    "displayName": "x",
    "sizeBytes": "1",
    "createTime": "2026-11-21T12:00:00Z",
    "expirationTime": "2026-11-23T12:00:00Z",
    "state": "ACTIVE",
}
RESULTS = {
    "inlinedResponses": {
        "inlinedResponses": [
            {"metadata": {"key": "1"}, "response": {"candidates": [{"content": {"parts": [{"text": "x"}]}}]}},
            {"metadata": {"key": "2"}, "error": {"code": 3, "message": "No."}},
        ]
    }
}
BATCH = {
    "name": "batches/b",
    "done": True,
    "metadata": {
        "@type": "x",
        "displayName": "x",
        "state": "BATCH_STATE_FAILED",
        "model": "models/m",
        "createTime": "2026-11-21T12:00:00Z",
        "endTime": "2026-11-21T12:00:00Z",
        "batchStats": {"requestCount": "2", "successfulRequestCount": "1", "failedRequestCount": "1"},
        "inputConfig": {"fileName": "files/f"},
        "output": RESULTS,
    },
    "error": {"code": 3, "message": "x"},
    "response": RESULTS,
}
IN_METADATA = (*BATCH["metadata"], "batchStats.requestCount", "inputConfig.fileName", "output.inlinedResponses")
BATCH_FIELDS = (*BATCH, *(f"metadata.{name}" for name in IN_METADATA), "error.code", "error.message")
ROWS = "response.inlinedResponses.inlinedResponses"
RESULT_FIELDS = (
    "response.inlinedResponses",
    ROWS,
    f"{ROWS}.0",
    *(f"{ROWS}.0.{name}" for name in ("metadata", "metadata.key", "response", "response.candidates")),
    *(f"{ROWS}.1.{name}" for name in ("error", "error.code", "error.message")),
)
VARIANTS = {
    "retrieve_file": (FILE, tuple(FILE)),
    "upload_file": (FILE, tuple(FILE)),
    "list_files": ({"files": [FILE], "nextPageToken": "x"}, ("files", "files.0", "files.0.name", "nextPageToken")),
    "retrieve_job": (BATCH, BATCH_FIELDS),
    "create_job": (BATCH, BATCH_FIELDS),
    "list_jobs": (
        {"operations": [BATCH], "nextPageToken": "x"},
        ("operations", "operations.0", "operations.0.response", "nextPageToken"),
    ),
    "find_jobs": ({"operations": [BATCH], "nextPageToken": "x"}, ("operations", "operations.0.metadata")),
    "results": (BATCH, (*BATCH_FIELDS, *RESULT_FIELDS)),
    "raw_results": (BATCH, RESULT_FIELDS),
    "file_results": ({"key": "a", "response": {"candidates": []}}, ("key", "response", "response.candidates")),
    "embeddings": (BATCH, RESULT_FIELDS),
    "list_models": ({"models": [{"name": "models/m"}]}, ("models", "models.0", "models.0.name")),
}


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_an_upstream_error(server, connector, name):
    for kind, answer in NEVER_RIGHT.items():
        if (name, kind) != ("file_results", "nothing"):  # a file that is empty
            refuses(lambda: CALLS[name](connector), server, answer)
    for answer in variants(VARIANTS[name][0], *VARIANTS[name][1]):
        tolerates(lambda: CALLS[name](connector), server, answer)
    if not name.startswith(("list", "find", "results", "raw", "embeddings")):
        refuses(lambda: CALLS[name](connector), server, {})


@pytest.mark.parametrize("answer", [{"file": file} for file in (None, [], {}, {**FILE, "name": "../x"})])
def test_nonsense_at_the_end_of_an_upload(server, connector, answer):
    server.faults.add(Fault(path="/files", containing=b"x-marks-it", status=200, body=orjson.dumps(answer)))

    with pytest.raises(UpstreamServerError):
        connector.upload_file(new_file(b"x-marks-it"))


@pytest.mark.parametrize("name", ["list_files", "upload_file", "create_job", "results", "file_results"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_upstream_errors_and_posts_are_sent_once(server, connector, name, fault):
    injected, kind = FAULTS[fault]
    server.faults.add(injected)

    with pytest.raises(kind) as wrong:
        CALLS[name](connector)

    assert not secrets_in(wrong.value)
    assert sum(1 for request in server.requests if request.method == "POST") <= 1


@pytest.mark.parametrize("answer", NOT_JSON)
@pytest.mark.parametrize("name", ["results", "file_results", "retrieve_job", "list_jobs"])
def test_streams_that_are_not_json_are_upstream_errors(server, connector, name, answer):
    refuses(lambda: CALLS[name](connector), server, NOT_JSON[answer])


@FORMS
def test_results_that_are_cut_give_no_line_at_all(server, connector, form):
    job = replace(until_over(connector, submit(connector, form)), endpoint=CHAT)
    server.faults.add(Fault(method="GET", cut_at=9000))

    with pytest.raises(UpstreamError):
        next(connector.results(job))


def test_a_list_without_end_is_left(server, connector):
    def answer(token):
        return orjson.dumps({"operations": [], "nextPageToken": token})

    server.faults.add(Fault(path="/batches", status=200, body=answer("x"), every=2))
    server.faults.add(Fault(path="/batches", status=200, body=answer("y")))

    with pytest.raises(UpstreamServerError):
        connector.find_jobs(SOUGHT)
    assert len(server.requests) == 100
