"""No line costs more than its estimate, at a server that writes as much as it may; so no budget is walked around."""

import json as stdlib_json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from app.data.tables import budgets
from app.lib import json
from app.services.gateway import Gateway
from app.services.lines import line_tokens
from tests.conftest import KeyClient
from tests.fakes import greedy_app
from tests.fakes.greedy_app import GreedyApp
from tests.fakes.serving import ServedApp
from tests.services.running.conftest import Workers, workers  # noqa: F401 - the fixture
from tests.support.batches import CHAT, chat_line, ended, jsonl, upload
from tests.support.money import CENT, DOLLAR, budget, ledger_sum, price, state

COMPLETIONS, EMBEDDINGS = "/v1/completions", "/v1/embeddings"
MESSAGES, RESPONSES = "/v1/messages", "/v1/responses"
SAID = {"messages": [{"role": "user", "content": "hello"}]}

ALPHABET = st.characters(codec="utf-8")  # no lone surrogates: they are no JSON
TEXTS = st.one_of(
    st.text(ALPHABET, max_size=60),
    st.sampled_from(["a b c d e f g", "1234567890" * 5, "data:text/plain," + "x y " * 30, "ÄÖ漢字" * 9, "QX" * 40]),
)
NUMBERS = st.one_of(
    st.integers(-2, 3000), st.sampled_from([None, True, "700", " 900 ", "1e3", "many", 0, 2.5, 10**6, 10**30, [5], {}])
)
LIMITS = st.dictionaries(
    st.sampled_from(
        [
            "max_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "MAX_TOKENS",
            "Max_Completion_Tokens",
            "num_predict",
        ]
    ),
    NUMBERS,
    max_size=4,
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "n": NUMBERS,
        "best_of": NUMBERS,
        "min_tokens": st.integers(0, 9000),
        "options": st.fixed_dictionaries({"num_predict": NUMBERS}),
        "parameters": st.fixed_dictionaries({"max_new_tokens": NUMBERS}),
        "reasoning": st.fixed_dictionaries({"max_tokens": NUMBERS}),
        "metadata": st.dictionaries(st.text(ALPHABET, max_size=3), st.text(ALPHABET, max_size=30), max_size=2),
        "user": st.text(ALPHABET, max_size=9),
    },
)
PARTS = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    TEXTS.map(lambda text: {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "text": text}),
    TEXTS.map(lambda text: {"type": "tool_result", "tool_use_id": "t", "content": text}),
    st.just({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
)
SPOKEN = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]), "content": st.one_of(TEXTS, st.lists(PARTS))}
    ),
    min_size=1,
    max_size=3,
)
TOOLS = st.lists(
    TEXTS.map(lambda text: {"type": "function", "function": {"name": "f", "description": text}}), max_size=2
)
IDS = st.lists(st.integers(0, 99999), min_size=1, max_size=50)
PROMPTS = st.one_of(TEXTS, st.lists(TEXTS, max_size=4), IDS, st.lists(IDS, min_size=1, max_size=3))
BODIES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    CHAT: st.fixed_dictionaries({"messages": SPOKEN}, optional={"tools": TOOLS}),
    MESSAGES: st.fixed_dictionaries({"messages": SPOKEN}, optional={"system": TEXTS, "tools": TOOLS}),
    RESPONSES: st.fixed_dictionaries({"input": st.one_of(TEXTS, SPOKEN)}, optional={"instructions": TEXTS}),
    COMPLETIONS: st.fixed_dictionaries({"prompt": PROMPTS}, optional={"suffix": TEXTS}),
    EMBEDDINGS: st.fixed_dictionaries({"input": PROMPTS}),
}


@pytest.mark.parametrize("url", BODIES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_line_costs_more_than_its_estimate(url: str, data: st.DataObject) -> None:
    drawn = data.draw(BODIES[url]) | data.draw(LIMITS) | data.draw(SETTINGS)
    body = json.loads(stdlib_json.dumps(drawn))  # as the gateway reads it: huge numbers are floats
    found = line_tokens.of_line(body, url)
    assert found.input >= greedy_app.input_of(body)
    most = min(greedy_app.most_output(url, body), line_tokens.MAX_TOKENS)
    assert found.output + found.unlimited_answers * greedy_app.UNLIMITED >= most


WRITTEN = [
    ({"max_completion_tokens": 0, "max_tokens": 100_000}, 104_096),
    ({"max_tokens": "100000"}, 100_000),
    ({"max_tokens": 1, "MAX_TOKENS": 5000}, 5000),
    ({"max_tokens": 1, "maxTokens": 5000}, 5000),
    ({"max_output_tokens": 1}, 4097),  # chat does not know this one
    ({"max_tokens": -1}, 4096),
    ({"max_tokens": None}, 4096),
    ({"options": {"num_predict": 9000}}, 4096 + 9000),
    ({"max_tokens": 9, "generation_config": {"maxOutputTokens": 70}}, 70),
    ({"min_tokens": 50_000}, 4096 + 50_000),
    ({"reasoning_effort": "high"}, 4096 + 24576),
    ({"reasoning_effort": "high", "max_tokens": 9}, 9),
    ({"max_tokens": 5, "n": "3"}, 15),
    ({"max_tokens": 5, "n": 0, "best_of": 4}, 20),
    ({"max_tokens": 5, "metadata": {"n": "9", "max_tokens": "900"}}, 5),
    ({"max_tokens": 5, "response_format": {"json_schema": {"schema": {"default": {"max_tokens": 9}}}}}, 5),
    ({"max_tokens": 5, "prediction": {"type": "content", "content": "word " * 100}}, 148),
]


@pytest.mark.parametrize(("members", "output"), WRITTEN)
def test_of_all_limits_the_greatest_counts(members: dict[str, Any], output: int) -> None:
    found = line_tokens.of_line({**SAID, **members}, CHAT)
    assert found.output + found.unlimited_answers * 4096 == output


READ = [
    ([{"type": "text", "text": "data:" + "word " * 400}], 400, 600),
    ([{"type": "image_url", "image_url": {"url": "data:text/plain," + "word " * 400}}], 1400, 1600),
    ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}, "text": "word " * 400}], 1400, 1600),
    ([{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 90000}}], 1000, 1100),
    ([{"type": "image", "source": {"type": "text", "data": "word " * 400}}], 400, 600),
    ([{"type": "input_audio", "input_audio": {"data": "A" * 6_400_000, "format": "mp3"}}], 10_000, 10_100),
    ([{"type": "file", "file": {"file_data": "data:text/plain;base64," + "AbC9" * 1000}}], 3000, 4400),
    ([{"type": "unheard-of", "image": "word " * 400}], 400, 600),
]


@pytest.mark.parametrize(("content", "least", "most"), READ)
def test_only_the_bytes_of_an_image_or_sound_are_no_text(content: Any, least: int, most: int) -> None:
    assert least <= line_tokens.of_line({"messages": [{"role": "user", "content": content}]}, CHAT).input <= most


@pytest.mark.parametrize(
    "body", [{"prompt": [7] * 5000}, {"input": [[7] * 2500] * 2}, {"prompt_token_ids": [7] * 5000}]
)
def test_each_token_id_is_a_token(body: dict[str, Any]) -> None:
    assert 5000 <= line_tokens.of_line(body, EMBEDDINGS).input < 5050


@pytest.fixture
def fake() -> Iterator[ServedApp]:
    with ServedApp(GreedyApp(models=())) as server:
        yield server


@pytest.fixture
def local_base_url(fake: ServedApp) -> str:
    return fake.base_url


def test_a_budget_of_a_cent_cannot_be_walked_around(client: KeyClient, gateway: Gateway) -> None:
    price(gateway, input_picodollars=3_000_000, output_picodollars=15_000_000)
    mine = budget(gateway, CENT)
    hidden = {"max_completion_tokens": 0, "max_tokens": 100_000}
    ids = {"custom_id": "a", "method": "POST", "url": COMPLETIONS}
    ids["body"] = {"model": "m", "prompt": [7] * 5000, "max_tokens": 1}  # type: ignore[assignment]
    for line, endpoint in ((chat_line("a", **hidden), CHAT), (ids, COMPLETIONS)):
        body = {"input_file_id": upload(client, jsonl([line])), "endpoint": endpoint, "completion_window": "24h"}
        refused = client.post("/v1/batches", json=body)
        assert refused.status_code == 402, refused.text
    assert state(gateway, mine) == (0, 0)


def test_the_ledger_of_a_batch_stays_within_what_it_reserved(
    client: KeyClient,
    gateway: Gateway,
    workers: Workers,  # noqa: F811 - the fixture
) -> None:
    price(gateway, input_picodollars=3_000_000, output_picodollars=15_000_000)
    mine = budget(gateway, 50 * DOLLAR)
    lines = [chat_line(f"c{n}", "words and more " * n, **members) for n, (members, _) in enumerate(WRITTEN)]
    body = {"input_file_id": upload(client, jsonl(lines)), "endpoint": CHAT, "completion_window": "24h"}
    batch = client.post("/v1/batches", json=body)
    assert batch.status_code == 200, batch.text
    reserved = state(gateway, mine)[1]
    workers.start()
    assert ended(client, batch.json["id"])["request_counts"]["completed"] == len(lines)
    assert state(gateway, mine) == (ledger_sum(gateway), 0)
    assert 2 * DOLLAR < ledger_sum(gateway) <= reserved


def test_what_reserves_nothing_at_a_price_is_refused_under_a_budget(client: KeyClient, gateway: Gateway) -> None:
    price(gateway)  # nothing for input
    line = {"custom_id": "a", "method": "POST", "url": EMBEDDINGS, "body": {"model": "m", "input": "text"}}
    body = {"input_file_id": upload(client, jsonl([line])), "endpoint": EMBEDDINGS, "completion_window": "24h"}
    assert client.post("/v1/batches", json=body).status_code == 200
    budget(gateway, DOLLAR)
    refused = client.post("/v1/batches", json=body)
    assert (refused.status_code, refused.json["error"]["code"]) == (400, "estimate_unknown")


def test_a_spent_budget_refuses_free_work_too(client: KeyClient, gateway: Gateway) -> None:
    price(gateway, output_picodollars=0)
    mine = budget(gateway, CENT)
    body = {"input_file_id": upload(client, jsonl([chat_line("a")])), "endpoint": CHAT, "completion_window": "24h"}
    assert client.post("/v1/batches", json=body).status_code == 200
    with gateway.database.write() as connection:
        connection.execute(update(budgets).where(budgets.c.id == mine).values(spent_picodollars=CENT))
    assert client.post("/v1/batches", json=body).status_code == 402
