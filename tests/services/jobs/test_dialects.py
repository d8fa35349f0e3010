"""Lines in another dialect than the jobs of their provider: put into it, refused one by one, told what was left out."""

from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response
from sqlalchemy import select

from app.data.tables import batch_lines
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.crash.audit import assert_clean, assert_lines_counted_once
from tests.fakes.serving import ServedApp
from tests.services.jobs.app import JobsApp
from tests.services.jobs.conftest import asked, jobs_of
from tests.services.running.conftest import Workers
from tests.support.batches import CHAT, create, ended, jsonl, read
from tests.support.messages import MESSAGES, WEATHER, message_line, message_of, text_of
from tests.support.process import Process
from tests.support.waiting import until

SERVERS = [{"type": "url", "url": "https://x.example", "name": "x"}]
RESPONSES = "/v1/responses"


def respond_line(custom_id: str, text: str, **body: Any) -> dict[str, Any]:
    full = {"model": "m", "input": text, **body}
    return {"custom_id": custom_id, "method": "POST", "url": RESPONSES, "body": full}


def run(client: KeyClient, workers: Workers, lines: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    workers.start()
    return ended(client, create(client, jsonl(lines), **{"endpoint": MESSAGES, **fields})["id"])


def sent(app: JobsApp) -> list[dict[str, Any]]:
    return [line for job in app.jobs.values() for line in job.lines]


def rows(gateway: Gateway) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(batch_lines).order_by(batch_lines.c.batch_id, batch_lines.c.line)))


def test_messages_go_as_chats_and_come_back_as_messages(
    client: KeyClient, workers: Workers, app: JobsApp, gateway: Gateway
) -> None:
    lines = [
        message_line("plain", "how are you", system="Be brief."),
        message_line("called", tools=[WEATHER], tool_choice={"type": "any"}),
        message_line("refused", "refuse-this"),
    ]
    over = run(client, workers, lines)
    assert (over["status"], over["endpoint"], over["execution"]) == ("completed", MESSAGES, "provider")
    plain, called = (message_of(line) for line in read(client, over["output_file_id"]))
    assert text_of(plain).endswith("you said: how are you")
    assert (called.stop_reason, called.content[-1].type) == ("tool_use", "tool_use")
    [error] = read(client, over["error_file_id"])
    assert (error["custom_id"], error["response"]["status_code"]) == ("refused", 400)
    assert {(line["url"], line["body"]["max_tokens"]) for line in sent(app)} == {(CHAT, 100)}
    assert next(iter(app.jobs.values())).endpoint == CHAT
    used = [message.usage for message in (plain, called)]
    assert over["usage"]["output_tokens"] == sum(usage.output_tokens for usage in used)
    told = [(row.input_tokens, row.output_tokens) for row in rows(gateway)[:2]]
    assert told == [(usage.input_tokens + 1, usage.output_tokens) for usage in used]
    raw = client.get(f"/v1/batches/{over['id']}/results?format=raw").data
    assert b'"chat.completion"' in raw


def test_responses_go_as_chats_and_come_back_as_responses(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    lines = [respond_line("a", "hello", max_output_tokens=50), respond_line("b", "x", previous_response_id=None)]
    over = run(client, workers, lines, endpoint=RESPONSES)
    found = [Response.model_validate(line["response"]["body"]) for line in read(client, over["output_file_id"])]
    assert [response.output_text[-5:] for response in found] == ["hello", "id: x"]
    assert (found[0].max_output_tokens, found[0].object) == (50, "response")
    assert sent(app)[0]["body"]["max_tokens"] == 50


@pytest.mark.parametrize("provider", ["jobs", "jobs-inline"])
def test_anthropics_inline_form(client: KeyClient, workers: Workers, provider: str) -> None:
    workers.start()
    params = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
    requests = [{"custom_id": f"a{n}", "params": params} for n in range(3)]
    batch = client.post("/v1/batches", json={"requests": requests, "provider": provider}).json
    assert batch["endpoint"] == MESSAGES
    found = read(client, ended(client, batch["id"])["output_file_id"])
    assert [text_of(message_of(line))[-12:] for line in found] == ["you said: hi"] * 3


def test_a_refused_line_is_an_error_and_the_others_run(
    client: KeyClient, workers: Workers, app: JobsApp, gateway: Gateway
) -> None:
    lines = [message_line("a"), message_line("b", mcp_servers=SERVERS), message_line("c")]
    over = run(client, workers, lines)
    assert (over["status"], over["request_counts"]["completed"], over["request_counts"]["failed"]) == (
        "completed",
        2,
        1,
    )
    [error] = read(client, over["error_file_id"])
    body = error["response"]["body"]["error"]
    assert (error["custom_id"], error["error"], error["response"]["status_code"]) == ("b", None, 400)
    assert (body["type"], body["param"]) == ("invalid_request_error", "mcp_servers")
    assert "mcp_servers" in body["message"]
    assert [line["custom_id"] for line in sent(app)] == ["a", "c"]
    shown = client.get(f"/v1/batches/{over['id']}/lines?state=failed").json["data"]
    assert [(line["custom_id"], line["status_code"], line["error_code"]) for line in shown] == [
        ("b", 400, body["code"])
    ]
    assert [job.lines for job in jobs_of(gateway)] == [3]


@pytest.mark.parametrize("provider", ["jobs", "jobs-least"])
def test_when_all_lines_are_refused_no_job_is_made(
    client: KeyClient, workers: Workers, server: ServedApp, provider: str
) -> None:
    lines = [message_line(f"c{n}", mcp_servers=SERVERS) for n in range(3)]
    over = run(client, workers, lines, provider=provider, execution="provider")
    assert (over["status"], over["output_file_id"], over["request_counts"]["failed"]) == ("completed", None, 3)
    errors = read(client, over["error_file_id"])
    assert [line["custom_id"] for line in errors] == ["c0", "c1", "c2"]
    assert {line["response"]["body"]["error"]["param"] for line in errors} == {"mcp_servers"}
    assert not server.requests


def test_what_was_left_out_is_told_of_each_line(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    lines = [message_line("a"), message_line("b", cache_control={"type": "ephemeral"}, metadata={"user_id": "u"})]
    over = run(client, workers, lines)
    first, second = client.get(f"/v1/batches/{over['id']}/lines").json["data"]
    assert (first["dropped_fields"], second["state"]) == ([], "completed")
    assert "cache_control" in second["dropped_fields"]
    assert [row.dropped_fields for row in rows(gateway)] == [None, ",".join(second["dropped_fields"])]


def test_wire_ids_are_kept_with_their_lines(client: KeyClient, workers: Workers, gateway: Gateway) -> None:
    lines = [message_line("straße"), message_line("plain"), message_line("bg-7")]
    over = run(client, workers, lines, provider="jobs-dialect")
    assert [line["custom_id"] for line in read(client, over["output_file_id"])] == ["straße", "plain", "bg-7"]
    shown = client.get(f"/v1/batches/{over['id']}/lines").json["data"]
    assert [line["wire_id"] for line in shown] == [row.wire_id for row in rows(gateway)] == ["bg-1", None, "bg-3"]
    with gateway.database.read() as connection:
        view = connection.exec_driver_sql("SELECT custom_id, wire_id FROM v_lines ORDER BY line").all()
    assert [tuple(row) for row in view] == [("straße", "bg-1"), ("plain", None), ("bg-7", "bg-3")]


def test_too_few_lines_fail_the_batch_with_both_numbers(client: KeyClient, workers: Workers, server: ServedApp) -> None:
    lines = [message_line("a"), message_line("b"), message_line("c", mcp_servers=SERVERS)]
    over = run(client, workers, lines, provider="jobs-least")
    [error] = over["errors"]["data"]
    assert (over["status"], error["code"], error["line"]) == ("failed", "too_few_requests", None)
    assert "at least 3 lines; this batch has 2" in error["message"]
    assert 'execution "gateway"' in error["message"]
    assert not server.requests


def test_the_last_of_several_jobs_is_not_too_small(client: KeyClient, workers: Workers, app: JobsApp) -> None:
    lines = [message_line(f"c{n}", **({"mcp_servers": SERVERS} if n in (2, 5) else {})) for n in range(8)]
    over = run(client, workers, lines, provider="jobs-least")
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (6, 2)
    assert sorted(len(job.lines) for job in app.jobs.values()) == [3, 3]
    assert [line["custom_id"] for line in read(client, over["output_file_id"])] == ["c0", "c1", "c3", "c4", "c6", "c7"]


@pytest.mark.parametrize(("lines", "files"), [(2, 0), (20, 1)])
def test_small_inputs_go_in_the_request_itself(
    client: KeyClient, workers: Workers, server: ServedApp, lines: int, files: int
) -> None:
    over = run(client, workers, [message_line(f"c{n}") for n in range(lines)], provider="jobs-small")
    assert over["request_counts"]["completed"] == lines
    assert asked(server, "POST", "/files") == files
    assert asked(server, "POST", "/batches") == 1


@pytest.mark.parametrize(
    "point", ["plan.before_commit", "harvest.before_commit:2", "harvest.after_commit:2", "finalise.before_commit"]
)
def test_a_worker_that_dies_writes_each_refused_line_once(
    client: KeyClient, gateway: Gateway, environment: dict[str, str], tmp_path: Path, point: str
) -> None:
    lines = [message_line(f"c{n}", **({"mcp_servers": SERVERS} if n % 3 == 0 else {})) for n in range(9)]
    batch = create(client, jsonl(lines), endpoint=MESSAGES)
    armed = {"BATCHGATE_FAILPOINT": point, "BATCHGATE_FAILPOINT_FILE": str(tmp_path / "killed")}
    with Process("worker", environment | armed) as worker:
        until(lambda: worker.died, what=f"the death at {point}")
    with Process("worker", environment) as worker:
        over = ended(client, batch["id"])
        assert worker.ended() == 0
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (6, 3)
    errors = read(client, over["error_file_id"])
    assert [(line["custom_id"], line["response"]["status_code"]) for line in errors] == [
        ("c0", 400),
        ("c3", 400),
        ("c6", 400),
    ]
    assert_lines_counted_once(gateway)
    assert_clean(gateway)


def test_refused_lines_keep_their_reason_when_the_job_expires(
    client: KeyClient, workers: Workers, app: JobsApp
) -> None:
    app.looks_to_end, app.ran_before_end = None, 1
    workers.start()
    lines = [message_line("a"), message_line("b", mcp_servers=SERVERS), message_line("c")]
    batch = create(client, jsonl(lines), endpoint=MESSAGES)
    until(lambda: any(job.state == "in_progress" for job in app.jobs.values()))
    app.end(next(iter(app.jobs.values())), "expired")
    over = ended(client, batch["id"])
    assert over["status"] == "expired"
    errors = {line["custom_id"]: line for line in read(client, over["error_file_id"])}
    assert errors["b"]["response"]["body"]["error"]["param"] == "mcp_servers"
    assert errors["c"]["error"]["code"] == "batch_expired"
