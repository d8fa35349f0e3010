"""What a line costs, once: the entries of the ledger that come of results, attempts and jobs."""

from dataclasses import replace

import pytest
from sqlalchemy import insert, select

from app.data.tables import budget_reservations, budgets
from app.engine.outcomes import Line, Tokens
from app.services.gateway import Caller, Gateway
from app.services.money import charge as money_charge
from app.services.money import price_book
from app.services.money.price_book import NewPrice
from tests.services.money.book import USED, charge, done, entries, freeze, insert_batch, set_price

COST = 6 * 100 + 4 * 10 + 5 * 1000  # of USED at the price of `test_a_line_is_charged_...`


def test_a_line_is_charged_with_all_that_is_known_of_it(gateway: Gateway, caller: Caller) -> None:
    price = set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller)

    charge(gateway, batch_id, [done(1), done(2, Tokens(input=1, total=1))])

    first, second = entries(gateway)
    assert (first.kind, first.charge_key, first.line) == ("line", f"line:{batch_id}:1", 1)
    assert (first.project_id, first.key_id, first.batch_id) == (caller.project_id, caller.key_id, batch_id)
    assert (first.provider, first.model, first.execution) == ("local", "m", "gateway")
    told = (first.input_tokens, first.cached_tokens, first.output_tokens, first.reasoning_tokens)
    assert told == (USED.input, USED.cached, USED.output, USED.reasoning)
    assert (first.price_id, first.cost_picodollars) == (price.id, COST)
    assert second.cost_picodollars == 100


def test_what_is_written_again_is_charged_once(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller)

    charge(gateway, batch_id, [done(1), done(2)])
    tried_again = replace(done(1).line, attempts=2)
    charge(gateway, batch_id, [replace(done(1), line=tried_again), done(2, Tokens(input=999, total=999)), done(3)])

    assert [(row.line, row.cost_picodollars) for row in entries(gateway)] == [(1, COST), (2, COST), (3, COST)]


def test_a_budget_is_charged_for_what_is_new_in_the_ledger(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller, lines_total=50)
    reserved = 100 * COST
    with gateway.database.write() as connection:
        amounts = {"limit_picodollars": 10 * reserved, "spent_picodollars": 0, "reserved_picodollars": reserved}
        budget = {"id": 1, "project_id": caller.project_id, "period": "total", "period_start": 0, "created_at": 1}
        connection.execute(insert(budgets).values(**budget, **amounts))
        left = {"reserved_picodollars": reserved, "left_picodollars": reserved, "created_at": 1}
        connection.execute(insert(budget_reservations).values(budget_id=1, batch_id=batch_id, **left))

    charge(gateway, batch_id, [done(1), done(2)])
    charge(gateway, batch_id, [done(2), done(3)])
    charge(gateway, batch_id, [done(4, Tokens())])

    with gateway.database.read() as connection:
        row = connection.execute(select(budgets.c.spent_picodollars, budgets.c.reserved_picodollars)).one()
    # What is not known counts as its part of the reservation.
    assert tuple(row) == (5 * COST, reserved - 5 * COST)


def test_a_transaction_that_fails_leaves_no_charge(gateway: Gateway, caller: Caller) -> None:
    batch_id = insert_batch(gateway, caller)

    class _StopError(Exception):
        pass

    with pytest.raises(_StopError), gateway.database.write() as connection:
        money_charge.charge(connection, gateway, batch_id, [done(1)])
        raise _StopError

    assert entries(gateway) == []


def test_a_line_that_failed_costs_nothing_unless_it_tells_tokens(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller)

    charge(gateway, batch_id, [done(1, Tokens(), succeeded=False), done(2, succeeded=False)])

    assert [(row.line, row.cost_picodollars) for row in entries(gateway)] == [(2, COST)]


def test_an_answer_that_cannot_be_read_was_paid_for(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller)

    charge(gateway, batch_id, [replace(done(1, Tokens(), succeeded=False), error_code="bad_answer")])

    assert [(row.line, row.cost_picodollars) for row in entries(gateway)] == [(1, None)]


def test_an_unknown_price_is_recorded_as_unknown(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "other", 100)
    batch_id = insert_batch(gateway, caller)

    charge(gateway, batch_id, [done(1)])

    (row,) = entries(gateway)
    assert (row.price_id, row.cost_picodollars, row.input_tokens) == (None, None, USED.input)


def test_an_answer_that_tells_no_tokens_is_recorded_as_unknown(gateway: Gateway, caller: Caller) -> None:
    price = set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller)

    charge(gateway, batch_id, [done(1, Tokens())])

    (row,) = entries(gateway)
    assert (row.price_id, row.cost_picodollars, row.input_tokens, row.output_tokens) == (price.id, None, None, None)


def test_an_answer_that_tells_its_output_alone_is_of_unknown_cost(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller)

    charge(gateway, batch_id, [done(1, Tokens(output=5, total=5))])

    (row,) = entries(gateway)
    assert (row.cost_picodollars, row.input_tokens, row.output_tokens) == (None, 0, 5)


def test_where_nothing_costs_anything_unknown_tokens_cost_nothing(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "*", 0, None, 0)
    batch_id = insert_batch(gateway, caller)

    charge(gateway, batch_id, [done(1, Tokens()), done(2)])

    assert [row.cost_picodollars for row in entries(gateway)] == [0, 0]


def test_tokens_beyond_belief_are_charged_as_unknown(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "m", 10**9, None, 10**9)
    batch_id = insert_batch(gateway, caller)

    charge(gateway, batch_id, [done(1, Tokens(input=2**62, output=2**62, total=2**63 - 1)), done(2)])

    assert [row.cost_picodollars for row in entries(gateway)] == [None, 15 * 10**9]


@pytest.mark.parametrize(("execution", "percent"), [("provider", 50), ("gateway", 100)])
def test_the_discount_is_that_of_the_providers_own_batches(
    gateway: Gateway, caller: Caller, execution: str, percent: int
) -> None:
    set_price(gateway, "local", "m", 100, 10, 1000, percent=50)
    batch_id = insert_batch(gateway, caller, execution=execution)

    charge(gateway, batch_id, [done(1)])

    assert entries(gateway)[0].cost_picodollars == COST * percent // 100


@pytest.mark.parametrize(("execution", "cost"), [("provider", (COST - 40) // 2 + 40), ("gateway", COST)])
def test_cached_input_has_the_discount_that_its_price_says(
    gateway: Gateway, caller: Caller, execution: str, cost: int
) -> None:
    new = NewPrice("local", "m", 100, 10, 1000, batch_percent=50, cached_batch_percent=100)
    price = price_book.set_(gateway, new)
    batch_id = insert_batch(gateway, caller, execution=execution)
    freeze(gateway, batch_id, price)

    charge(gateway, batch_id, [done(1)])

    assert entries(gateway)[0].cost_picodollars == cost


def test_the_price_that_the_batch_was_planned_with_counts(gateway: Gateway, caller: Caller) -> None:
    price = set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller)
    freeze(gateway, batch_id, price)
    charge(gateway, batch_id, [done(1)])

    set_price(gateway, "local", "m", 7)
    charge(gateway, batch_id, [done(2)])

    assert [(row.price_id, row.cost_picodollars) for row in entries(gateway)] == [(price.id, COST)] * 2


def test_each_line_is_charged_at_the_price_of_its_own_model(gateway: Gateway, caller: Caller) -> None:
    own = set_price(gateway, "local", "m", 1)
    other = set_price(gateway, "local", "other*", 1000, None, 0)
    batch_id = insert_batch(gateway, caller, execution="provider", lines=[None, "other-1", "nobodys"])
    freeze(gateway, batch_id, own)
    used = Tokens(input=3, total=3)

    charge(gateway, batch_id, [done(1, used), done(2, used, unknown=1), done(3, used)])

    told = [(row.model, row.price_id, row.cost_picodollars) for row in entries(gateway, "line")]
    assert told == [("m", own.id, 3), ("other-1", other.id, 3000), ("nobodys", None, None)]
    assert [row.model for row in entries(gateway, "attempt")] == ["other-1"]


def test_each_attempt_of_unknown_cost_is_an_entry_of_its_own(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller)
    tried = Line(1, "c1", 0, 1, attempts=1, unknown_attempts=1)

    with gateway.database.write() as connection:
        money_charge.note_attempts(connection, gateway, batch_id, [tried, Line(2, "c2", 0, 1, attempts=3)])
    charge(gateway, batch_id, [done(1, unknown=2), done(2)])

    attempts = entries(gateway, "attempt")
    assert [row.charge_key for row in attempts] == [f"attempt:{batch_id}:1:1", f"attempt:{batch_id}:1:2"]
    assert {(row.cost_picodollars, row.input_tokens, row.price_id, row.model) for row in attempts} == {
        (None, None, None, "m")
    }
    assert [row.line for row in entries(gateway, "line")] == [1, 2]


def test_a_job_that_may_run_unheard_is_an_entry_once_for_each_time_it_was_asked_for(
    gateway: Gateway, caller: Caller
) -> None:
    batch_id = insert_batch(gateway, caller, execution="provider")
    with gateway.database.write() as connection:
        for attempt in (1, 1, 2):
            money_charge.note_job(connection, gateway, batch_id, job_id=7, attempt=attempt)

    assert [(row.kind, row.charge_key, row.cost_picodollars) for row in entries(gateway)] == [
        ("job", "job:7:1", None),
        ("job", "job:7:2", None),
    ]
