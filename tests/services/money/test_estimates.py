"""What an input can cost, before it runs."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import batchgate
from app.lib import money
from app.services.batches import estimate
from app.services.batches.estimate import Sums
from app.services.batches.inline_input import writing
from app.services.gateway import Caller, Gateway
from app.services.lines import line_tokens
from tests.conftest import KeyClient
from tests.support.batch_states import put_file
from tests.support.batches import CHAT, chat_line, jsonl
from tests.support.money import CENT, DOLLAR, budget, price, state
from tests.support.server import LiveServer


def read(gateway: Gateway, *lines: dict[str, Any]) -> estimate.Estimate:
    """The estimate of inline lines."""
    with writing(gateway) as source:
        source.copy(jsonl(lines)[:-1]) if len(lines) == 1 else [source.copy(jsonl([line])) for line in lines]
        source.blob.seal()
        return estimate.read(gateway, source.blob.key, project_id=1)


def total(gateway: Gateway, url: str = "/v1/chat/completions", **body: Any) -> Sums:
    """The sums of one line."""
    return read(gateway, {"custom_id": "a", "method": "POST", "url": url, "body": {"model": "m", **body}}).total


def said(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


@pytest.fixture
def database_url(tmp_path: Path, sqlite_template: Path) -> str:
    """Reading lines asks the store for nothing that differs between databases: one of them will do."""
    copy = tmp_path / "batchgate.db"
    copy.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{copy}"


def test_sums_are_kept_for_each_model(gateway: Gateway) -> None:
    found = read(
        gateway,
        chat_line("a", "x" * 40, model="one", max_tokens=10),
        chat_line("b", "x" * 39, model="two"),
        chat_line("c", "x" * 41, model="one", max_completion_tokens=5, n=3),
        {"custom_id": "d", "method": "POST", "url": "/v1/x", "body": {"messages": said("y" * 8)}},
        {"custom_id": "e", "body": 5},
    )
    one, two = found.models["one"], found.models["two"]
    assert (one.lines, one.lines_with_limit, one.max_output_tokens, one.unlimited_answers) == (2, 2, 10 + 15, 0)
    assert (two.lines, two.lines_with_limit, two.max_output_tokens, two.unlimited_answers) == (1, 0, 0, 1)
    assert (found.unnamed.lines, found.unnamed.unlimited_answers) == (1, 1)
    assert found.total.input_tokens == one.input_tokens + two.input_tokens + found.unnamed.input_tokens
    assert one.input_tokens > (40 + 41) // 4
    assert (found.lines, found.invalid_lines) == (5, 1)
    assert found.total.output_tokens(4096) == 25 + 2 * 4096


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        ({"messages": said("x")}, 1),
        ({"messages": said("x"), "n": 4}, 4),
        ({"messages": said("x"), "n": True}, 1),
        ({"messages": said("x"), "n": -3}, 1),
        ({"prompt": ["a", "b", "c"], "n": 2}, 6),
        ({"prompt": "a", "best_of": 5, "n": 2}, 5),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": []}, 1),
        ({"messages": said("x"), "n": 10**40}, 2**40),
        ({"messages": said("x"), "n": 2.5}, 3),
    ],
)
def test_each_answer_of_a_line_counts(gateway: Gateway, body: dict[str, Any], answers: int) -> None:
    assert total(gateway, **body).unlimited_answers == answers
    limited = total(gateway, **body, max_tokens=7)
    assert limited.max_output_tokens == min(7 * answers, line_tokens.MAX_TOKENS)


def test_an_embedding_has_no_answer_to_pay_for(gateway: Gateway) -> None:
    found = total(gateway, "/v1/embeddings", input=["x" * 8, "y" * 8])
    assert (found.input_tokens >= 4, found.output_tokens(4096)) == (True, 0)


IMAGE = "data:image/png;base64," + "A" * 9000


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ([{"type": "image_url", "image_url": {"url": IMAGE}}], 1000),
        ([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}], 1000),
        ([{"type": "input_audio", "input_audio": {"data": "A" * 9000, "format": "wav"}}], 1000),
        ([{"type": "image", "source": {"type": "base64", "data": "A" * 9000}}], 1000),
        ([{"type": "document", "source": {"type": "text", "data": "a" * 400}}], 100),
        ([{"type": "text", "text": "a" * 400}, {"type": "file", "file": {"file_data": "B" * 9000}}], 1100),
        ([{"type": "image_url", "image_url": {"url": IMAGE}}] * 3, 3000),
        ("a" * 400, 100),
        ("A" * 400, 400),
        ("7" * 400, 400),
        ("\u00fc" * 400, 400),
        ("a " * 200, 190),
    ],
)
def test_text_counts_by_its_bytes_and_other_things_by_the_piece(gateway: Gateway, content: Any, tokens: int) -> None:
    around = total(gateway, messages=said("")).input_tokens
    assert tokens <= total(gateway, messages=said(content)).input_tokens - around <= tokens + 100


def test_models_beyond_the_first_hundred_are_summed_up(gateway: Gateway) -> None:
    found = read(gateway, *(chat_line(f"c{n}", model=f"m{n}", max_tokens=1) for n in range(103)))
    assert len(found.models) == 100
    assert found.other_models.lines == 3
    assert found.total.max_output_tokens == 103


def test_an_estimate_is_in_dollars_for_each_model(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway, model="big", input_picodollars=3_000_000, output_picodollars=15_000_000)
    price(gateway, model="small*", input_picodollars=0, output_picodollars=CENT)
    lines = [
        chat_line("a", "x" * 4000, model="big", max_tokens=100),
        chat_line("b", "x" * 4000, model="small-1", max_tokens=100),
        chat_line("c", "x" * 4000, model="small-2"),
    ]
    file_id = put_file(gateway, caller, jsonl(lines))
    used = [line_tokens.of_line(line["body"], CHAT).input for line in lines]
    found = client.get(f"/v1/files/{file_id}/estimate").json
    big = used[0] * 3_000_000 + 100 * 15_000_000
    assert {entry["model"]: entry["estimated_cost"] for entry in found["models"]} == {
        "big": money.dollars(big),
        "small-1": "1.00",
        "small-2": "40.96",
    }
    assert found["estimated_cost"] == money.dollars(big + 4196 * CENT)

    overridden = client.get(f"/v1/files/{file_id}/estimate?model=big").json
    assert [(entry["model"], entry["lines"]) for entry in overridden["models"]] == [("big", 3)]
    assert overridden["estimated_cost"] == money.dollars(sum(used) * 3_000_000 + (200 + 4096) * 15_000_000)


def test_a_price_that_nobody_knows_is_null(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway, model="big")
    lines = [chat_line("a", model="big", max_tokens=100), chat_line("b", model="new", max_tokens=100)]
    file_id = put_file(gateway, caller, jsonl(lines))
    found = client.get(f"/v1/files/{file_id}/estimate").json
    assert [entry["estimated_cost"] for entry in found["models"]] == ["1.00", None]
    assert found["estimated_cost"] is None


def test_a_batch_at_the_provider_is_cheaper(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway, provider="openai", batch_percent=50)
    file_id = put_file(gateway, caller, jsonl([chat_line("a", max_tokens=100)]))

    def cost(**query: str) -> tuple[str, str]:
        found = client.get(f"/v1/files/{file_id}/estimate", query_string=query).json
        return found["execution"], found["estimated_cost"]

    assert cost(model="openai/m") == ("provider", "0.50")
    assert cost(model="openai/m", execution="gateway") == ("gateway", "1.00")
    assert client.get(f"/v1/files/{file_id}/estimate?execution=nobody").status_code == 400


def test_cached_input_that_costs_more_counts(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway, input_picodollars=0, cached_picodollars=CENT, output_picodollars=0)
    line = chat_line("a", max_tokens=1)
    file_id = put_file(gateway, caller, jsonl([line]))
    used = line_tokens.of_line(line["body"], CHAT).input
    assert client.get(f"/v1/files/{file_id}/estimate").json["estimated_cost"] == money.dollars(used * CENT)


def test_numbers_without_sense_break_nothing(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway)
    lines = jsonl(chat_line(f"c{n}", max_tokens=10**30) for n in range(2**14))
    file_id = put_file(gateway, caller, lines)
    found = client.get(f"/v1/files/{file_id}/estimate").json
    assert found["max_output_tokens"] == 2**53
    assert found["estimated_cost"] == money.dollars(2**54 * CENT)
    budget(gateway, 4_000_000 * DOLLAR)
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions"}
    assert client.post("/v1/batches", json=body).status_code == 402


def test_the_reserved_amount_is_the_estimate(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway, input_picodollars=123, output_picodollars=456)
    mine = budget(gateway, DOLLAR)
    lines = [chat_line("a", "x" * 41, max_tokens=9), chat_line("b", "y" * 3)]
    file_id = put_file(gateway, caller, jsonl(lines))
    told = client.get(f"/v1/files/{file_id}/estimate").json["estimated_cost"]
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions"}
    assert client.post("/v1/batches", json=body).status_code == 200
    used = sum(line_tokens.of_line(line["body"], CHAT).input for line in lines)
    assert state(gateway, mine) == (0, money.picodollars(told)) == (0, used * 123 + (9 + 4096) * 456)


def test_a_hundred_models_are_enough_under_a_budget(client: KeyClient, gateway: Gateway, caller: Caller) -> None:
    price(gateway)
    budget(gateway, 9000 * DOLLAR)
    lines = [chat_line(f"c{n}", model=f"m{n}", max_tokens=1) for n in range(101)]
    file_id = put_file(gateway, caller, jsonl(lines))
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions"}
    refused = client.post("/v1/batches", json=body)
    assert refused.status_code == 400
    assert "100 models" in refused.json["error"]["message"]
    assert client.post("/v1/batches", json={**body, "model": "local/m"}).status_code == 200


def test_a_dry_run_tells_money(live_server: LiveServer, gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl([chat_line("a", max_tokens=100), chat_line("b", model="m2", max_tokens=50)]))
    reached = {"BATCHGATE_BASE_URL": live_server.url, "BATCHGATE_API_KEY": live_server.key}

    def run(*options: str) -> str:
        answer = CliRunner(env=reached).invoke(batchgate, ["batch", "run", str(path), "--dry-run", *options])
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    assert "cost unknown: there is no price for m, m2 at local" in run()
    price(gateway)
    assert "at most about $1.50 at local" in run()
    price(gateway, provider="openai", model="gpt*", batch_percent=50)
    assert "at most about $0.75 at openai" in run("--model", "openai/gpt-x")


def test_money_is_exact_in_text() -> None:
    assert [money.dollars(n) for n in (0, DOLLAR, 5 * CENT, 1, -CENT, 10**30 + 1)] == [
        "0.00",
        "1.00",
        "0.05",
        "0.000000000001",
        "-0.01",
        "1000000000000000000.000000000001",
    ]
    assert [money.picodollars(text) for text in ("0", " 12.50 ", "1e2", "0.000000000001")] == [
        0,
        1250 * CENT,
        100 * DOLLAR,
        1,
    ]


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "1e999999999", "1e-999999999", "0.0000000000001", "$1"])
def test_what_is_no_money_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"dollar"):
        money.picodollars(text)
