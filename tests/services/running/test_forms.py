"""Batch inputs in the forms of other vendors' documents: Azure's urls, and Anthropic's `{custom_id, params}`."""

from typing import Any

import pytest

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.services.lines.test_line_forms import params_line
from tests.services.running.conftest import Workers
from tests.support.batches import CHAT, chat_line, create, ended, jsonl, read
from tests.support.messages import MESSAGES, message_line, message_of, text_of

AZURE = "/chat/completions"
PREFIXES = ("/v1", "/openai/v1", "/openai", "/openai/openai")


def run(client: KeyClient, workers: Workers, lines: list[dict[str, Any]], endpoint: str, **more: Any) -> dict[str, Any]:
    workers.start()
    return ended(client, create(client, jsonl(lines), endpoint=endpoint, **more)["id"])


@pytest.mark.parametrize(("endpoint", "url"), [(AZURE, AZURE), (CHAT, AZURE), (AZURE, CHAT)])
def test_azures_lines_run_anywhere(client: KeyClient, workers: Workers, endpoint: str, url: str) -> None:
    over = run(client, workers, [chat_line("a", url=url), chat_line("b", url=AZURE)], endpoint)
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 2), over["errors"]
    assert over["endpoint"] == CHAT
    assert [line["custom_id"] for line in read(client, over["output_file_id"])] == ["a", "b"]


@pytest.mark.parametrize("name", ["embeddings", "completions", "responses"])
def test_azures_other_urls_run_too(client: KeyClient, workers: Workers, name: str) -> None:
    body = {"embeddings": {"input": "x"}, "completions": {"prompt": "x"}, "responses": {"input": "x"}}[name]
    line = {"custom_id": "a", "method": "POST", "url": f"/{name}", "body": {"model": "m", **body}}
    over = run(client, workers, [line], f"/{name}")
    assert (over["status"], over["endpoint"], over["request_counts"]["completed"]) == ("completed", f"/v1/{name}", 1)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("version", ["", "?api-version=2024-10-21", "?api-version=v1"])
def test_every_route_takes_azures_endpoint(client: KeyClient, prefix: str, version: str) -> None:
    requests = [{"custom_id": "a", "url": AZURE, "body": {"model": "m"}}, {"custom_id": "b", "body": {"model": "m"}}]
    body = {"requests": requests, "endpoint": AZURE, "provider": "local"}
    made = client.post(f"{prefix}/batches{version}", json=body)
    assert (made.status_code, made.json.get("endpoint")) == (200, CHAT), made.text
    made = client.post(f"{prefix}/batches{version}", json={**body, "endpoint": CHAT})
    assert made.status_code == 200, made.text


def test_retrying_keeps_azures_lines(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    first = run(client, workers, [chat_line("a", "refuse-this", url=AZURE)], AZURE)
    assert first["request_counts"]["failed"] == 1
    again = client.post(f"/v1/batches/{first['id']}/retry")
    assert again.status_code == 200, again.text
    assert ended(client, again.json["id"])["request_counts"]["total"] == 1
    assert len([request for request in fake.requests if request.method == "POST"]) == 2


def test_an_uploaded_file_in_anthropics_form_runs(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    over = run(client, workers, [params_line("a", "one"), params_line("b", "two", url=MESSAGES)], MESSAGES)
    assert (over["status"], over["endpoint"], over["errors"]) == ("completed", MESSAGES, None)
    texts = [text_of(message_of(line)) for line in read(client, over["output_file_id"])]
    assert [text[-3:] for text in texts] == ["one", "two"]
    estimate = client.get(f"/v1/files/{over['input_file_id']}/estimate")
    assert (estimate.status_code, estimate.json["lines"], estimate.json["invalid_lines"]) == (200, 2, 0)
    assert client.get(f"/v1/files/{over['input_file_id']}").json["status_details"] is None


@pytest.mark.parametrize(
    ("lines", "endpoint", "line", "param"),
    [
        ([message_line("a"), params_line("b")], MESSAGES, 2, "params"),
        ([params_line("a"), params_line("b"), message_line("c")], MESSAGES, 3, "body"),
        ([chat_line("a"), params_line("b")], CHAT, 2, "params"),
        ([params_line("a"), chat_line("b")], MESSAGES, 2, "url"),
        ([{**message_line("a"), "params": {"model": "m"}}], MESSAGES, 1, "params"),
    ],
)
def test_mixed_forms_fail_with_the_line(
    client: KeyClient, workers: Workers, lines: list[dict[str, Any]], endpoint: str, line: int, param: str
) -> None:
    over = run(client, workers, lines, endpoint)
    assert over["status"] == "failed"
    [error] = over["errors"]["data"]
    assert (error["line"], error["param"]) == (line, param), error


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_fails_with_its_encoding(client: KeyClient, workers: Workers, encoding: str) -> None:
    data = jsonl([chat_line("a"), chat_line("b")]).decode().encode(encoding)
    workers.start()
    over = ended(client, create(client, data)["id"])
    assert (over["status"], over["errors"]["data"][0]["line"]) == ("failed", 1)
    assert "UTF-16" in over["errors"]["data"][0]["message"]
    assert "UTF-16" in client.get(f"/v1/files/{over['input_file_id']}").json["status_details"]
