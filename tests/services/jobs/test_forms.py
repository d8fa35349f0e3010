"""Inputs in the forms of Azure and Anthropic at providers of OpenAI's form: rewritten only where they must be."""

import json
from typing import Any

import pytest

from tests.conftest import KeyClient
from tests.services.jobs.app import JobsApp
from tests.services.lines.test_line_forms import params_line
from tests.services.running.conftest import Workers
from tests.support.batches import CHAT, chat_line, create, ended, jsonl, read, upload
from tests.support.messages import MESSAGES, message_of, text_of

AZURE = "/chat/completions"


def sent(app: JobsApp) -> list[dict[str, Any]]:
    return [
        json.loads(line) for file in app.files.values() if file.purpose == "batch" for line in file.data.splitlines()
    ]


@pytest.mark.parametrize("provider", ["jobs", "jobs-inline", "jobs-split"])
def test_azures_lines_go_with_a_version(client: KeyClient, workers: Workers, app: JobsApp, provider: str) -> None:
    workers.start()
    lines = [chat_line("a", "one", url=AZURE), chat_line("b", "two"), chat_line("c", "three", url=AZURE)]
    over = ended(client, create(client, jsonl(lines), endpoint=AZURE, provider=provider)["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 3), over["errors"]
    assert {line["url"] for line in sent(app)} == {CHAT}
    assert {job.endpoint for job in app.jobs.values()} == {CHAT}
    assert [line["custom_id"] for line in read(client, over["output_file_id"])] == ["a", "b", "c"]


def test_a_plain_input_under_azures_endpoint_is_not_rewritten(
    client: KeyClient, workers: Workers, app: JobsApp
) -> None:
    data = jsonl([chat_line("a")]).replace(b'{"custom_id"', b'{  "custom_id"')
    workers.start()
    over = ended(client, create(client, data, endpoint=AZURE)["id"])
    assert over["status"] == "completed"
    assert [file.data for file in app.files.values() if file.purpose == "batch"] == [data]


@pytest.mark.parametrize("provider", ["jobs", "jobs-dialect"])
def test_lines_in_anthropics_form_go_as_chats(client: KeyClient, workers: Workers, app: JobsApp, provider: str) -> None:
    workers.start()
    lines = [params_line("a", "one"), params_line("b", "two")]
    over = ended(client, create(client, jsonl(lines), endpoint=MESSAGES, provider=provider)["id"])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 2), over["errors"]
    texts = [text_of(message_of(line)) for line in read(client, over["output_file_id"])]
    assert [text[-3:] for text in texts] == ["one", "two"]


@pytest.mark.parametrize("filename", ["upload", "blob", "in.JSONL"])
def test_the_provider_gets_a_name_that_it_takes(
    client: KeyClient, workers: Workers, app: JobsApp, filename: str
) -> None:
    workers.start()
    body = {"input_file_id": upload(client, jsonl([chat_line("a")]), filename=filename), "endpoint": CHAT}
    over = ended(client, client.post("/v1/batches", json=body).json["id"])
    assert over["status"] == "completed"
    [name] = [file.filename for file in app.files.values() if file.purpose == "batch"]
    assert name.endswith(".jsonl")
