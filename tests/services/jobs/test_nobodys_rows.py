"""Results that name no line: their line ends with a reason, and the batch is not held up. A file of them is no file."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.services.jobs.harvest import MAX_MISSING_LOOKS
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.gemini_app import GeminiApp
from tests.fakes.openai_provider_app import OpenAIProviderApp, provider_app
from tests.fakes.provider_app import FakeJob
from tests.fakes.serving import ServedApp
from tests.services.jobs.conftest import asked
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read

KEY = "canary-gemini-key"


class Forgetful(GeminiApp):
    """Gemini, which leaves the key of one result out."""

    def write_results(self, job: FakeJob) -> None:
        job.results[1] = replace(job.results[1], custom_id="")
        super().write_results(job)


@pytest.fixture
def gemini() -> Iterator[ServedApp]:
    with ServedApp(Forgetful(api_key=KEY)) as served:
        yield served


@pytest.fixture
def environment(environment: dict[str, str], gemini: ServedApp) -> dict[str, str]:
    return {
        **environment,
        "GEMINI_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": gemini.url,
        "BATCHGATE_DEFAULT_PROVIDER": "gemini",
    }


ROW = b'{"custom_id": "%b", "response": {"status_code": 200, "body": {"choices": []}}, "error": null}\n'
# What came instead of the files, and which reads of them it met: every how many, how many times.
NO_FILES = {
    "array": (b"[]", 1, 1),
    "array of errors": (b"[]\n", 2, 1),
    "both": (b"[]", 1, 2),
    "object": (b'{"object": "list", "data": []}', 1, 1),
    "rows in an array": (b"[" + ROW.strip() % b"a" + b"]", 1, 1),
    "page": (b"<!DOCTYPE html>\n<html>\n<body>Busy</body>\n</html>\n", 1, 1),
    "page of errors": (b"<html>Busy</html>", 2, 1),
    "nothing": (b"", 1, 1),
    "another job's": (ROW % b"other-1" + ROW % b"other-2", 1, 2),
}


class CountingApp(OpenAIProviderApp):
    """OpenAI, which may not count."""

    counts = True

    def job_object(self, job: FakeJob) -> dict[str, Any]:
        said = super().job_object(job)
        return said if self.counts else {**said, "request_counts": None}


@pytest.fixture
def openai() -> Iterator[ServedApp]:
    with ServedApp(CountingApp(provider_app("openai").quirks, api_key=KEY)) as served:
        yield served


@pytest.fixture
def at_openai(environment: dict[str, str], openai: ServedApp) -> dict[str, str]:
    environment |= {"OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": KEY, "BATCHGATE_DEFAULT_PROVIDER": "openai"}
    return environment


@pytest.mark.one_database
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_of_results_is_read_again(
    at_openai: dict[str, str], client: KeyClient, workers: Workers, openai: ServedApp, kind: str
) -> None:
    body, every, times = NO_FILES[kind]
    openai.faults.add(Fault(method="GET", path="/content", body=body, every=every, times=times))
    workers.start()
    lines = [chat_line(name, text) for name, text in (("a", "A"), ("b", "refuse-this"), ("c", "C"))]
    over = ended(client, create(client, jsonl(lines))["id"])
    assert [line["custom_id"] for line in read(client, over["output_file_id"])] == ["a", "c"]
    [refused] = read(client, over["error_file_id"])
    assert (refused["custom_id"], refused["response"]["status_code"]) == ("b", 400)
    assert asked(openai, "GET", "/content") == 4


@pytest.mark.one_database
@pytest.mark.parametrize("times", [1, 2])
def test_a_job_without_counts_that_completed_has_results(
    at_openai: dict[str, str], client: KeyClient, workers: Workers, openai: ServedApp, times: int
) -> None:
    app: Any = openai.app
    app.counts = False
    openai.faults.add(Fault(method="GET", path="/content", body=b"", times=times))
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a", "A"), chat_line("b", "B")]))["id"])
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (2, 0)
    assert asked(openai, "GET", "/content") == times + 1


@pytest.mark.one_database
def test_what_never_is_a_file_of_results_ends_its_lines_with_the_reason(
    at_openai: dict[str, str], client: KeyClient, workers: Workers, openai: ServedApp
) -> None:
    openai.faults.add(Fault(method="GET", path="/content", body=b"[]"))
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a", "A"), chat_line("b", "B")]))["id"])
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (0, 2)
    found = read(client, over["error_file_id"])
    assert {line["error"]["code"] for line in found} == {"bad_answer"}
    assert "row 1 of the results is not an object" in found[0]["error"]["message"]
    assert asked(openai, "GET", "/content") == MAX_MISSING_LOOKS


def test_a_gemini_row_without_a_key_ends_its_line_only(client: KeyClient, workers: Workers) -> None:
    workers.start()
    lines: list[dict[str, Any]] = [chat_line(name, name, model="gemini-2.5-flash") for name in ("a", "b", "c")]
    over = ended(client, create(client, jsonl(lines))["id"])
    assert (over["status"], over["request_counts"]["completed"], over["request_counts"]["failed"]) == (
        "completed",
        2,
        1,
    )
    assert [line["custom_id"] for line in read(client, over["output_file_id"])] == ["a", "c"]
    [error] = read(client, over["error_file_id"])
    assert (error["custom_id"], error["error"]["code"]) == ("b", "bad_answer")
