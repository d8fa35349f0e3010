"""Lines that their provider refuses: whom they hold up, what their owner and the operator see, and how they end."""

import json
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from app.cli.commands.accounts import accounts
from app.data.tables import batch_line_waits, batch_lines, batches, pauses
from app.services.accounts import pauses as account_pauses
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault, overload
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.waiting import until

TOO_LARGE = "Request too large for m on tokens per min (TPM): Limit 30000, Requested 36278."
QUOTA = "You exceeded your current quota, please check your plan and billing details."


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "BATCHGATE_REFUSED_SECONDS": "3600"}


def refusal(message: str, *, code: str | None = "rate_limit_exceeded", status: int = 429, **when: Any) -> Fault:
    error = {"message": message, "type": "tokens", "param": None, "code": code}
    return Fault(status=status, body=json.dumps({"error": error}).encode(), **when)


def rows(gateway: Gateway, table: Any) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(select(table)).mappings())


def lines(client: KeyClient, batch_id: str) -> list[dict[str, Any]]:
    return list(client.get(f"/v1/batches/{batch_id}/lines").json["data"])


def test_a_request_that_can_never_pass_ends_at_once_with_its_429(
    client: KeyClient, workers: Workers, fake: FakeServer
) -> None:
    fake.faults.add(refusal(TOO_LARGE, containing=b"mark-large"))
    workers.start()
    batch = create(client, jsonl([chat_line("a", "mark-large"), *(chat_line(f"c{n}") for n in range(20))]))
    over = ended(client, batch["id"])
    assert (over["request_counts"]["completed"], over["request_counts"]["failed"]) == (20, 1)
    (failed,) = read(client, over["error_file_id"])
    assert failed["response"]["status_code"] == 429
    assert failed["response"]["body"]["error"] == {
        "message": TOO_LARGE,
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert fake.count("mark-large") == 1


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "insufficient_quota"])
def test_a_line_that_is_always_refused_holds_up_neither_its_batch_nor_others(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway, code: str
) -> None:
    words = "Slow down." if code == "rate_limit_exceeded" else QUOTA
    fake.faults.add(refusal(words, code=code, containing=b"mark-bad", headers={"Retry-After": "86400"}))
    workers.start()
    bad = create(client, jsonl([chat_line("a", "mark-bad"), *(chat_line(f"c{n}", f"mark-own{n}") for n in range(40))]))
    good = create(client, jsonl(chat_line(f"c{n}", f"mark-other{n}") for n in range(40)))
    assert ended(client, good["id"])["request_counts"]["completed"] == 40
    until(lambda: retrieve(client, bad["id"])["request_counts"]["completed"] == 40)
    assert all(fake.count(f"mark-{whose}{n}") == 1 for n in range(40) for whose in ("own", "other"))
    assert rows(gateway, pauses) == []
    until(lambda: (retrieve(client, bad["id"])["waiting_on"] or {}).get("reason") == "retry")
    told = retrieve(client, bad["id"])["waiting_on"]
    assert words in told["message"]
    assert told["lines"] == 1
    assert 0 < told["until"] - told["since"] <= 300  # not for the day that it was asked to wait
    (line,) = [line for line in lines(client, bad["id"]) if line["state"] == "pending"]
    assert (line["custom_id"], line["attempts"]) == ("a", 0)
    assert (line["waiting_on"]["reason"], line["waiting_on"]["code"]) == ("retry", code)
    assert line["waiting_on"]["refusals"] == 1


def test_refusals_of_a_line_outlive_its_worker(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(overload(containing=b"mark-bad", retry_after="2"))
    workers.start()
    batch = create(client, jsonl([chat_line("a", "mark-bad")]))
    until(lambda: rows(gateway, batch_line_waits))
    workers.stop()
    with gateway.database.write() as connection:  # as if it had been refused for hours
        connection.execute(update(batch_line_waits).values(refused_since=0, refusals=40))
    workers.start()
    over = ended(client, batch["id"])
    assert over["status"] == "completed"
    (failed,) = read(client, over["error_file_id"])
    assert failed["response"]["status_code"] == 429
    (row,) = rows(gateway, batch_lines)
    assert (row["state"], row["status_code"], row["attempts"]) == ("failed", 429, 0)
    assert over["waiting_on"] is None
    assert lines(client, batch["id"])[0]["waiting_on"] is None


def test_spent_quota_pauses_the_account_until_the_operator_resumes_it(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(refusal(QUOTA, code="insufficient_quota"))
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}", f"mark-{n}") for n in range(60)))
    until(lambda: any(row["project_id"] is None for row in rows(gateway, pauses)))
    told = retrieve(client, batch["id"])["waiting_on"]
    assert told["reason"] == "paused"
    assert (told["status_code"], told["code"]) == (429, "insufficient_quota")
    assert QUOTA in told["message"]
    shown = [pause for pause in account_pauses.list_(gateway) if pause.project is None]
    assert [(p.provider, p.account, p.model, p.kind, p.message) for p in shown] == [
        ("local", "env", "", "account", QUOTA)
    ]
    until(lambda: fake.in_flight == 0)
    fake.faults.clear()
    before = fake.answered
    assert account_pauses.end(gateway, provider="local", name="env") >= 1
    assert ended(client, batch["id"])["request_counts"]["completed"] == 60
    assert fake.answered > before
    assert rows(gateway, pauses) == []


def test_a_batch_that_only_got_refusals_ends_with_them(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    """Also the lines that were never sent, since one at a time probes."""
    fake.faults.add(refusal(QUOTA, code="insufficient_quota"))
    worker = workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(200)))
    until(lambda: any(row["project_id"] is None for row in rows(gateway, pauses)))
    workers.stop()
    with gateway.database.write() as connection:  # as if that had been hours ago
        connection.execute(update(pauses).values(since=0, paused_until=0))
        connection.execute(update(batch_line_waits).values(refused_since=0))
        connection.execute(update(batches).values(in_progress_at=1))
    assert worker is not workers.start()
    over = ended(client, batch["id"])
    assert (over["status"], over["request_counts"]["failed"]) == ("completed", 200)
    failed = read(client, over["error_file_id"])
    unsent = [line for line in failed if line["response"] is None]
    assert unsent
    assert {line["error"]["code"] for line in unsent} == {"insufficient_quota"}
    assert QUOTA in unsent[0]["error"]["message"]


def test_the_command_line_shows_pauses_and_ends_them(
    client: KeyClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    (account_id,) = gateway.accounts.ids()
    values = {"account_id": account_id, "model": "m", "kind": "busy", "since": 1, "paused_until": 2}
    with gateway.database.write() as connection:
        connection.execute(pauses.insert().values(message="Slow down.", **values))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(accounts, ["pauses"])
    assert shown.exit_code == 0, shown.output
    assert "local/env" in shown.output
    assert "Slow down." in shown.output
    assert "0 pauses" in CliRunner().invoke(accounts, ["resume", "local", "env", "--model", "other"]).output
    assert "1 pauses" in CliRunner().invoke(accounts, ["resume", "local", "env"]).output
    assert rows(gateway, pauses) == []
    assert CliRunner().invoke(accounts, ["resume", "local", "nobody"]).exit_code == 2


def test_the_words_about_the_operators_key_are_the_operators(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    secret = "Incorrect API key provided: sk-ops"
    fake.faults.add(refusal(secret, code="invalid_api_key", status=401))
    workers.start()
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(20)))
    until(lambda: any(row["project_id"] is None for row in rows(gateway, pauses)))
    assert {pause.message for pause in account_pauses.list_(gateway)} == {secret}
    told = retrieve(client, batch["id"])["waiting_on"]
    assert (told["reason"], told["code"]) == ("paused", None)
    shown = client.get(f"/v1/batches/{batch['id']}/lines").text + json.dumps(told)
    assert "sk-ops" not in shown
    workers.stop()
    with gateway.database.write() as connection:  # as if that had been hours ago
        connection.execute(update(pauses).values(since=0, paused_until=0))
        connection.execute(update(batches).values(in_progress_at=1))
    workers.start()
    over = ended(client, batch["id"])
    failed = read(client, over["error_file_id"])
    assert {line["error"]["code"] for line in failed} == {"account_refused"}
    assert "sk-ops" not in json.dumps(failed)


@pytest.mark.parametrize("status", [408, 409, 424])
def test_a_refusal_that_may_pass_has_another_attempt_and_pauses_nobody(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway, status: int
) -> None:
    fake.faults.add(refusal("Later, perhaps.", code=None, status=status, containing=b"mark-odd", times=1))
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a", "mark-odd"), chat_line("b")]))["id"])
    assert over["request_counts"]["completed"] == 2
    assert sorted(row["attempts"] for row in rows(gateway, batch_lines)) == [1, 2]
    assert rows(gateway, pauses) == []


def test_a_refusal_of_the_content_ends_its_line(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(refusal("Your input was flagged.", code=None, status=403, containing=b"mark-odd"))
    workers.start()
    over = ended(client, create(client, jsonl([chat_line("a", "mark-odd"), chat_line("b")]))["id"])
    (failed,) = read(client, over["error_file_id"])
    assert failed["response"]["status_code"] == 403
    assert fake.count("mark-odd") == 1
