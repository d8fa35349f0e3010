"""Rows of results that are too large to be read: they cost their line only, and their file is fetched once."""

from collections.abc import Iterator

import pytest

from app.connectors.http.spool import MAX_LINE_BYTES
from tests.conftest import KeyClient
from tests.fakes.openai_provider_app import OpenAIProviderApp, provider_app
from tests.fakes.provider_app import FakeJob
from tests.fakes.serving import ServedApp
from tests.services.jobs.conftest import asked
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read

pytestmark = pytest.mark.one_database
OWN = b'"custom_id":"b"'


class WordyApp(OpenAIProviderApp):
    """Goes on and on in one result."""

    def write_results(self, job: FakeJob) -> None:
        super().write_results(job)
        assert job.output_id is not None
        file = self.files[job.output_id]
        rows = file.data.replace(b'"custom_id": "', b'"custom_id":"').splitlines()
        assert any(OWN in row for row in rows)
        file.data = b"\n".join(row.replace(OWN, OWN + b" " * MAX_LINE_BYTES) for row in rows) + b"\n"


@pytest.fixture
def wordy() -> Iterator[ServedApp]:
    with ServedApp(WordyApp(provider_app("openai").quirks, api_key="sk-test", looks_to_end=2)) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], wordy: ServedApp) -> dict[str, str]:
    own = {"OPENAI_BASE_URL": wordy.base_url, "OPENAI_API_KEY": "sk-test", "BATCHGATE_DEFAULT_PROVIDER": "openai"}
    own["BATCHGATE_JOB_POLL_SECONDS"] = "0.05"
    return {**environment, **own}


def test_a_row_that_is_too_long_ends_its_line_alone(client: KeyClient, workers: Workers, wordy: ServedApp) -> None:
    workers.start()
    over = ended(client, create(client, jsonl(chat_line(name, name) for name in ("a", "b", "c")))["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 2)
    assert [line["custom_id"] for line in read(client, over["output_file_id"])] == ["a", "c"]
    [error] = read(client, over["error_file_id"])
    assert (error["custom_id"], error["error"]["code"]) == ("b", "bad_answer")
    assert f"longer than {MAX_LINE_BYTES} bytes" in error["error"]["message"]
    assert asked(wordy, "GET", "/content") == 1
