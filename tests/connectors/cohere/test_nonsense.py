"""Answers that Cohere should not give: each is an upstream's error, and none holds a secret."""

import pytest

from app.connectors.contract.errors import RefusedError
from app.connectors.contract.objects import NativeJob, SoughtJob
from app.connectors.providers.cohere.connector import Cohere
from tests.fakes.cohere_app import CohereApp
from tests.fakes.serving import ServedApp
from tests.support.broken_answers import FAULTS, NEVER_RIGHT, NOT_JSON, refuses, tolerates, variants
from tests.support.cohere import read
from tests.support.native_jobs import (
    CHAT,
    new_file,
    new_job,
    secrets_in,
    target,
)

KEY = "sk-canary-secret"
JOB = NativeJob("batch-1", "completed", output_id="dataset-1", endpoint=CHAT)


@pytest.fixture
def app():
    return CohereApp(api_key=KEY)


@pytest.fixture
def server(app):
    with ServedApp(app) as server:
        yield server


@pytest.fixture
def connector(server):
    connector = Cohere(target("cohere", server.url, options={"download_hosts": "127.0.0.1, .example.com"}))
    yield connector
    connector.close()


CALLS = {
    "retrieve_file": lambda c: c.retrieve_file("f"),
    "list_files": lambda c: c.list_files(),
    "upload_file": lambda c: c.upload_file(new_file(b"x", endpoint=CHAT)),
    "read_file": lambda c: read(c.read_file("f")),
    "retrieve_job": lambda c: c.retrieve_job("b"),
    "list_jobs": lambda c: c.list_jobs(),
    "find_jobs": lambda c: c.find_jobs(SoughtJob("m", None, 0)),
    "create_job": lambda c: c.create_job(new_job("m", lines=1, input_id="f")),
    "cancel_job": lambda c: c.cancel_job("b"),
    "results": lambda c: list(c.results(JOB)),
    "list_models": lambda c: c.list_models(timeout_s=5.0),
}
PART = {"id": "p", "name": "p", "url": "http://127.0.0.1:1/x", "index": 0}
DATASET = {
    "id": "f",
    "name": "x",
    "created_at": "2026-01-02T03:04:05.678Z",
    "dataset_type": "batch-chat-v2-input",
    "validation_status": "validated",
    "dataset_parts": [PART],
}
DATASET_FIELDS = tuple(f"dataset.{name}" for name in (*DATASET, "dataset_parts.0", "dataset_parts.0.url"))
BATCH = {
    "id": "b",
    "name": "m",
    "status": "BATCH_STATUS_IN_PROGRESS",
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
    "input_dataset_id": "f",
    "output_dataset_id": "g",
    "input_tokens": "7",
    "output_tokens": "8",
    "model": "m",
    "num_records": 1,
    "num_successful_records": 1,
    "num_failed_records": 0,
    "status_reason": "",
}
BATCH_FIELDS = ("batch", *(f"batch.{name}" for name in BATCH))
VARIANTS = {
    "retrieve_file": ({"dataset": DATASET}, ("dataset", *DATASET_FIELDS)),
    "read_file": ({"dataset": DATASET}, DATASET_FIELDS),
    "results": ({"dataset": DATASET}, ("dataset", *DATASET_FIELDS)),
    "upload_file": ({"id": "f"}, ("id",)),
    "list_files": ({"datasets": [DATASET]}, ("datasets", "datasets.0", "datasets.0.id", "datasets.0.created_at")),
    "retrieve_job": ({"batch": BATCH}, BATCH_FIELDS),
    "create_job": ({"batch": BATCH}, BATCH_FIELDS),
    "cancel_job": ({"batch": BATCH}, BATCH_FIELDS),
    "list_jobs": ({"batches": [BATCH], "next_page_token": "x"}, ("batches", "batches.0", "next_page_token")),
    "find_jobs": ({"batches": [BATCH], "next_page_token": ""}, ("batches", "batches.0", "next_page_token")),
    "list_models": ({"models": [{"name": "x"}]}, ("models", "models.0", "models.0.name")),
}


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_an_upstream_error(server, connector, name):
    for answer in NEVER_RIGHT.values():
        refuses(lambda: CALLS[name](connector), server, answer)
    good, names = VARIANTS[name]
    for answer in variants(good, *names):
        tolerates(lambda: CALLS[name](connector), server, answer)
    if name not in ("list_files", "list_jobs", "find_jobs", "list_models"):
        refuses(lambda: CALLS[name](connector), server, {})


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_upstream_errors_and_posts_are_sent_once(server, connector, name, fault):
    injected, kind = FAULTS[fault]
    server.faults.add(injected)

    with pytest.raises(kind) as wrong:
        CALLS[name](connector)

    assert not secrets_in(wrong.value)
    assert sum(1 for request in server.requests if request.method == "POST") <= 1


@pytest.mark.parametrize("answer", NOT_JSON)
@pytest.mark.parametrize("name", ["results", "retrieve_job", "upload_file"])
def test_what_is_not_json_is_an_upstream_error(server, connector, name, answer):
    refuses(lambda: CALLS[name](connector), server, NOT_JSON[answer])


def test_a_wrong_key_shows_nowhere(server):
    connector = Cohere(target("cohere", server.url, key="sk-canary-other"))

    with pytest.raises(RefusedError) as refused:
        connector.check()
    connector.close()

    assert refused.value.status == 401
    assert not secrets_in(refused.value, "sk-canary-other")
