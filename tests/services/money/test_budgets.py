"""Budgets: what is refused, what is reserved, and what is left of it at the end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from app.data.tables import batches, blobs, budget_reservations, budgets, events, files, idempotency_keys
from app.errors import BudgetError, InvalidRequestError, NotFoundError
from app.services.access import keys
from app.services.batches import create as batch_service
from app.services.batches.create import NewBatch
from app.services.gateway import Caller, Gateway
from app.services.money import budgets as service
from app.services.upkeep import sweep
from tests.conftest import KeyClient
from tests.support.batch_states import RunningBatch
from tests.support.batches import CHAT, chat_line, create, jsonl, upload
from tests.support.money import CENT, DOLLAR, budget, count, price, reservations, state

# Each line can cost a dollar.
LINES = [chat_line(f"c{n}", max_tokens=100) for n in range(3)]
HOUR_MS = 3600 * 1000


def ask(client: KeyClient, file_id: str, **headers: str) -> Any:
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    return client.post("/v1/batches", json=body, headers=headers)


def make(gateway: Gateway, caller: Caller, file_id: str) -> Any:
    return batch_service.create(gateway, caller, NewBatch(endpoint=CHAT), source=file_id)


def test_a_batch_that_can_cost_more_than_is_left_is_refused_and_leaves_nothing(
    client: KeyClient, gateway: Gateway
) -> None:
    price(gateway)
    mine = budget(gateway, DOLLAR)
    file_id = upload(client, jsonl(LINES))

    refused = ask(client, file_id, **{"Idempotency-Key": "once"})

    assert refused.status_code == 402
    error = refused.json["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "budget_exceeded")
    assert "can cost $3.00" in error["message"]
    assert "the budget of project alpha in total has $1.00 left" in error["message"]
    assert [count(gateway, table) for table in (batches, budget_reservations, idempotency_keys)] == [0, 0, 0]
    assert state(gateway, mine) == (0, 0)

    budget(gateway, 3 * DOLLAR)
    assert ask(client, file_id, **{"Idempotency-Key": "once"}).status_code == 200
    assert state(gateway, mine) == (0, 3 * DOLLAR)


def test_a_refused_batch_does_not_hold_its_file(client: KeyClient, gateway: Gateway) -> None:
    price(gateway)
    budget(gateway, DOLLAR)
    file_id = upload(client, jsonl(LINES))
    assert ask(client, file_id).status_code == 402
    assert client.delete(f"/v1/files/{file_id}").status_code == 200


def test_inline_requests_that_can_cost_too_much_leave_no_file(client: KeyClient, gateway: Gateway) -> None:
    price(gateway)
    mine = budget(gateway, DOLLAR)
    requests = [{name: line[name] for name in ("custom_id", "body")} for line in LINES]
    body = {"requests": requests, "endpoint": CHAT, "completion_window": "24h"}

    refused = client.post("/v1/batches", json=body)

    assert refused.status_code == 402
    assert "can cost $3.00" in refused.json["error"]["message"]
    assert [count(gateway, table) for table in (batches, files, blobs)] == [0, 0, 0]
    budget(gateway, 3 * DOLLAR)
    assert client.post("/v1/batches", json=body).status_code == 200
    assert state(gateway, mine) == (0, 3 * DOLLAR)


def test_of_ten_batches_at_once_those_that_fit_are_accepted(
    client: KeyClient, gateway: Gateway, caller: Caller
) -> None:
    price(gateway)
    mine = budget(gateway, 10 * DOLLAR)
    file_ids = [upload(client, jsonl(LINES)) for _ in range(10)]
    together = threading.Barrier(10)

    def attempt(file_id: str) -> bool:
        together.wait(20)
        try:
            make(gateway, caller, file_id)
        except BudgetError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        accepted = list(pool.map(attempt, file_ids))

    assert sum(accepted) == 3
    assert state(gateway, mine) == (0, 9 * DOLLAR)
    assert [row.reserved_picodollars for row in reservations(gateway)] == [3 * DOLLAR] * 3
    assert count(gateway, batches) == 3


def test_both_the_keys_and_the_projects_budget_must_have_room(client: KeyClient, gateway: Gateway) -> None:
    price(gateway)
    key = client.key.removeprefix("sk-bf-").partition("-")[0]
    whole, own = budget(gateway, 5 * DOLLAR), budget(gateway, 2 * DOLLAR, key=key)
    file_id = upload(client, jsonl(LINES))

    refused = ask(client, file_id)
    assert refused.status_code == 402
    assert f"key {key}" in refused.json["error"]["message"]
    assert (state(gateway, whole), state(gateway, own)) == ((0, 0), (0, 0))

    budget(gateway, 9 * DOLLAR, key=key)
    assert ask(client, file_id).status_code == 200
    assert (state(gateway, whole), state(gateway, own)) == ((0, 3 * DOLLAR), (0, 3 * DOLLAR))

    refused = ask(client, file_id)
    assert refused.status_code == 402
    assert "project alpha" in refused.json["error"]["message"]
    assert (state(gateway, whole), state(gateway, own)) == ((0, 3 * DOLLAR), (0, 3 * DOLLAR))


def test_budgets_of_another_key_or_project_do_not_matter(
    client: KeyClient, other_client: KeyClient, gateway: Gateway
) -> None:
    price(gateway)
    other_key = keys.create(gateway, project="alpha", name="other").public_id
    budget(gateway, 0, key=other_key)
    budget(gateway, 0, project="beta")
    create(client, jsonl(LINES))
    assert count(gateway, budget_reservations) == 0


def test_without_a_budget_the_input_is_not_read_for_its_cost(client: KeyClient, gateway: Gateway) -> None:
    create(client, jsonl(LINES))  # there is no price, and nobody asks for one
    assert count(gateway, budget_reservations) == 0


def test_a_model_without_a_price_is_refused_under_a_budget(client: KeyClient, gateway: Gateway) -> None:
    price(gateway, model="other*")
    budget(gateway, 100 * DOLLAR)
    refused = ask(client, upload(client, jsonl(LINES)))
    assert refused.status_code == 400
    assert refused.json["error"]["code"] == "price_unknown"
    assert "'m' at local" in refused.json["error"]["message"]
    assert "batchgate prices set" in refused.json["error"]["message"]
    assert count(gateway, batches) == 0


def test_work_that_is_free_runs_whatever_is_spent(client: KeyClient, gateway: Gateway) -> None:
    price(gateway, output_picodollars=0)
    mine = budget(gateway, 0)
    create(client, jsonl(LINES))
    assert state(gateway, mine) == (0, 0)


def test_a_retry_reserves_what_the_lines_that_are_left_can_cost(
    client: KeyClient, gateway: Gateway, caller: Caller
) -> None:
    price(gateway)
    data = jsonl(LINES)
    first = create(client, data)
    running = RunningBatch(gateway, first["id"], data=data)
    running.answer([1])
    running.answer([2, 3], state="failed", status_code=400)
    running.end("completed")
    mine = budget(gateway, 200 * CENT - 1)

    refused = client.post(f"/v1/batches/{first['id']}/retry")
    assert refused.status_code == 402
    assert "can cost $2.00" in refused.json["error"]["message"]

    budget(gateway, 200 * CENT)
    assert client.post(f"/v1/batches/{first['id']}/retry").status_code == 200
    assert state(gateway, mine) == (0, 200 * CENT)


def settle(gateway: Gateway, batch_id: int, cost: int) -> None:
    with gateway.database.write() as connection:
        service.settle(connection, batch_id, cost)


def refund(gateway: Gateway, batch_id: int) -> None:
    with gateway.database.write() as connection:
        service.refund(connection, batch_id)


def status(gateway: Gateway, batch_id: int) -> str:
    with gateway.database.read() as connection:
        return str(connection.execute(select(batches.c.status).where(batches.c.id == batch_id)).scalar_one())


def run(gateway: Gateway, batch_id: int) -> None:
    with gateway.database.write() as connection:
        connection.execute(update(batches).where(batches.c.id == batch_id).values(status="in_progress"))


def test_costs_come_from_the_reservation_and_the_rest_goes_back_once(
    client: KeyClient, gateway: Gateway, caller: Caller
) -> None:
    price(gateway)
    mine = budget(gateway, 5 * DOLLAR)
    batch = make(gateway, caller, upload(client, jsonl(LINES)))
    settle(gateway, batch.id, DOLLAR)
    settle(gateway, batch.id, 0)
    assert state(gateway, mine) == (DOLLAR, 2 * DOLLAR)
    refund(gateway, batch.id)
    refund(gateway, batch.id)
    assert state(gateway, mine) == (DOLLAR, 0)
    (row,) = reservations(gateway)
    assert (row.reserved_picodollars, row.left_picodollars) == (3 * DOLLAR, 0)
    assert row.settled_at is not None
    settle(gateway, batch.id, DOLLAR)  # heard of late
    assert state(gateway, mine) == (2 * DOLLAR, 0)


def test_what_a_batch_costs_beyond_its_reservation_is_spent_too(
    client: KeyClient, gateway: Gateway, caller: Caller
) -> None:
    price(gateway)
    mine = budget(gateway, 10 * DOLLAR)
    batch = make(gateway, caller, upload(client, jsonl(LINES)))
    run(gateway, batch.id)
    settle(gateway, batch.id, 4 * DOLLAR)
    assert state(gateway, mine) == (4 * DOLLAR, 0)
    assert status(gateway, batch.id) == "in_progress"  # the budget has room for it
    settle(gateway, batch.id, 7 * DOLLAR)
    assert state(gateway, mine) == (11 * DOLLAR, 0)
    assert status(gateway, batch.id) == "cancelling"


def test_a_batch_that_takes_what_others_reserved_is_stopped_and_they_are_not(
    client: KeyClient, gateway: Gateway, caller: Caller
) -> None:
    price(gateway)
    mine = budget(gateway, 6 * DOLLAR)
    greedy = make(gateway, caller, upload(client, jsonl(LINES)))
    other = make(gateway, caller, upload(client, jsonl(LINES)))
    run(gateway, greedy.id)
    run(gateway, other.id)
    settle(gateway, greedy.id, 3 * DOLLAR)
    settle(gateway, other.id, DOLLAR)
    assert status(gateway, greedy.id) == status(gateway, other.id) == "in_progress"
    settle(gateway, greedy.id, CENT)
    assert status(gateway, greedy.id) == "cancelling"
    settle(gateway, other.id, DOLLAR)
    assert status(gateway, other.id) == "in_progress"
    assert state(gateway, mine) == (5 * DOLLAR + CENT, DOLLAR)


def test_settling_without_a_reservation_does_nothing(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    batch = make(gateway, caller, upload(client, jsonl(LINES)))
    settle(gateway, batch.id, 4 * DOLLAR)
    refund(gateway, batch.id)
    assert count(gateway, budget_reservations) == 0
    assert status(gateway, batch.id) == "validating"


def instant(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)


def test_periods_begin_at_midnight_utc() -> None:
    start = service.period_start
    last, first = instant(2028, 2, 29, 23, 59, 59), instant(2028, 3, 1)
    assert start("day", last) == instant(2028, 2, 29)
    assert start("day", last + 999) == instant(2028, 2, 29)
    assert start("day", first) == first
    assert start("month", last) == instant(2028, 2, 1)
    assert start("month", first) == first
    assert start("month", instant(2029, 1, 1) - 1) == instant(2028, 12, 1)
    assert start("total", last) == start("total", first) == 0


@pytest.mark.parametrize("period", ["day", "month"])
def test_in_a_new_period_nothing_is_spent_and_reservations_stay(
    client: KeyClient, gateway: Gateway, caller: Caller, period: str
) -> None:
    price(gateway)
    mine = budget(gateway, 5 * DOLLAR, period=period)
    (told,) = service.list_(gateway)
    batch = make(gateway, caller, upload(client, jsonl(LINES)))
    settle(gateway, batch.id, DOLLAR)
    assert ask(client, upload(client, jsonl(LINES))).status_code == 402

    with gateway.database.write() as connection:  # as it was when the period before was on
        connection.execute(update(budgets).values(period_start=told.period_start - HOUR_MS))
    (rolled,) = service.list_(gateway)
    assert (rolled.spent, rolled.reserved, rolled.left) == (0, 2 * DOLLAR, 3 * DOLLAR)
    assert rolled.period_start == told.period_start
    assert ask(client, upload(client, jsonl(LINES))).status_code == 200
    settle(gateway, batch.id, CENT)
    assert state(gateway, mine) == (CENT, 5 * DOLLAR - CENT)


def test_a_budget_in_total_never_begins_anew(gateway: Gateway) -> None:
    keys.create(gateway, project="alpha", name="any")
    mine = budget(gateway, DOLLAR)
    with gateway.database.write() as connection:
        connection.execute(update(budgets).values(spent_picodollars=CENT))
    budget(gateway, 2 * DOLLAR)
    assert state(gateway, mine) == (CENT, 0)


def test_batches_that_run_count_for_a_budget_that_is_set_later(
    client: KeyClient, gateway: Gateway, caller: Caller
) -> None:
    price(gateway)
    batch = make(gateway, caller, upload(client, jsonl(LINES)))
    run(gateway, batch.id)
    mine = budget(gateway, 2 * DOLLAR)
    settle(gateway, batch.id, DOLLAR)
    assert state(gateway, mine) == (DOLLAR, 0)
    assert status(gateway, batch.id) == "in_progress"
    settle(gateway, batch.id, 2 * DOLLAR)
    assert status(gateway, batch.id) == "cancelling"


def test_the_sweeper_finds_what_no_end_gave_back(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway)
    mine = budget(gateway, 9 * DOLLAR)
    over, running = (make(gateway, caller, upload(client, jsonl(LINES))) for _ in range(2))
    with gateway.database.write() as connection:
        connection.execute(update(batches).where(batches.c.id == over.id).values(status="failed"))
    assert sweep.sweep(gateway)["reservations"] == 1
    assert state(gateway, mine) == (0, 3 * DOLLAR)
    assert [row.batch_id for row in reservations(gateway) if row.settled_at is None] == [running.id]


def test_the_sweeper_finds_a_batch_that_was_made_while_its_budget_was_set(
    client: KeyClient, gateway: Gateway, caller: Caller
) -> None:
    price(gateway)
    batch = make(gateway, caller, upload(client, jsonl(LINES)))
    mine = budget(gateway, DOLLAR)
    with gateway.database.write() as connection:  # as if it had been committed just after
        connection.execute(budget_reservations.delete())
    sweep.sweep(gateway)
    settle(gateway, batch.id, CENT)
    assert state(gateway, mine) == (CENT, 0)


def test_a_budget_can_be_removed_while_batches_run(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway)
    budget(gateway, 3 * DOLLAR)
    batch = make(gateway, caller, upload(client, jsonl(LINES)))
    service.remove(gateway, project="alpha", period="total")
    settle(gateway, batch.id, DOLLAR)
    refund(gateway, batch.id)
    assert service.list_(gateway) == []
    make(gateway, caller, upload(client, jsonl(LINES)))
    with pytest.raises(NotFoundError):
        service.remove(gateway, project="alpha", period="total")


def test_a_deleted_batch_keeps_what_it_spent(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway)
    mine = budget(gateway, 3 * DOLLAR)
    data = jsonl(LINES)
    batch = make(gateway, caller, upload(client, data))
    running = RunningBatch(gateway, batch.public_id, data=data)
    settle(gateway, batch.id, DOLLAR)
    running.end("completed")
    assert client.delete(f"/v1/batches/{batch.public_id}").status_code == 200
    assert state(gateway, mine) == (DOLLAR, 0)


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ({"project": "nobody", "period": "day", "limit_picodollars": 1}, NotFoundError),
        ({"project": "alpha", "key": "0000", "period": "day", "limit_picodollars": 1}, NotFoundError),
        ({"project": "alpha", "period": "week", "limit_picodollars": 1}, InvalidRequestError),
        ({"project": "alpha", "period": "day", "limit_picodollars": -1}, InvalidRequestError),
        ({"project": "alpha", "period": "day", "limit_picodollars": 10**19}, InvalidRequestError),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(gateway: Gateway, wanted: dict[str, Any], kind: type) -> None:
    keys.create(gateway, project="alpha", name="any")
    with pytest.raises(kind):
        service.set_(gateway, **wanted)
    assert count(gateway, budgets) == 0


def test_who_sets_and_removes_budgets_is_an_event(gateway: Gateway) -> None:
    key = keys.create(gateway, project="alpha", name="any").public_id
    budget(gateway, DOLLAR, key=key, period="day")
    service.remove(gateway, project="alpha", key=key, period="day")
    with gateway.database.read() as connection:
        told = connection.execute(select(events).where(events.c.operation.like("budget%")).order_by(events.c.id)).all()
    assert [(row.operation, row.detail["key"]) for row in told] == [("budget_set", key), ("budget_remove", key)]
    assert told[0].detail["limit"] == "1.00"
