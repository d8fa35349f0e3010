"""Prices: which one applies when, what tokens come to at it, and how prices are set, imported and loaded."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.cli import batchgate
from app.connectors.catalogue import registry
from app.data.money import prices as rows
from app.data.tables import events, prices
from app.engine.outcomes import Tokens
from app.errors import ConflictError, InvalidRequestError
from app.services.gateway import Gateway
from app.services.money import price_book, price_import
from app.services.money import prices as service
from app.services.money.price_book import NewPrice
from app.services.money.prices import Price
from tests.services.money.book import set_price

Run = Callable[..., Result]
MILLION = 1_000_000
DAY_MS = 86_400_000


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs `batchgate` on the test's store."""
    runner = CliRunner(env=environment)
    return lambda *arguments: runner.invoke(batchgate, arguments, catch_exceptions=False)


def now(gateway: Gateway) -> int:
    with gateway.database.read() as connection:
        return rows.clock(connection)


def found(gateway: Gateway, model: str, *, provider: str = "openai", at_ms: int | None = None) -> int | None:
    """The input rate of the price that applies."""
    with gateway.database.read() as connection:
        at_ms = rows.clock(connection) + 1 if at_ms is None else at_ms
        price = service.find(connection, provider=provider, model=model, at_ms=at_ms)
    return None if price is None else price.input


def load(gateway: Gateway, *new: NewPrice) -> int:
    return gateway.database.run(lambda connection: price_book.load(connection, new, source="shipped"))


def test_the_model_itself_counts_before_the_longest_pattern(gateway: Gateway) -> None:
    for rate, model in enumerate(("*", "gpt-5*", "gpt-5-mini*", "gpt-5-mini", "gpt-5-min*", "gpt-4%", "gpt_5*"), 1):
        set_price(gateway, "openai", model, rate)

    told = {model: found(gateway, model) for model in ("gpt-5-mini", "gpt-5-mini-x", "gpt-5", "gpt-4o", "", "GPT-5")}

    assert told == {"gpt-5-mini": 4, "gpt-5-mini-x": 3, "gpt-5": 2, "gpt-4o": 1, "": 1, "GPT-5": 1}
    assert found(gateway, "gpt-5", provider="azure") is None


def test_a_model_that_no_pattern_fits_has_no_price(gateway: Gateway) -> None:
    set_price(gateway, "openai", "gpt-5*", 1)
    assert found(gateway, "gpt-4o") is None


def test_a_new_price_ends_the_one_before_and_changes_nothing_of_it(gateway: Gateway) -> None:
    first = set_price(gateway, "openai", "m", 1)
    second = set_price(gateway, "openai", "m", 2)

    assert second.valid_from > first.valid_from
    assert found(gateway, "m", at_ms=first.valid_from - 1) is None
    assert found(gateway, "m", at_ms=first.valid_from) == 1
    assert found(gateway, "m", at_ms=second.valid_from - 1) == 1
    assert found(gateway, "m", at_ms=second.valid_from) == 2


def test_a_price_may_begin_later_and_one_may_be_set_before_it(gateway: Gateway) -> None:
    start = now(gateway)
    later = price_book.set_(gateway, NewPrice("openai", "m", 3), valid_from=start + DAY_MS)
    between = set_price(gateway, "openai", "m", 2)

    assert (between.valid_until, later.valid_until) == (later.valid_from, None)
    assert found(gateway, "m") == 2
    assert found(gateway, "m", at_ms=start + DAY_MS - 1) == 2
    assert found(gateway, "m", at_ms=start + DAY_MS) == 3


def test_no_price_begins_in_the_past_or_twice(gateway: Gateway) -> None:
    start = now(gateway)
    with pytest.raises(InvalidRequestError, match="cannot begin in the past"):
        price_book.set_(gateway, NewPrice("openai", "m", 1), valid_from=start - 1)
    price_book.set_(gateway, NewPrice("openai", "m", 1), valid_from=start + DAY_MS)
    with pytest.raises(ConflictError, match="from that instant"):
        price_book.set_(gateway, NewPrice("openai", "m", 2), valid_from=start + DAY_MS)


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        (Tokens(), 0),
        (Tokens(input=10, output=5, total=15), 10 * 100 + 5 * 1000),
        (Tokens(input=10, cached=4, output=5, total=15), 6 * 100 + 4 * 10 + 5 * 1000),
        (Tokens(input=10, cached=99, output=0), 10 * 10),
        # Reasoning is part of the output; where it is not, the total tells.
        (Tokens(input=10, output=5, reasoning=3, total=15), 6000),
        (Tokens(input=10, output=5, reasoning=3, total=18), 9000),
    ],
)
def test_what_tokens_cost(tokens: Tokens, cost: int) -> None:
    assert service.cost_of(Price(1, 100, 10, 1000), tokens, execution="gateway") == cost


def test_cached_input_costs_what_input_does_where_no_price_says_otherwise() -> None:
    used = Tokens(input=10, cached=4)
    assert service.cost_of(Price(1, 100, None, None), used, execution="gateway") == 1000


def test_half_a_picodollar_is_charged_as_one() -> None:
    price = Price(1, 3, None, 0, batch_percent=50)
    assert service.cost_of(price, Tokens(input=1), execution="provider") == 2
    assert service.cost_of(price, Tokens(input=1), execution="gateway") == 3


# 6 tokens of input at 100, 4 cached at 10, 5 of output at 1000, in a batch that the provider runs at half price.
@pytest.mark.parametrize(
    ("cached_percent", "cost"),
    [
        (None, (600 + 40 + 5000) // 2),  # the discounts stack, as at Anthropic
        (50, (600 + 40 + 5000) // 2),
        (100, (600 + 5000) // 2 + 40),  # the price of the cache stands, as at Google
        (500, (600 + 5000) // 2 + 4 * 50),  # cached input costs what other input does in batches, as for GPT-4.1
        (0, (600 + 5000) // 2),
    ],
)
def test_the_discounts_of_cache_and_batch_stack_as_the_price_says(cached_percent: int | None, cost: int) -> None:
    price = Price(1, 100, 10, 1000, batch_percent=50, cached_batch_percent=cached_percent)
    used = Tokens(input=10, cached=4, output=5, total=15)

    assert service.cost_of(price, used, execution="provider") == cost
    assert service.cost_of(price, used, execution="gateway") == 600 + 40 + 5000


def test_without_a_price_of_its_own_cached_input_has_the_discount_that_the_price_says() -> None:
    price = Price(1, 100, None, 0, batch_percent=50, cached_batch_percent=20)
    assert service.cost_of(price, Tokens(input=10, cached=4), execution="provider") == 300 + 80


@pytest.mark.parametrize(
    ("price", "tokens"),
    [
        (None, Tokens(input=1)),
        (None, None),
        (Price(1, 1, 1, 1), None),
        (Price(1, 0, 1, 0), None),
        (Price(1, None, None, 1), Tokens(input=1)),
        (Price(1, 1, None, None), Tokens(input=1, output=1)),
    ],
)
def test_what_nobody_knows_is_not_zero(price: Price | None, tokens: Tokens | None) -> None:
    assert service.cost_of(price, tokens, execution="gateway") is None


def test_what_is_shipped_is_loaded_once_for_all_batches_there_are(gateway: Gateway) -> None:
    assert load(gateway, NewPrice("openai", "m", 1), NewPrice("openai", "n", 2)) == 2
    assert load(gateway, NewPrice("openai", "m", 1), NewPrice("openai", "n", 2)) == 0
    assert found(gateway, "m", at_ms=0) == 1


def test_what_is_shipped_later_is_valid_from_then_on(gateway: Gateway) -> None:
    load(gateway, NewPrice("openai", "m", 1))
    before = now(gateway)

    assert load(gateway, NewPrice("openai", "m", 5), NewPrice("openai", "n", 2)) == 2

    assert [found(gateway, model, at_ms=before - 1) for model in "mn"] == [1, None]
    assert [found(gateway, model) for model in "mn"] == [5, 2]


def test_what_is_shipped_replaces_nothing_that_somebody_set(gateway: Gateway) -> None:
    load(gateway, NewPrice("openai", "m", 1))
    set_price(gateway, "openai", "m", 7)

    assert load(gateway, NewPrice("openai", "m", 5)) == 0
    assert found(gateway, "m") == 7


def test_the_shipped_file_is_right_and_names_known_providers() -> None:
    shipped = price_import.shipped()

    known = {provider.name for provider in registry.providers()}
    assert {price.provider for price in shipped} <= known
    free = {(price.provider, price.model) for price in shipped if price.input == 0}
    assert free == {(name, "*") for name in ("local", "ollama", "sgl", "vllm")}
    for price in shipped:
        assert price.input is not None
        assert price.cached is None or price.cached <= price.input


# (provider, model, what a million cached input tokens cost in a batch of the provider, in dollars).
IN_BATCHES = [
    ("anthropic", "claude-opus-4-5", "0.25"),  # "These multipliers can stack with other pricing modifiers"
    ("anthropic", "claude-fable-5-1", "0.125"),
    ("gemini", "gemini-2.5-flash", "0.03"),  # "cached tokens are priced the same as for non-batch API traffic"
    ("gemini", "gemini-2.5-pro", "0.125"),
    ("gemini", "gemini-3.1-pro-preview", "0.2"),
    ("gemini", "gemini-3.5-flash-lite", "0.03"),
    ("openai", "gpt-5", "0.0625"),  # the table of prices for batches has a column for it
    ("openai", "gpt-5.4-nano", "0.01"),
    ("openai", "gpt-4.1", "1"),  # that column is empty: cached input costs what other input does
    ("openai", "gpt-4.1-nano-2025-04-14", "0.05"),
    ("openai", "gpt-4o", "1.25"),
    ("openai", "gpt-4o-2024-05-13", "2.5"),
    ("openai", "o1", "7.5"),
    ("openai", "o3", "1"),
    ("openai", "o4-mini", "0.55"),
    ("azure", "gpt-4.1", "1"),
    ("azure", "o3-mini", "0.55"),
    ("azure", "gpt-5", "0.0625"),
]


@pytest.mark.parametrize(("provider", "model", "expected"), IN_BATCHES)
def test_shipped_prices_say_what_cached_input_costs_in_batches(provider: str, model: str, expected: str) -> None:
    shipped = {price.model: price for price in price_import.shipped() if price.provider == provider}
    name = max((name for name in shipped if model == name or model.startswith(name.rstrip("*"))), key=len)
    new = shipped[name]
    price = Price(1, new.input, new.cached, new.output, new.batch_percent, new.cached_batch_percent)
    million = Tokens(input=1_000_000, cached=1_000_000)

    cost = service.cost_of(price, million, execution="provider")
    assert price_import.dollars(None if cost is None else cost // 1_000_000) == expected
    assert cost <= (service.cost_of(price, Tokens(input=1_000_000), execution="provider") or 0), "no more is reserved"


def test_upgrading_the_store_loads_what_is_shipped(run: Run, gateway: Gateway) -> None:
    for _ in range(2):
        assert run("db", "upgrade").exit_code == 0
        with gateway.database.read() as connection:
            count = connection.execute(select(func.count()).select_from(prices)).scalar_one()
        assert count == len(price_import.shipped())
    assert found(gateway, "any", provider="ollama") == 0


ROW = {"provider": "openai", "model": "m", "input": "1"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "row 2: must be an object."),
        ({**ROW, "provider": "Open AI"}, "row 2: provider: must be the name of a provider, in lower case."),
        ({**ROW, "provider": None}, "row 2: provider: must be the name of a provider, in lower case."),
        ({**ROW, "model": ""}, "row 2: model: must be 1 to 256 printable characters."),
        ({**ROW, "model": "a\0"}, "row 2: model: must be 1 to 256 printable characters."),
        ({**ROW, "model": "g*t"}, "row 2: model: may have a * only at its end."),
        ({"provider": "openai", "model": "m"}, "row 2: input: is missing: dollars for a million tokens, such as 0.25."),
        ({**ROW, "input": "-1"}, "row 2: input: must be dollars for a million tokens, such as 0.25."),
        ({**ROW, "input": "1e999999999"}, "row 2: input: must be dollars for a million tokens, such as 0.25."),
        ({**ROW, "input": "NaN"}, "row 2: input: must be dollars for a million tokens, such as 0.25."),
        ({**ROW, "cached": True}, "row 2: cached: must be dollars for a million tokens, such as 0.25."),
        ({**ROW, "output": "0.0000001"}, "row 2: output: may have at most six decimals."),
        ({**ROW, "output": 1000001}, "row 2: output: must be at most 1000000 dollars for a million tokens."),
        ({**ROW, "batch_percent": 50.5}, "row 2: batch_percent: must be a whole number from 0 to 1000."),
        ({**ROW, "batch_percent": -1}, "row 2: batch_percent: must be a whole number from 0 to 1000."),
        (
            {**ROW, "cached_batch_percent": 1001},
            "row 2: cached_batch_percent: must be a whole number from 0 to 1000.",
        ),
        ({**ROW, "cached_batch_percent": "50"}, "row 2: cached_batch_percent: must be a whole number from 0 to 1000."),
        (
            {**ROW, "batch_percent": 50, "cached_batch_percent": 60},
            "row 2: cached_batch_percent: makes cached input dearer than other input in batches.",
        ),
        ({**ROW, "ouput": "1"}, "row 2: ouput: is not a field of a price; the fields are "),
        ({**ROW, "model": "first"}, "row 2: openai 'first' is already in an earlier row."),
    ],
)
def test_a_file_with_a_mistake_is_refused_whole_and_told_where(
    run: Run, gateway: Gateway, tmp_path: Path, row: Any, message: str
) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps([{**ROW, "model": "first"}, row]))

    answer = run("prices", "import", str(file))

    assert answer.exit_code == 2
    assert message in answer.stderr
    assert found(gateway, "first") is None


@pytest.mark.parametrize("data", ["", "{", "3", "[]", '{"prices": {}}', "[NaN]"])
def test_a_file_that_is_no_list_of_prices_is_refused(run: Run, tmp_path: Path, data: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(data)
    answer = run("prices", "import", str(file))
    assert (answer.exit_code, "prices.json" in answer.stderr) == (2, True)


def test_importing_sets_what_is_new_and_tells_how_much(run: Run, gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "contract.json"
    rates = {"input": 0.1, "cached": "0.025", "output": 1, "batch_percent": 50, "cached_batch_percent": 100}
    file.write_text(json.dumps({"prices": [{**ROW, **rates}, {**ROW, "model": "n*", "input": None}]}))

    assert run("prices", "import", str(file)).stdout == "2 of 2 prices are new.\n"
    assert run("prices", "import", str(file)).stdout == "0 of 2 prices are new.\n"

    listed = json.loads(run("prices", "list", "--json").stdout)
    assert [{name: row[name] for name in price_import.FIELDS} for row in listed] == [
        {**ROW, "input": "0.1", "cached": "0.025", "output": "1", "batch_percent": 50, "cached_batch_percent": 100},
        {
            **ROW,
            "model": "n*",
            "input": None,
            "cached": None,
            "output": None,
            "batch_percent": 100,
            "cached_batch_percent": None,
        },
    ]
    assert {row["source"] for row in listed} == {"file contract.json"}
    with gateway.database.read() as connection:
        told = connection.execute(select(events.c.operation, events.c.detail)).first()
    assert told == ("price_import", {"source": "file contract.json", "prices": 2, "new": 2})


def test_a_price_is_set_and_listed_and_the_one_before_only_when_asked_for(run: Run, gateway: Gateway) -> None:
    for dollars in ("0.25", "0.3"):
        rates = ("--input", dollars, "--cached", "0.025", "--output", "2", "--batch-percent", "50")
        said = run("prices", "set", "openai", "gpt-5-mini", *rates)
        assert said.exit_code == 0
        assert f"${dollars} in, $0.025 cached, $2 out for a million tokens (50% of it" in said.stdout

    current = run("prices", "list", "--provider", "openai", "--model", "gpt-5-mini").stdout
    every = run("prices", "list", "--all").stdout
    assert ("0.3 " in current, "0.25" in current, "0.25" in every) == (True, False, True)
    assert run("prices", "list", "--provider", "azure").stdout.count("\n") == 1
    assert found(gateway, "gpt-5-mini") == 300_000
    with gateway.database.read() as connection:
        told = connection.execute(select(events.c.operation, events.c.object_id, events.c.source)).all()
    assert told == [("price_set", "openai/gpt-5-mini", "cli")] * 2


def test_a_price_can_be_said_to_be_unknown_from_now_on(run: Run, gateway: Gateway) -> None:
    set_price(gateway, "openai", "*", 5)
    assert run("prices", "set", "openai", "m", "--unknown").exit_code == 0
    with gateway.database.read() as connection:
        price = service.find(connection, provider="openai", model="m", at_ms=now(gateway) + 1)
    assert service.cost_of(price, Tokens(input=1), execution="gateway") is None
    assert found(gateway, "other") == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("openai", "m"), "Give either --input"),
        (("openai", "m", "--input", "1", "--unknown"), "Give either --input"),
        (("openai", "m", "--input", "one"), "input: must be dollars"),
        (("openai", "m", "--input", "1", "--from", "2020-01-01"), "cannot begin in the past"),
        (("openai", "m", "--input", "1", "--from", "soon"), "--from"),
        (("openai", "m", "--input", "1", "--batch-percent", "1001"), "batch_percent: must be"),
    ],
)
def test_a_price_that_is_none_is_refused(run: Run, arguments: tuple[str, ...], message: str) -> None:
    answer = run("prices", "set", *arguments)
    assert (answer.exit_code, message in answer.stderr) == (2, True), answer.stderr


@given(st.integers(min_value=0, max_value=10**12))
def test_a_rate_is_the_same_after_it_was_told(picodollars: int) -> None:
    told = price_import.dollars(picodollars)
    assert told is not None
    assert Decimal(told) * MILLION == picodollars
    assert price_import.rate(told, "input") == picodollars


def test_the_view_shows_dollars_for_a_million_tokens(run: Run, gateway: Gateway) -> None:
    set_price(gateway, "openai", "m", 250_000, None, 2_000_001, percent=50)
    columns = "provider, model, input_per_million, cached_per_million, output_per_million, batch_percent, valid_until"
    told = run("db", "sql", f"SELECT {columns} FROM v_prices").stdout.splitlines()[1].split()
    assert told == ["openai", "m", "0.250000", "0.250000", "2.000001", "50"]
