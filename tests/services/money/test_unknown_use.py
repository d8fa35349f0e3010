"""What nobody says the cost of counts towards a budget as the most that it can be; the ledger has it as unknown."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from app.data.tables import batches
from app.engine.outcomes import Line, Tokens
from app.services.gateway import Caller, Gateway
from app.services.lines import line_tokens
from app.services.money import charge as money_charge
from tests.conftest import KeyClient
from tests.fakes.faults import Fault
from tests.fakes.openai_server import FakeServer
from tests.services.money.book import charge, done, entries, insert_batch, set_price
from tests.services.running.conftest import Workers, fake, local_base_url, workers  # noqa: F401 - fixtures
from tests.support.batches import CHAT, chat_line, create, ended, jsonl, upload
from tests.support.money import CENT, DOLLAR, budget, price, reservations, state

EMBEDDINGS = "/v1/embeddings"
SAID = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]}


def answer(usage: Any) -> bytes:
    return json.dumps({"id": "x", "object": "chat.completion", "model": "m", **SAID, "usage": usage}).encode()


def lines(count: int, **body: Any) -> bytes:
    return jsonl(chat_line(f"c{n}", f"text {n}", **{"max_tokens": 100, **body}) for n in range(count))


@pytest.mark.one_database
@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        {"total_tokens": 9},
        {"completion_tokens": 9},
        {"prompt_tokens": 9, "total_tokens": 9},
        {"prompt_tokens": "9", "completion_tokens": "9"},
        {"prompt_tokens": -1, "completion_tokens": 9},
        {"input_tokens": 9},
    ],
)
def test_an_answer_without_a_credible_usage_spends_what_the_line_reserved(
    client: KeyClient,
    workers: Workers,  # noqa: F811
    gateway: Gateway,
    fake: FakeServer,  # noqa: F811
    usage: Any,
) -> None:
    price(gateway)
    mine = budget(gateway, 3 * DOLLAR)
    fake.faults.add(Fault(status=200, body=answer(usage)))
    workers.start()
    over = ended(client, create(client, lines(2))["id"])
    assert over["request_counts"]["completed"] == 2
    assert state(gateway, mine) == (2 * DOLLAR, 0)
    assert [row.cost_picodollars for row in entries(gateway)] == [None, None]
    refused = client.post(
        "/v1/batches",
        json={"input_file_id": upload(client, lines(2)), "endpoint": CHAT, "completion_window": "24h"},
    )
    assert refused.json["error"]["code"] == "budget_exceeded"


def test_an_attempt_whose_answer_was_lost_spends_what_the_line_reserved(
    client: KeyClient,
    workers: Workers,  # noqa: F811
    gateway: Gateway,
    fake: FakeServer,  # noqa: F811
) -> None:
    price(gateway)
    mine = budget(gateway, 5 * DOLLAR)
    fake.faults.add(Fault(containing=b"text 0", after_effect=True, reset=True, times=1))
    workers.start()
    batch = create(client, lines(1) + jsonl([chat_line("small", "x", max_tokens=1)]))
    assert ended(client, batch["id"])["request_counts"]["completed"] == 2
    known = sum(row.cost_picodollars for row in entries(gateway, "line"))
    assert [row.cost_picodollars for row in entries(gateway, "attempt")] == [None]
    assert state(gateway, mine) == (DOLLAR + known, 0)  # not half of what both reserved


def test_what_is_not_known_of_an_attempt_counts_as_its_part_of_the_reservation(
    gateway: Gateway, caller: Caller, client: KeyClient
) -> None:
    price(gateway)
    mine = budget(gateway, 5 * DOLLAR)
    create(client, lines(4))
    with gateway.database.write() as connection:
        connection.execute(update(batches).values(lines_total=4))
    batch_id = reservations(gateway)[0].batch_id
    tried = Line(1, "c1", 0, 1, attempts=1, unknown_attempts=1)
    for _ in range(2):
        with gateway.database.write() as connection:
            money_charge.note_attempts(connection, gateway, batch_id, [tried])
    assert state(gateway, mine) == (DOLLAR, 3 * DOLLAR)
    with gateway.database.write() as connection:
        money_charge.note_job(connection, gateway, batch_id, job_id=1, attempt=1, has_run=True)  # a job without lines
    assert state(gateway, mine) == (DOLLAR, 3 * DOLLAR)


def test_a_line_that_says_nothing_counts_the_most_it_can_use(gateway: Gateway, caller: Caller) -> None:
    set_price(gateway, "local", "m", 100, 10, 1000)
    batch_id = insert_batch(gateway, caller)
    charge(gateway, batch_id, [replace(done(1, Tokens(input=5)), most=Tokens(input=9, output=9))])
    (row,) = entries(gateway)
    assert (row.cost_picodollars, row.input_tokens) == (None, 5)


@pytest.mark.parametrize(
    ("url", "tokens", "body", "is_told"),
    [
        (CHAT, Tokens(input=5, output=2), SAID, True),
        (CHAT, Tokens(input=5, total=9), SAID, True),
        (CHAT, Tokens(input=5, total=5), SAID, False),
        (CHAT, Tokens(input=5), {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}, True),
        (CHAT, Tokens(input=5), {"choices": [{"message": {"content": None, "tool_calls": [{}]}}]}, False),
        ("/v1/completions", Tokens(input=5), {"choices": [{"text": "a"}]}, False),
        ("/v1/responses", Tokens(input=5), {"output": [{"type": "message"}]}, False),
        ("/v1/messages", Tokens(input=5), {"content": [{"type": "text", "text": "a"}]}, False),
        ("/v1/messages", Tokens(input=5), {"content": []}, True),
        (EMBEDDINGS, Tokens(input=5), {"data": [{}]}, True),
        (EMBEDDINGS, Tokens(), {"data": [{}]}, False),
    ],
)
def test_a_usage_that_cannot_be_true_is_none(url: str, tokens: Tokens, body: Any, is_told: bool) -> None:
    assert line_tokens.is_told(tokens, url, json.dumps(body).encode()) is is_told


def created(client: KeyClient, data: bytes, **fields: Any) -> Any:
    body = {"input_file_id": upload(client, data), "endpoint": CHAT, "completion_window": "24h", **fields}
    return client.post("/v1/batches", json=body).json


@pytest.mark.one_database
@pytest.mark.parametrize(
    "extra",
    [
        {"fallbacks": ["dear"]},
        {"fallbacks": [{"model": "dear"}]},
        {"models": ["cheap", "dear"]},
        {"Model": "dear"},
        {"extra_body": {"models": ["dear"]}},
        {"route": "fallback", "preset": "dear"},
        {"lora_adapter": "dear"},
        {"plugins": [{"id": "router", "allowed_models": ["dear"]}]},
    ],
)
def test_a_line_that_a_dearer_model_may_serve_is_refused_by_name_under_a_budget(
    client: KeyClient, gateway: Gateway, extra: dict[str, Any]
) -> None:
    price(gateway, model="cheap", output_picodollars=CENT // 100)
    price(gateway, model="dear")
    data = lines(1, model="cheap", **extra)
    assert created(client, data)["object"] == "batch"
    mine = budget(gateway, 5 * DOLLAR)
    error = created(client, data)["error"]
    assert (error["code"], error["param"]) == ("fallback_costs_more", "model")
    assert "'dear'" in error["message"]
    assert "line 1" in error["message"]
    assert created(client, data, model="cheap")["error"]["code"] == "fallback_costs_more"
    assert created(client, data, model="dear")["object"] == "batch"  # the dearest is what is reserved
    assert state(gateway, mine)[1] == DOLLAR
    assert created(client, data.replace(b'"cheap"', b'"free"').replace(b'"dear"', b'"cheap"'))["error"]["code"] == (
        "price_unknown"
    )


@pytest.mark.one_database
def test_a_fallback_without_a_price_is_refused_and_models_of_content_and_tools_are_not(
    client: KeyClient, gateway: Gateway
) -> None:
    price(gateway, model="m")
    budget(gateway, 5 * DOLLAR)
    error = created(client, lines(1, fallbacks=["unknown"]))["error"]
    assert (error["code"], "'unknown'" in error["message"]) == ("price_unknown", True)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"model": {"enum": ["x"]}}}}}
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"model": "x"}}}
    assert created(client, lines(1, tools=[tool], response_format=schema, models=["m"]))["object"] == "batch"
