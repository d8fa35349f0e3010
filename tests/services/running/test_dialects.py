"""Lines in other dialects than the server's, on the gateway's workers: put as chats, answered as they were asked."""

from typing import Any

import pytest
from openai.types.responses import Response
from sqlalchemy import select

from app.data.tables import batch_lines
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import create, ended, jsonl, read
from tests.support.messages import MESSAGES, WEATHER, message_line, message_of, text_of

HINTS = {"metadata": {"user_id": "u"}, "thinking": {"type": "disabled"}, "cache_control": {"type": "ephemeral"}}


def run(client: KeyClient, workers: Workers, lines: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    workers.start()
    return ended(client, create(client, jsonl(lines), **{"endpoint": MESSAGES, **fields})["id"])


def test_messages_run_at_an_openai_compatible_server(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    lines = [
        message_line("plain", "how are you", system="Be brief.", stop_sequences=["."]),
        message_line("called", tools=[WEATHER], tool_choice={"type": "any"}),
        message_line("short", "long answer please", max_tokens=2),
        message_line("refused", "refuse-this"),
    ]
    over = run(client, workers, lines, execution="gateway")
    assert (over["status"], over["endpoint"], over["execution"]) == ("completed", MESSAGES, "gateway")
    plain, called, short = (message_of(line) for line in read(client, over["output_file_id"]))
    assert text_of(plain).endswith("you said: how are you")
    assert (plain.stop_reason, plain.model, plain.id[:4]) == ("end_turn", "m", "msg_")
    [call] = [block for block in called.content if block.type == "tool_use"]
    assert (called.stop_reason, call.name, list(call.input)) == ("tool_use", "weather", ["seed"])
    assert short.stop_reason == "max_tokens"
    [error] = read(client, over["error_file_id"])
    assert (error["custom_id"], error["response"]["status_code"]) == ("refused", 400)

    sent = [request.json for request in fake.requests if request.path.endswith("/chat/completions")]
    first = next(body for body in sent if body["messages"][-1]["content"] == "how are you")
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    # Ollama and the like leave the newer name of the limit unread.
    assert (first["max_tokens"], first["stop"], "max_completion_tokens" in first) == (100, ["."], False)

    used = [message.usage for message in (plain, called, short)]
    assert [usage.cache_read_input_tokens for usage in used] == [1, 1, 1]
    assert over["usage"]["input_tokens"] == sum(usage.input_tokens + 1 for usage in used)
    with gateway.database.read() as connection:
        columns = (batch_lines.c.input_tokens, batch_lines.c.output_tokens)
        rows = connection.execute(select(*columns).where(batch_lines.c.state == "completed")).all()
    assert sorted(tuple(row) for row in rows) == sorted((usage.input_tokens + 1, usage.output_tokens) for usage in used)


def test_what_a_chat_cannot_say_is_refused_and_what_it_need_not_is_told(
    client: KeyClient, workers: Workers, fake: FakeServer
) -> None:
    lines = [message_line("hints", **HINTS), message_line("servers", mcp_servers=[{"type": "url", "url": "https://x"}])]
    over = run(client, workers, lines)
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (1, 1)
    [error] = read(client, over["error_file_id"])
    told = error["response"]["body"]["error"]
    assert (error["response"]["status_code"], told["type"], told["param"]) == (
        400,
        "invalid_request_error",
        "mcp_servers",
    )
    assert len([request for request in fake.requests if request.method == "POST"]) == 1
    first, second = client.get(f"/v1/batches/{over['id']}/lines").json["data"]
    assert "cache_control" in first["dropped_fields"]
    assert (second["dropped_fields"], second["status_code"], second["attempts"]) == ([], 400, 0)
    assert second["error_code"] == told["code"]


def test_anthropics_inline_form_needs_no_endpoint(client: KeyClient, workers: Workers) -> None:
    workers.start()
    params = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
    requests = [{"custom_id": f"a{n}", "params": params} for n in range(3)]
    batch = client.post("/v1/batches", json={"requests": requests, "provider": "local"}).json
    over = ended(client, batch["id"])
    found = read(client, over["output_file_id"])
    assert [line["custom_id"] for line in found] == ["a0", "a1", "a2"]
    assert {text_of(message_of(line))[-12:] for line in found} == {"you said: hi"}


def test_responses_run_where_only_chats_are(client: KeyClient, workers: Workers, fake: FakeServer) -> None:
    del fake.app.routes["/v1/responses"]
    line = {"custom_id": "r", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "input": "hello"}}
    over = run(client, workers, [line], endpoint="/v1/responses")
    [answered] = read(client, over["output_file_id"])
    assert Response.model_validate(answered["response"]["body"]).output_text.endswith("you said: hello")


@pytest.mark.parametrize("body", [{"messages": "x"}, {"messages": []}, {"messages": [{"role": "user"}]}, {}])
def test_messages_that_are_none_are_refused_one_by_one(client: KeyClient, workers: Workers, body: Any) -> None:
    wrong = {"custom_id": "wrong", "method": "POST", "url": MESSAGES, "body": {"model": "m", "max_tokens": 5, **body}}
    over = run(client, workers, [message_line("right"), wrong])
    assert (over["status"], over["request_counts"]["completed"]) == ("completed", 1)
    [error] = read(client, over["error_file_id"])
    assert error["response"]["body"]["error"]["param"].startswith("messages")
