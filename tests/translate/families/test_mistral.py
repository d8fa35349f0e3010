"""What Mistral takes and refuses, at its own API and at Bedrock, by Mistral's sources.

- order of turns, calls and results: https://github.com/mistralai/mistral-common, protocol/instruct/validator.py
- a final answer: https://docs.mistral.ai/capabilities/completion/prefix
- reasoning: https://docs.mistral.ai/capabilities/reasoning (adjustable in some models, native in Magistral)
- fields: the SDK's `ChatCompletionRequest`; an unknown one is refused with the whole file
"""

import itertools

import pytest
from mistralai.client.models import ChatCompletionRequest

from app.lib import json
from app.translate.chat import requests
from app.translate.converse import families
from app.translate.errors import TranslationError
from app.translate.mistral import dropped_by_mistral, to_mistral

MODEL = "mistral-small-latest"
U, A, S = (
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "system", "content": "Be brief."},
)
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "abcDEF123", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "abcDEF123", "content": "1"}
TWO_CALLS = {**CALL, "tool_calls": [*CALL["tool_calls"], {**CALL["tool_calls"][0], "id": "abcDEF124"}]}
AFTER = {  # what may follow a role, by mistral-common
    "system": {"user", "assistant", "system"},
    "user": {"assistant", "system", "user"},
    "assistant": {"assistant", "user", "tool"},
    "tool": {"assistant", "tool"},
}


def turns(*messages):
    """The messages that Mistral gets, which its own rules and types accept."""
    written = to_mistral({"model": MODEL, "messages": list(messages)})
    read = ChatCompletionRequest.model_validate(written).model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert read == written
    made = written["messages"]
    assert all(then["role"] in AFTER[before["role"]] for before, then in itertools.pairwise(made))
    assert made[-1]["role"] in ("user", "tool") or made[-1].get("prefix") is True or len(made) == 1
    return [f"{message['role']}:{message.get('content')}" for message in made]


ORDERS = {
    "plain": ([S, U, A, U], ["system:Be brief.", "user:Hello", "assistant:Hi", "user:Hello"]),
    "results, answered": (
        [U, CALL, RESULT, A, U],
        ["user:Hello", "assistant:None", "tool:1", "assistant:Hi", "user:Hello"],
    ),
    "results last": ([U, CALL, RESULT], ["user:Hello", "assistant:None", "tool:1"]),
    "the user after results": (
        [U, CALL, RESULT, U],
        ["user:Hello", "assistant:None", "tool:1", "assistant:Understood.", "user:Hello"],
    ),
    "the system after results": ([U, CALL, RESULT, S], ["system:Be brief.", "user:Hello", "assistant:None", "tool:1"]),
    "the system after an answer": (
        [S, U, A, S, U],
        ["system:Be brief."] * 2 + ["user:Hello", "assistant:Hi", "user:Hello"],
    ),
    "the system between results and the user": (
        [U, CALL, RESULT, S, U],
        ["system:Be brief.", "user:Hello", "assistant:None", "tool:1", "assistant:Understood.", "user:Hello"],
    ),
    "the system after the user": ([U, S, U], ["user:Hello", "system:Be brief.", "user:Hello"]),
    "the system last": ([U, S], ["system:Be brief.", "user:Hello"]),
    "developers are systems": (
        [U, A, {"role": "developer", "content": "Now in verse."}, U],
        ["system:Now in verse.", "user:Hello", "assistant:Hi", "user:Hello"],
    ),
    "an empty answer": ([U, {"role": "assistant", "content": ""}, U], ["user:Hello", "user:Hello"]),
    "an answer to continue": ([U, A], ["user:Hello", "assistant:Hi"]),
    "the system alone": ([S], ["system:Be brief."]),
}


@pytest.mark.parametrize(("messages", "expected"), ORDERS.values(), ids=ORDERS)
def test_turns_come_in_an_order_that_mistral_takes(messages, expected):
    before = json.dumps(messages)
    assert turns(*messages) == expected
    assert json.dumps(messages) == before, "what the caller sent is not touched"


def test_a_final_answer_is_marked_to_be_continued():
    assert to_mistral({"messages": [U, A]})["messages"][-1] == {**A, "prefix": True}


REFUSED = {
    "a result of no call": ({"messages": [U, RESULT]}, "messages"),
    "a call without its result": ({"messages": [U, CALL, U]}, "messages"),
    "two calls, one result": ({"messages": [U, TWO_CALLS, RESULT, A, U]}, "messages"),
    "a call, two results": ({"messages": [U, CALL, RESULT, RESULT, A, U]}, "messages"),
    "a call at the end": ({"messages": [U, CALL]}, "messages"),
    "sound in the answer": ({"messages": [U], "modalities": ["text", "audio"]}, "modalities"),
    "a voice": ({"messages": [U], "audio": {"voice": "alloy", "format": "mp3"}}, "audio"),
    "functions": ({"messages": [U], "functions": [{"name": "f"}]}, "functions"),
    "a search": ({"messages": [U], "web_search_options": {}}, "web_search_options"),
    "a function call of old": (
        {"messages": [U, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}, U]},
        "messages.function_call",
    ),
}


@pytest.mark.parametrize(("body", "param"), REFUSED.values(), ids=REFUSED)
def test_what_mistral_cannot_do_is_refused_before_sending(body, param):
    with pytest.raises(TranslationError) as refused:
        to_mistral({"model": MODEL, **body})
    assert refused.value.param == param


# (fields, what Mistral gets, dropped fields).
FIELDS = {
    "hints": (
        {"user": "u", "logit_bias": {"1": 2}, "store": True, "verbosity": "low", "safety_identifier": "s"},
        {},
        ["user", "logit_bias", "store", "verbosity", "safety_identifier"],
    ),
    "hints that ask for nothing": (
        {
            "logit_bias": {},
            "store": False,
            "modalities": ["text"],
            "user": None,
            "stream": False,
            "service_tier": "auto",
        },
        {"service_tier": "auto"},
        [],
    ),
    "another tier": ({"service_tier": "flex"}, {}, ["service_tier"]),
    "limits": (
        {"max_completion_tokens": 5, "seed": 7, "top_k": 3},
        {"max_tokens": 5, "random_seed": 7, "top_k": 3},
        [],
    ),
    "hot": ({"temperature": 1.8}, {"temperature": 1.5}, []),
    "penalties": (
        {"frequency_penalty": 0.5, "presence_penalty": -1},
        {"frequency_penalty": 0.5, "presence_penalty": -1},
        [],
    ),
    "effort": ({"reasoning_effort": "medium"}, {"reasoning_effort": "high"}, []),
}


@pytest.mark.parametrize(("fields", "expected", "dropped"), FIELDS.values(), ids=FIELDS)
def test_fields_are_sent_or_listed(fields, expected, dropped):
    body = {"model": MODEL, "messages": [U], **fields}

    assert to_mistral(body) == {"model": MODEL, "messages": [U], **expected}
    assert dropped_by_mistral(body) == dropped


# (model, effort, what is sent, dropped fields).
EFFORTS = [
    ("mistral-small-2603", "low", "high", []),
    ("mistral-small-latest", "none", "none", []),
    ("mistral-small-2506", "high", None, ["reasoning_effort"]),
    ("mistral-small-2506", "none", None, []),
    ("mistral-large-2512", "high", None, ["reasoning_effort"]),
    ("ministral-8b-latest", "low", None, ["reasoning_effort"]),
    ("open-mistral-nemo", "high", None, ["reasoning_effort"]),
    ("magistral-medium-latest", "high", None, ["reasoning_effort"]),
    ("magistral-small-2509", "none", None, ["reasoning_effort"]),
]


@pytest.mark.parametrize(("model", "effort", "sent", "dropped"), EFFORTS)
def test_an_effort_goes_to_models_that_take_one(model, effort, sent, dropped):
    body = {"model": model, "messages": [U], "reasoning_effort": effort}

    assert to_mistral(body).get("reasoning_effort") == sent
    assert dropped_by_mistral(body) == dropped


def test_at_bedrock_turns_come_in_the_same_order():
    model = "mistral.mistral-large-2407-v1:0"
    request = requests.read({"model": model, "messages": [U, CALL, RESULT, U]})
    body = families.family(model).write(request).body

    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
