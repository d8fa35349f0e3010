"""`batchgate budgets`."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from app.cli import batchgate
from app.lib import json
from app.services.access import keys
from app.services.gateway import Gateway
from app.services.money import budgets
from tests.support.money import CENT, DOLLAR, budget

Run = Callable[..., Result]


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs `batchgate budgets` on the test's store."""
    runner = CliRunner(env=environment)
    return lambda *arguments: runner.invoke(batchgate, ["budgets", *arguments], catch_exceptions=False)


@pytest.fixture
def key(gateway: Gateway) -> str:
    """A key of project reports, whole."""
    return keys.create(gateway, project="reports", name="any").key


def test_a_budget_is_set_listed_changed_and_removed(run: Run, key: str, gateway: Gateway) -> None:
    assert "project reports of the month is $500.00" in run("set", "--project", "reports", "500").stdout
    # The key itself is taken for its id, and never shown.
    answer = run("set", "--project", "reports", "--key", key, "--period", "day", "$12.50")
    public_id = key.removeprefix("sk-bf-").partition("-")[0]
    assert answer.stdout == f"The budget of key {public_id} of the day is $12.50.\n"
    assert run("set", "--project", "reports", "0.000001").exit_code == 0

    [month, day] = json.loads(run("list", "--project", "reports", "--json").stdout)
    assert (month["period"], month["key"], month["limit"], month["left"]) == ("month", None, "0.000001", "0.000001")
    assert (day["period"], day["key"], day["limit"], day["spent"], day["reserved"]) == (
        "day",
        public_id,
        "12.50",
        "0.00",
        "0.00",
    )
    assert [entry["key"] for entry in json.loads(run("list", "--key", public_id, "--json").stdout)] == [public_id]
    shown = run("list").stdout
    assert "12.50" in shown and key not in shown

    assert run("remove", "--project", "reports").exit_code == 0
    assert [one.period for one in budgets.list_(gateway)] == ["day"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("set", "--project", "nobody", "5"), "There is no project 'nobody'"),
        (("set", "--project", "reports", "--key", "abc", "5"), "There is no key 'abc'"),
        (("set", "--project", "reports", "--", "-5"), "not an amount of dollars"),
        (("set", "--project", "reports", "five"), "not an amount of dollars"),
        (("set", "--project", "reports", "5000000"), "must be $0 to $4000000.00"),
        (("set", "--project", "reports", "--period", "week", "5"), "'week' is not one of"),
        (("set", "5"), "--project"),
        (("remove", "--project", "reports", "--period", "day"), "There is no budget to remove"),
    ],
)
@pytest.mark.usefixtures("key")
def test_what_is_wrong_is_told(run: Run, arguments: tuple[str, ...], told: str) -> None:
    answer = run(*arguments)
    assert answer.exit_code == 2
    assert told in answer.stderr


def test_lists_go_on_behind_their_first_page(gateway: Gateway, key: str) -> None:
    made = [budget(gateway, n * CENT + DOLLAR, project="reports", period=p) for n, p in enumerate(budgets.PERIODS)]
    first = budgets.list_(gateway, limit=2)
    rest = budgets.list_(gateway, limit=2, after=first[-1].id)
    assert [one.id for one in (*first, *rest)] == made
