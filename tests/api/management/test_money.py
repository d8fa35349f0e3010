"""Prices, budgets and quotas over HTTP."""

from typing import Any

import pytest

from app.lib import money
from app.services.access import keys
from app.services.gateway import Gateway
from app.services.money import budgets, prices
from tests.api.management.conftest import client_of
from tests.api.management.ledger import Ledger
from tests.conftest import KeyClient

PRICE = {"provider": "openai", "model": "gpt-5*", "input": "1.25", "cached": 0.125, "output": 10, "batch_percent": 50}
BUDGET = {"project": "ops", "period": "month", "max_limit": "12.50"}


def test_a_price_holds_from_now_on_and_ends_the_one_before(admin: KeyClient, gateway: Gateway) -> None:
    first = admin.post("/api/prices", json=PRICE)
    assert first.status_code == 200, first.text
    assert {name: first.json[name] for name in PRICE} == {**PRICE, "cached": "0.125", "output": "10"}
    second = admin.post("/api/prices", json={**PRICE, "input": None, "cached": None}).json

    valid = admin.get("/api/prices?provider=openai&model=gpt-5*").json["data"]
    assert [price["id"] for price in valid] == [second["id"]]
    assert (valid[0]["input"], valid[0]["valid_until"]) == (None, None)
    both = admin.get("/api/prices?provider=openai&model=gpt-5*&ended=true").json["data"]
    assert [price["id"] for price in both] == [first.json["id"], second["id"]]
    with gateway.database.read() as connection:
        now = gateway.clock.now_ms() + 1000
        found = prices.find(connection, provider="openai", model="gpt-5-mini", at_ms=now)
    assert found is not None and (found.id, found.output, found.batch_percent) == (second["id"], 10_000_000, 50)


def test_a_price_says_what_cached_input_costs_in_batches(admin: KeyClient) -> None:
    assert admin.post("/api/prices", json=PRICE).json["cached_batch_percent"] is None
    made = admin.post("/api/prices", json={**PRICE, "cached_batch_percent": 100}).json
    assert made["cached_batch_percent"] == 100
    [listed] = admin.get("/api/prices?provider=openai&model=gpt-5*").json["data"]
    assert listed["cached_batch_percent"] == 100


def test_a_price_can_be_announced(admin: KeyClient) -> None:
    made = admin.post("/api/prices", json={**PRICE, "valid_from": "2099-01-01"}).json
    assert made["valid_from"] == 4_070_908_800
    again = admin.post("/api/prices", json={**PRICE, "valid_from": 4_070_908_800})
    assert (again.status_code, again.json["error"]["code"]) == (409, "conflict")


WRONG_WITH_A_PRICE: list[tuple[Any, ...]] = [
    ({"provider": None}, "provider"),
    ({"provider": "Open AI"}, "provider"),
    ({"model": ""}, "model"),
    ({"model": "a*b"}, "model"),
    ({"input": "cheap"}, "input"),
    ({"input": -1}, "input"),
    ({"input": True}, "input"),
    ({"input": "0.0000001"}, "input"),
    ({"output": []}, "output"),
    ({"batch_percent": 50.5}, "batch_percent"),
    ({"batch_percent": "50"}, "batch_percent"),
    ({"cached_batch_percent": "50"}, "cached_batch_percent"),
    ({"cached_batch_percent": 501}, "cached_batch_percent"),
    ({"valid_from": "2001-01-01"}, "from"),
    ({"valid_from": "soon"}, "valid_from"),
    ({"price": 5}, "price"),
]


def test_what_is_wrong_with_a_price_is_named(admin: KeyClient) -> None:
    for body, param in WRONG_WITH_A_PRICE:
        answer = admin.post("/api/prices", json={**PRICE, **body})
        assert (answer.status_code, answer.json["error"]["param"]) == (400, param), answer.text
        assert admin.get("/api/prices?provider=openai").json["data"] == []


def test_a_price_without_input_is_refused(admin: KeyClient) -> None:
    answer = admin.post("/api/prices", json={"provider": "openai", "model": "m"})
    assert (answer.status_code, answer.json["error"]["param"]) == (400, "input")


def test_pages_of_prices_hold_together(admin: KeyClient) -> None:
    ids = [admin.post("/api/prices", json={**PRICE, "model": name}).json["id"] for name in ("a", "b", "c")]
    first = admin.get("/api/prices?provider=openai&limit=2").json
    rest = admin.get(f"/api/prices?provider=openai&limit=2&after={first['last_id']}").json
    assert [price["id"] for price in first["data"] + rest["data"]] == ids
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert admin.get("/api/prices?prvider=openai").json["error"]["param"] == "prvider"


def test_a_budget_is_set_listed_and_removed(admin: KeyClient) -> None:
    made = admin.put("/api/budgets", json=BUDGET)
    assert made.status_code == 200, made.text
    assert {name: made.json[name] for name in ("project", "key", "period", "reset_duration", "max_limit", "left")} == {
        "project": "ops",
        "key": None,
        "period": "month",
        "reset_duration": "1M",
        "max_limit": "12.50",
        "left": "12.50",
    }
    again = admin.put("/api/budgets", json={**BUDGET, "max_limit": 20}).json
    assert (again["id"], again["max_limit"]) == (made.json["id"], "20.00")
    assert [budget["id"] for budget in admin.get("/api/budgets?project=ops").json["data"]] == [again["id"]]

    removed = admin.delete("/api/budgets?project=ops&period=month")
    assert (removed.status_code, removed.json["deleted"]) == (200, True)
    assert admin.get("/api/budgets").json["data"] == []
    assert admin.delete("/api/budgets?project=ops&period=month").status_code == 404


def test_a_budget_of_a_key_is_of_its_project(admin: KeyClient, gateway: Gateway) -> None:
    key = keys.create(gateway, project="alpha", name="").public_id
    made = admin.put("/api/budgets", json={"project": "alpha", "key": key, "period": "total", "max_limit": 1})
    assert (made.json["key"], made.json["period"], made.json["reset_duration"]) == (key, "total", None)
    assert admin.get(f"/api/governance/virtual-keys/{key}").json["budgets"][0]["id"] == made.json["id"]
    wrong = admin.put("/api/budgets", json={"project": "ops", "key": key, "period": "total", "max_limit": 1})
    assert wrong.status_code == 404


WRONG_WITH_A_BUDGET: list[tuple[Any, ...]] = [
    ({"project": None}, 400, "project"),
    ({"project": "nope"}, 404, "project"),
    ({"key": "nope"}, 404, "key"),
    ({"period": "week"}, 400, "period"),
    ({"period": None}, 400, "period"),
    ({"max_limit": None}, 400, "max_limit"),
    ({"max_limit": "1e999999999"}, 400, "max_limit"),
    ({"max_limit": "NaN"}, 400, "max_limit"),
    ({"max_limit": -0.01}, 400, "max_limit"),
    ({"max_limit": 4_000_001}, 400, "max_limit"),
    ({"max_limit": "0.0000000000001"}, 400, "max_limit"),
    ({"limit": 5}, 400, "limit"),
]


def test_what_is_wrong_with_a_budget_is_named(admin: KeyClient) -> None:
    for body, status, param in WRONG_WITH_A_BUDGET:
        answer = admin.put("/api/budgets", json={**BUDGET, **body})
        assert (answer.status_code, answer.json["error"]["param"]) == (status, param), answer.text
        assert admin.get("/api/budgets").json["data"] == []


@pytest.mark.parametrize(
    "query", ["project=ops", "period=day", "project=ops&period=week", "project=ops&period=day&x=1"]
)
def test_a_budget_that_is_not_named_whole_is_not_removed(admin: KeyClient, query: str) -> None:
    admin.put("/api/budgets", json={**BUDGET, "period": "day"})
    assert admin.delete(f"/api/budgets?{query}").status_code == 400
    assert len(admin.get("/api/budgets").json["data"]) == 1


def test_pages_of_budgets_hold_together(admin: KeyClient) -> None:
    ids = [
        admin.put("/api/budgets", json={**BUDGET, "period": period}).json["id"] for period in ("day", "month", "total")
    ]
    first = admin.get("/api/budgets?limit=2").json
    rest = admin.get(f"/api/budgets?limit=2&after={first['last_id']}").json
    assert [budget["id"] for budget in first["data"] + rest["data"]] == ids
    assert (first["has_more"], rest["has_more"]) == (True, False)


@pytest.mark.parametrize("role", ["admin", "member", "viewer"])
def test_any_key_may_know_what_it_may_and_has_used(gateway: Gateway, role: str) -> None:
    ledger = Ledger(gateway)
    issued = keys.create(gateway, project="alpha", name="mine", role=role, limits={"open_batches": 2})
    ledger.callers["alpha"] = keys.authenticate(gateway, issued.key, request_id="req")
    ledger.add("alpha", at=gateway.clock.now_ms() - 1000, cost=3 * money.PICODOLLARS)
    budgets.set_(gateway, project="alpha", key=issued.public_id, period="day", limit_picodollars=money.PICODOLLARS)
    budgets.set_(gateway, project="alpha", period="month", limit_picodollars=5 * money.PICODOLLARS)
    other = keys.create(gateway, project="alpha", name="other").public_id
    budgets.set_(gateway, project="alpha", key=other, period="day", limit_picodollars=7)

    answer = client_of(gateway, issued.key).get("/api/governance/virtual-keys/quota")
    assert answer.status_code == 200, answer.text
    assert (answer.json["id"], answer.json["project"], answer.json["limits"]) == (
        issued.public_id,
        "alpha",
        {"open_batches": 2},
    )
    assert [(budget["key"], budget["max_limit"]) for budget in answer.json["budgets"]] == [
        (issued.public_id, "1.00"),
        (None, "5.00"),
    ]
    assert (answer.json["usage"]["cost"], answer.json["usage"]["lines"]) == ("3.00", 1)
    assert other not in answer.text


def test_a_quota_tells_nothing_to_a_key_that_is_over(gateway: Gateway) -> None:
    issued = keys.create(gateway, project="alpha", name="")
    keys.revoke(gateway, issued.public_id)
    assert client_of(gateway, issued.key).get("/api/governance/virtual-keys/quota").status_code == 401
