"""What providers' own webhooks tell: a hint to look at a job, and nothing to anybody who may not give it."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app.auth import signatures
from app.cli import batchgate as command_line
from app.data.batches import jobs, work
from app.data.batches.jobs import NewJob
from app.data.tables import accounts, batch_jobs, batches, events
from app.lib import json
from app.services.access import secret_rotation
from app.services.gateway import Gateway
from app.services.jobs import incoming
from tests.conftest import KeyClient
from tests.services.webhooks.conftest import started

FAR = 4_000_000_000_000
NATIVE = "batch_68f0000000000000"
EVENT = {"id": "evt_1", "object": "event", "type": "batch.completed", "created_at": 1, "data": {"id": NATIVE}}
Send = Callable[..., TestResponse]


@pytest.fixture
def secret(gateway: Gateway, client: KeyClient) -> str:
    """Of the account of a job that runs at its provider."""
    started(client)
    made = signatures.new_secret()
    incoming.set_secret(gateway, provider="local", name="env", secret=made)
    with gateway.database.write() as connection:
        batch = connection.execute(select(batches.c.id, batches.c.account_id)).one()
        job = NewJob(batch.account_id, number=1, first_line=1, last_line=1, lines=1, rewritten=False, marker="m-1")
        jobs.insert_running(connection, batch.id, job, native_id=NATIVE, submitted_at=1)
    return made


@pytest.fixture
def send(gateway: Gateway, client: KeyClient, secret: str) -> Send:
    """Sends a message as the provider does; what is in `changes` is sent instead."""
    client.key = ""

    def send(event: Any = EVENT, *, by: str = secret, age_s: int = 0, path: str = "local/env", **changes: Any) -> Any:
        body = event if isinstance(event, bytes) else json.dumps(event)
        headers = signatures.headers([by], message_id="wh_1", at_s=int(time.time()) - age_s, body=body)
        headers |= changes.pop("headers", {})
        return client.post(f"/webhooks/{path}", data=changes.pop("data", body), headers=headers)

    return send


def wait(gateway: Gateway, *, looked_ms_ago: int = 3_600_000) -> None:
    """As if the job was looked at some time ago, and will not be for long."""
    with gateway.database.write() as connection:
        now = connection.execute(select(work.now_ms())).scalar_one()
        connection.execute(update(batch_jobs).values(next_at=FAR, refreshed_at=now - looked_ms_ago))


def due_in_ms(gateway: Gateway) -> int:
    with gateway.database.read() as connection:
        return int(connection.execute(select(batch_jobs.c.next_at - work.now_ms())).scalar_one())


@pytest.mark.parametrize(
    "event", [EVENT, {"type": "batch.succeeded", "data": {"id": f"batches/{NATIVE}", "file": "x"}}]
)
def test_a_job_is_looked_at_when_its_provider_says_that_it_ended(gateway: Gateway, send: Send, event: Any) -> None:
    wait(gateway)
    answer = send(event)
    assert (answer.status_code, answer.get_data()) == (204, b"")
    assert due_in_ms(gateway) <= 0


def test_a_job_is_looked_at_once_in_a_few_seconds(gateway: Gateway, send: Send) -> None:
    wait(gateway, looked_ms_ago=0)
    for _ in range(3):
        send()
    assert 0 < due_in_ms(gateway) <= incoming.LOOK_EVERY_MS


def test_nobody_else_is_heard_and_nobody_learns_anything(gateway: Gateway, secret: str, send: Send) -> None:
    wait(gateway)
    signed = signatures.headers([secret], message_id="wh_1", at_s=int(time.time()), body=json.dumps(EVENT))
    answers = [
        send(by=signatures.new_secret()),
        send(age_s=310),
        send(age_s=-310),
        send(data=json.dumps({**EVENT, "id": "evt_2"})),
        send(path="local/other"),
        send(path="openai/env"),
        send(path="nobody/x%00y"),
        send({"type": "response.completed", "data": {"id": NATIVE}}),
        send({"type": "batch.completed", "data": {"id": "batch_other"}}),
        send({"type": "batch.completed", "data": ["x"]}),
        send({"type": "batch.completed", "data": {"id": "x\0"}}),
        send(b"[]"),
        send(b"not json"),
        send(b" " * (incoming.MAX_BYTES + 1) + json.dumps(EVENT)),
        send(headers={signatures.SIGNATURE: signed[signatures.SIGNATURE].removeprefix("v1,")}),
        send(headers={signatures.SIGNATURE: "v2," + signed[signatures.SIGNATURE][3:]}),
        send(headers={signatures.SIGNATURE: "v1,\u00e9, ,,v1 x"}),
        send(headers={signatures.TIMESTAMP: "now"}),
        send(headers={signatures.TIMESTAMP: "9" * 400}),
        send(headers={signatures.ID: ""}),
    ]
    assert {(answer.status_code, answer.get_data(), len(answer.headers)) for answer in answers} == {
        (204, b"", len(answers[0].headers))
    }
    assert due_in_ms(gateway) > 10**9
    send(headers={**signed, signatures.SIGNATURE: f"v1,bm90IHRoaXM= {signed[signatures.SIGNATURE]}"})
    assert due_in_ms(gateway) <= 0


def test_the_secret_is_sealed_and_follows_the_ring(gateway: Gateway, secret: str, environment: dict[str, str]) -> None:
    with gateway.database.read() as connection:
        stored = str(connection.execute(select(accounts)).all()) + str(connection.execute(select(events)).all())
        assert secret not in stored and "account_webhook_set" in stored
    column = next(c for c in secret_rotation.status(gateway).columns if c.label == "accounts.sealed_webhook_secret")
    assert (sum(column.by_key.values()), column.unopened) == (1, 0)
    runner = CliRunner(env=environment | {"HOOK": "nothing like it", "GOOD": signatures.new_secret()})
    refused = runner.invoke(command_line, ["accounts", "webhook", "local", "env", "--secret-env", "HOOK"])
    assert refused.exit_code != 0 and "whsec_" in refused.output and "nothing like it" not in refused.output
    done = runner.invoke(command_line, ["accounts", "webhook", "local", "env", "--secret-env", "GOOD"])
    assert done.output.strip().endswith("/webhooks/local/env"), done.output
    gone = runner.invoke(command_line, ["accounts", "webhook", "local", "env", "--remove"])
    assert gone.exit_code == 0
    with gateway.database.read() as connection:
        assert set(connection.execute(select(accounts.c.sealed_webhook_secret)).scalars()) == {None}
