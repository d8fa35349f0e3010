"""Results that name no line: their line ends with a reason, and the batch is not held up."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import KeyClient
from tests.fakes.gemini_app import GeminiApp
from tests.fakes.provider_app import FakeJob
from tests.fakes.serving import ServedApp
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
