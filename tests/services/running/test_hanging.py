"""Lines that hang at their provider: everybody sees since when, and a cancelled batch does not wait for them."""

from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text, update

from app.cli.commands.batches import waiting as waiting_command
from app.data import tables
from app.data.tables import batch_lines, usage_ledger
from app.services.batches import batches
from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_server import FakeServer
from tests.services.running.conftest import Workers
from tests.support.batches import chat_line, create, ended, jsonl, read, retrieve
from tests.support.waiting import until


@pytest.fixture
def line_timeout() -> str:
    return "600"


@pytest.fixture
def environment(environment: dict[str, str], line_timeout: str) -> dict[str, str]:
    return {**environment, "BATCHGATE_LINE_TIMEOUT_SECONDS": line_timeout, "BATCHGATE_LEASE_SECONDS": "60"}


def lines(client: KeyClient, batch_id: str) -> list[dict[str, Any]]:
    return list(client.get(f"/v1/batches/{batch_id}/lines").json["data"])


def view(gateway: Gateway, statement: str) -> list[Any]:
    with gateway.database.read() as connection:
        return list(connection.execute(text(statement)).mappings())


def test_a_line_that_hangs_says_since_when_and_its_batch_ends_when_cancelled(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(Fault(containing=b"mark-hang", hold_s=600))
    workers.start()
    batch = create(client, jsonl([chat_line("a", "mark-hang"), chat_line("b")]))
    until(lambda: "running" in [line["state"] for line in lines(client, batch["id"])])
    hanging, other = lines(client, batch["id"])
    assert (hanging["state"], other["state"]) == ("running", "completed")
    assert hanging["running_since"] >= batch["created_at"]
    assert hanging["waiting_on"]["reason"] == "provider"
    assert retrieve(client, batch["id"])["waiting_on"]["reason"] == "provider"
    (row,) = view(gateway, "SELECT * FROM v_line_waits")
    assert (row["custom_id"], row["state"], row["worker"]) == ("a", "running", "worker-0")
    (row,) = view(gateway, "SELECT * FROM v_waiting")
    assert (row["batch"], row["reason"]) == (batch["id"], "provider")
    (shown,) = batches.waiting(gateway)
    assert (shown.batch, shown.reason) == (batch["id"], "provider")

    client.post(f"/v1/batches/{batch['id']}/cancel")
    over = ended(client, batch["id"])
    assert over["status"] == "cancelled"
    assert [line["custom_id"] for line in read(client, over["output_file_id"])] == ["b"]
    until(lambda: fake.in_flight == 0)  # its connection is closed
    with gateway.database.read() as connection:
        tried = connection.execute(
            select(batch_lines.c.attempts, batch_lines.c.unknown_attempts, batch_lines.c.state).order_by("line")
        ).all()
        kinds = connection.execute(select(usage_ledger.c.kind, usage_ledger.c.line)).all()
    assert tuple(tried[0]) == (1, 1, "cancelled")  # nobody knows what it cost
    assert sorted(kinds) == [("attempt", 1), ("line", 2)]
    assert (over["waiting_on"], lines(client, batch["id"])[0]["running_since"]) == (None, None)


@pytest.mark.parametrize("line_timeout", ["0.3"])
def test_attempts_that_time_out_are_counted_while_the_line_waits(
    client: KeyClient, workers: Workers, fake: FakeServer, gateway: Gateway
) -> None:
    fake.faults.add(Fault(containing=b"mark-hang", hold_s=600))
    workers.start()
    batch = create(client, jsonl([chat_line("a", "mark-hang")]))
    until(lambda: [line["state"] for line in lines(client, batch["id"]) if line["attempts"]] == ["pending"])
    over = ended(client, batch["id"])
    assert over["request_counts"]["failed"] == 1
    (line,) = lines(client, batch["id"])
    assert (line["attempts"], line["unknown_attempts"], line["error_code"]) == (3, 3, "request_timeout")
    assert fake.count("mark-hang") == 3


def test_the_command_line_lists_what_batches_wait_for(
    client: KeyClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """A batch that nobody has planned waits for nothing that this view knows; one of a disabled account does."""
    batch = create(client, jsonl([chat_line("a")]))
    with gateway.database.write() as connection:
        connection.execute(update(tables.batches).values(status="in_progress", lines_total=1))
        connection.execute(update(tables.accounts).values(disabled_at=1_700_000_000_000))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(waiting_command)
    assert shown.exit_code == 0, shown.output
    assert batch["id"] in shown.output
    assert "account_disabled" in shown.output
    told = retrieve(client, batch["id"])["waiting_on"]
    assert (told["reason"], told["since"]) == ("account_disabled", 1_700_000_000)
    assert '"reason":"account_disabled"' in CliRunner().invoke(waiting_command, ["--json"]).output
