"""An input of 100,000 lines at a provider that takes 50,000: two jobs, one result, in bounded memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.gateway import Caller, Gateway
from tests.conftest import KeyClient
from tests.fakes.openai_provider_app import OpenAIProviderApp, provider_app
from tests.fakes.serving import ServedApp
from tests.support.batch_states import put_file
from tests.support.batches import CHAT, chat_line, ended, jsonl
from tests.support.process import Process

pytestmark = pytest.mark.soak

LINES = 100_000
MOST_MIB = 180


@pytest.fixture
def openai_app() -> OpenAIProviderApp:
    return provider_app("openai", api_key="key")


@pytest.fixture
def environment(environment: dict[str, str], openai_app: OpenAIProviderApp) -> Iterator[dict[str, str]]:
    with ServedApp(openai_app, record=False) as served:
        yield {**environment, "OPENAI_API_KEY": "key", "OPENAI_BASE_URL": served.base_url}


# One database is enough for what SQL has little to do with.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_hundred_thousand_lines_become_two_jobs_and_one_result(
    client: KeyClient,
    gateway: Gateway,
    caller: Caller,
    environment: dict[str, str],
    openai_app: OpenAIProviderApp,
) -> None:
    texts = ("refuse-this" if n % 17 == 0 else f"text {n}" for n in range(LINES))
    file_id = put_file(gateway, caller, jsonl(chat_line(f"c{n}", text) for n, text in enumerate(texts)))
    body = {"input_file_id": file_id, "endpoint": CHAT, "provider": "openai"}
    batch = client.post("/v1/batches", json=body).json
    with Process("worker", environment) as worker:
        over = ended(client, batch["id"], seconds=280)
        peak = peak_mib(worker.pid)
    assert over["status"] == "completed"
    assert sorted(len(job.lines) for job in openai_app.jobs.values()) == [50_000, 50_000]
    failed = len(range(0, LINES, 17))
    counts = over["request_counts"]
    assert (counts["total"], counts["completed"], counts["failed"]) == (LINES, LINES - failed, failed)
    output = client.get(f"/v1/files/{over['output_file_id']}/content").data.splitlines()
    expected = [f'"custom_id":"c{n}"'.encode() for n in range(LINES) if n % 17]
    assert len(output) == len(expected)
    assert all(custom_id in line for custom_id, line in zip(expected, output, strict=True))
    assert peak < MOST_MIB


def peak_mib(pid: int) -> int:
    """Most memory that a process had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024
