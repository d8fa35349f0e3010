"""Open batches, lines that wait, tokens per day: of keys, projects and accounts."""

import threading
from typing import Any

import pytest
from sqlalchemy import event, select, update

from app.data.money import limit_counters
from app.data.tables import accounts, batches, projects, usage_ledger, virtual_keys
from app.data.tables import limit_counters as counters
from app.services.access import keys
from app.services.gateway import Gateway
from app.services.limits import limits
from tests.conftest import KeyClient
from tests.services.running.conftest import Workers, fake, local_base_url, workers  # noqa: F401 - fixtures
from tests.support.batches import CHAT, chat_line, ended, jsonl, upload
from tests.support.keyed import keyed, with_key

TWO = jsonl([chat_line("a"), chat_line("b")])


def start(client: KeyClient, file_id: str, **headers: str) -> Any:
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    return client.post("/v1/batches", json=body, headers=headers)


def limit_project(gateway: Gateway, **bounds: int) -> None:
    with gateway.database.write() as connection:
        connection.execute(update(projects).values(limits=bounds))


def limit_account(gateway: Gateway, **bounds: int) -> None:
    gateway.accounts.providers()
    with gateway.database.write() as connection:
        connection.execute(update(accounts).values(limits=bounds, changed_at=accounts.c.created_at + 10**6))
    gateway.accounts.reread()


def finish(gateway: Gateway, batch_id: str, **values: Any) -> None:
    with gateway.database.write() as connection:
        connection.execute(update(batches).where(batches.c.public_id == batch_id).values(**values))


def count(gateway: Gateway) -> int:
    with gateway.database.read() as connection:
        return len(connection.execute(select(batches.c.id)).all())


def test_a_batch_too_many_waits_for_the_end_of_another(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"open_batches": 2})
    file_id = upload(client, TWO)
    first = start(client, file_id)
    assert start(client, file_id).status_code == 200

    answer = start(client, file_id)

    assert answer.status_code == 429
    assert "2 unfinished batches" in answer.json["error"]["message"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert count(gateway) == 2
    assert start(keyed(gateway), file_id).status_code == 200  # another key of the project

    finish(gateway, first.json["id"], status="completed")
    assert start(client, file_id).status_code == 200


def test_keys_of_a_project_share_its_batches(gateway: Gateway, other_client: KeyClient) -> None:
    client = keyed(gateway)
    file_id = upload(client, TWO)
    limit_project(gateway, open_batches=1)
    assert start(client, file_id).status_code == 200

    assert start(keyed(gateway), file_id).status_code == 429
    assert start(other_client, upload(other_client, TWO)).status_code == 200


def test_an_account_without_room_refuses_every_project_for_now(gateway: Gateway, other_client: KeyClient) -> None:
    client = keyed(gateway)
    limit_account(gateway, open_batches=1)
    assert start(client, upload(client, TWO)).status_code == 200

    answer = start(other_client, upload(other_client, TWO))

    assert answer.status_code == 429
    assert "account" in answer.json["error"]["message"]
    assert int(answer.headers["Retry-After"]) >= 1


def test_lines_that_wait_are_those_of_inputs_until_a_plan_counts_them(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"enqueued_lines": 5})
    file_id = upload(client, TWO)
    first = start(client, file_id)
    assert start(client, file_id).status_code == 200
    assert start(client, file_id).status_code == 429

    finish(gateway, first.json["id"], status="in_progress", lines_total=2, lines_completed=1)

    assert start(client, file_id).status_code == 200
    assert start(client, file_id).status_code == 429


def test_inline_requests_are_lines_too_and_leave_nothing_when_refused(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"enqueued_lines": 1})
    body = {"requests": [chat_line("a"), chat_line("b")], "endpoint": CHAT, "completion_window": "24h"}

    answer = client.post("/v1/batches", json=body)

    assert answer.status_code == 429
    assert "this batch has 2" in answer.json["error"]["message"]
    assert client.get("/v1/files").json["data"] == []
    assert client.post("/v1/batches", json={**body, "requests": [chat_line("a")]}).status_code == 200


def test_a_refusal_can_be_repeated_under_its_idempotency_key(gateway: Gateway) -> None:
    client = keyed(gateway, limits={"open_batches": 1})
    file_id = upload(client, TWO)
    first = start(client, file_id)
    assert start(client, file_id, **{"Idempotency-Key": "x"}).status_code == 429

    finish(gateway, first.json["id"], status="failed")
    made = start(client, file_id, **{"Idempotency-Key": "x"})

    assert made.status_code == 200
    assert start(client, file_id, **{"Idempotency-Key": "x"}).json["id"] == made.json["id"]


def test_of_many_at_once_only_those_that_fit_are_made(gateway: Gateway) -> None:
    issued = keys.create(gateway, project="alpha", name="many", limits={"open_batches": 3, "enqueued_lines": 100})
    client = with_key(gateway, issued.key)
    file_id = upload(client, TWO)
    answers: list[int] = []
    clients = [with_key(gateway, issued.key) for _ in range(10)]
    threads = [
        threading.Thread(target=lambda one=one: answers.append(start(one, file_id).status_code)) for one in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200] * 3 + [429] * 7
    assert count(gateway) == 3


@pytest.mark.parametrize("owner", ["key", "project", "account"])
def test_tokens_that_were_used_keep_new_batches_away_for_a_day(
    gateway: Gateway,
    client: KeyClient,
    workers: Workers,  # noqa: F811 - the fixture
    owner: str,
) -> None:
    bounds = {"tokens_per_day": 9}
    if owner == "account":
        limit_account(gateway, **bounds)
    else:
        table = {"key": virtual_keys, "project": projects}[owner]
        with gateway.database.write() as connection:
            connection.execute(update(table).values(limits=bounds))
    file_id = upload(client, TWO)
    first = start(client, file_id)
    assert first.status_code == 200
    workers.start()
    ended(client, first.json["id"])

    answer = start(client, file_id)

    with gateway.database.read() as connection:
        used = connection.execute(select(usage_ledger.c.input_tokens, usage_ledger.c.output_tokens)).all()
        rows = connection.execute(select(counters).where(counters.c.name == "tokens_per_day")).all()
    spent = sum(a + b for a, b in used)
    assert spent > 9
    assert [(row.owner, row.value) for row in rows] == [(owner, spent)]
    assert answer.status_code == 429
    assert f"This {owner} may use 9 tokens a day" in answer.json["error"]["message"]
    assert 86_000 <= int(answer.headers["Retry-After"]) <= 86_700


def test_what_is_used_of_limits(gateway: Gateway) -> None:
    bounds = dict.fromkeys(limits.NAMES, 100000)
    issued = keys.create(gateway, project="alpha", name="seen", limits=bounds)
    client = with_key(gateway, issued.key)
    assert start(client, upload(client, TWO)).status_code == 200

    with gateway.database.read() as connection:
        key_id = connection.execute(select(virtual_keys.c.id)).scalar_one()
        found = limits.used(connection, "key", key_id, bounds)

    assert found == {
        "requests_per_minute": found["requests_per_minute"],
        "uploads_per_day": 1,
        "stored_bytes": len(TWO),
        "open_batches": 1,
        "enqueued_lines": 2,
        "tokens_per_day": 0,
    }
    assert 2 <= found["requests_per_minute"] <= 4
    told = client.get("/api/governance/virtual-keys/quota").json
    # The question is a use itself; a lease that is used up within a second is followed by a larger one.
    asked = told["limits_used"]["key"]["requests_per_minute"]
    assert asked in (3, 4)
    assert told["limits_used"] == {"key": found | {"requests_per_minute": asked}, "project": {}}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL plans by how much there is
@pytest.mark.parametrize("owner", ["key", "project", "account"])
def test_open_work_is_found_by_an_index_of_what_is_open(gateway: Gateway, owner: str) -> None:
    seen: list[tuple[str, Any]] = []
    event.listen(gateway.database.readers, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    with gateway.database.read() as connection:
        limit_counters.open_work(connection, owner=owner, owner_id=1)
        statement, parameters = seen[-1]
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))

    assert "ix_batches_open" in plan or "ix_batches_turns" in plan, plan
