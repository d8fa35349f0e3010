"""What was used and what it cost, over HTTP and at the command line."""

import json
from typing import Any

import pytest

from app.services.gateway import Gateway
from tests.api.management.conftest import Run
from tests.api.management.ledger import Ledger
from tests.conftest import KeyClient

DAY = 86_400_000
DOLLAR = 10**12
# 1970-01-10 to 1970-01-12
BEGINS = 9 * DAY
PERIOD = "from=1970-01-10&to=1970-01-13"


@pytest.fixture
def ledger(gateway: Gateway) -> Ledger:
    """Five entries that count, on three days, and two just outside."""
    made = Ledger(gateway)
    made.add("alpha", at=BEGINS - 1, cost=DOLLAR)
    made.add("alpha", at=BEGINS, cost=DOLLAR)
    made.add("alpha", at=BEGINS + 5, cost=2 * DOLLAR, model="n", reasoning_tokens=3)
    made.add("beta", at=BEGINS + DAY, cost=None)
    made.add("beta", at=BEGINS + DAY, cost=None, kind="attempt", input_tokens=None, output_tokens=None)
    made.add("beta", at=BEGINS + 3 * DAY - 1, cost=5, provider="openai", key_id=None)
    made.add("beta", at=BEGINS + 3 * DAY, cost=DOLLAR)
    return made


def by(admin: KeyClient, group: str, query: str = PERIOD) -> dict[str, dict[str, Any]]:
    answer = admin.get(f"/api/usage?group_by={group}&{query}")
    assert answer.status_code == 200, answer.text
    return {row["id"]: row for row in answer.json["data"]}


def test_sums_by_project(admin: KeyClient, ledger: Ledger) -> None:
    answer = admin.get(f"/api/usage?{PERIOD}").json
    assert (answer["group_by"], answer["from"], answer["to"]) == ("project", BEGINS // 1000, BEGINS // 1000 + 3 * 86400)
    alpha, beta = answer["data"]
    assert alpha == {
        "id": "alpha",
        "object": "usage",
        "name": None,
        "project": "alpha",
        "lines": 2,
        "input_tokens": 20,
        "cached_tokens": 8,
        "output_tokens": 10,
        "reasoning_tokens": 3,
        "cost": "3.00",
        "unknown_costs": 0,
    }
    assert (beta["lines"], beta["cost"], beta["unknown_costs"], beta["input_tokens"]) == (2, "0.000000000005", 2, 20)


def test_sums_by_everything_else(admin: KeyClient, ledger: Ledger) -> None:
    alpha, beta = (ledger.key(name) for name in ("alpha", "beta"))
    of_keys = by(admin, "key")
    assert {id_: (row["cost"], row["project"]) for id_, row in of_keys.items()} == {
        alpha.name: ("3.00", "alpha"),
        beta.name: ("0.00", "beta"),
        "-": ("0.000000000005", None),
    }
    assert of_keys[str(alpha.name)]["name"] == "of alpha"
    assert {id_: row["lines"] for id_, row in by(admin, "provider").items()} == {"local": 3, "openai": 1}
    assert {id_: row["cost"] for id_, row in by(admin, "model").items()} == {
        "local/m": "1.00",
        "local/n": "2.00",
        "openai/m": "0.000000000005",
    }
    assert {id_: row["lines"] for id_, row in by(admin, "day").items()} == {
        "1970-01-10": 2,
        "1970-01-11": 1,
        "1970-01-12": 1,
    }


def test_the_sum_over_each_grouping_is_the_same(admin: KeyClient, ledger: Ledger) -> None:
    sums = {
        tuple(
            sum(row[field] for row in by(admin, group).values()) for field in ("lines", "input_tokens", "unknown_costs")
        )
        for group in ("key", "project", "provider", "model", "day")
    }
    assert sums == {(4, 40, 2)}


def test_of_one_project_or_key(admin: KeyClient, ledger: Ledger) -> None:
    assert set(by(admin, "day", f"{PERIOD}&project=beta")) == {"1970-01-11", "1970-01-12"}
    assert set(by(admin, "day", f"{PERIOD}&key={ledger.key('alpha').name}")) == {"1970-01-10"}


@pytest.mark.parametrize("group", ["key", "project", "provider", "model", "day"])
def test_pages_hold_together(admin: KeyClient, ledger: Ledger, group: str) -> None:
    whole = list(by(admin, group))
    paged: list[str] = []
    after = ""
    for _ in whole:
        page = admin.get(f"/api/usage?group_by={group}&{PERIOD}&limit=1{after}").json
        paged += [row["id"] for row in page["data"]]
        after = f"&after={page['last_id']}"
    assert paged == whole
    assert not page["has_more"]


def test_the_last_thirty_days_are_the_default(admin: KeyClient, gateway: Gateway, ledger: Ledger) -> None:
    now = gateway.clock.now_ms()
    ledger.add("alpha", at=now - 1000, cost=7)
    ledger.add("alpha", at=now - 32 * DAY, cost=7)
    assert {id_: row["lines"] for id_, row in by(admin, "project", "").items()} == {"alpha": 1}


def test_sums_beyond_sixty_four_bits(admin: KeyClient, ledger: Ledger) -> None:
    for _ in range(3):
        ledger.add("alpha", at=BEGINS, cost=8_000_000 * DOLLAR)
    assert by(admin, "project")["alpha"]["cost"] == "24000003.00"


WRONG_WITH_A_QUERY: list[tuple[Any, ...]] = [
    ("group_by=week", "group_by"),
    ("group_by=", "group_by"),
    ("by=key", "by"),
    ("from=2020-01-02&to=2020-01-01", "from"),
    ("from=2020-01-01&to=2020-01-01", "from"),
    ("from=2010-01-01", "from"),
    ("from=x", "from"),
    ("to=2020-13-01", "to"),
    ("project=nope", "project"),
    ("key=nope", "key"),
    ("after=nope", "after"),
    ("group_by=key&after=nope", "after"),
    ("group_by=day&after=monday", "after"),
    ("limit=0", "limit"),
]


def test_what_is_wrong_with_a_query_is_named(admin: KeyClient) -> None:
    for query, param in WRONG_WITH_A_QUERY:
        answer = admin.get(f"/api/usage?{query}")
        assert (answer.status_code, answer.json["error"]["param"]) == (400, param)


def test_the_command_line_tells_the_same(run: Run, admin: KeyClient, ledger: Ledger) -> None:
    period = ("--from", "1970-01-10", "--to", "1970-01-13")
    told = json.loads(run("usage", *period, "--by", "model", "--json").stdout)
    wire = by(admin, "model")
    assert {row["id"]: (row["lines"], row["cost"], row["unknown"]) for row in told} == {
        id_: (row["lines"], row["cost"], row["unknown_costs"]) for id_, row in wire.items()
    }
    text = run("usage", *period, "--project", "alpha").stdout.splitlines()
    assert text[0].startswith("PROJECT")
    assert text[1].split() == ["alpha", "2", "20", "8", "10", "3.00"]
    assert run("usage", "--project", "nope").exit_code == 2
    assert run("usage", "--from", "soon").exit_code == 2
