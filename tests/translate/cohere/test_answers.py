"""Cohere's answers, built with the SDK's types (contracts: providers, 28.5)."""

import orjson
import pytest
from cohere.v2 import V2ChatResponse
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from app.translate.chat import answers
from app.translate.cohere import answers as cohere_answers
from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import Answer, Thinking, ToolCall, Usage

CALL = {"id": "weather_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
USAGE = {
    "billed_units": {"input_tokens": 9.0, "output_tokens": 4.0},
    "tokens": {"input_tokens": 12.0, "output_tokens": 7.0},
    "cached_tokens": 3.0,
}


def body(*parts, reason="COMPLETE", **message):
    content = {"content": list(parts)} if parts else {}
    written = {"id": "answer-1", "finish_reason": reason, "message": {"role": "assistant", **content, **message}}
    return {**written, "usage": USAGE}


def text(texts):
    return {"type": "text", "text": texts}


def thought(texts):
    return {"type": "thinking", "thinking": texts}


ANSWERS = {
    "text": (body(text("Hello")), ["Hello"], "stop"),
    "texts": (body(text("Hel"), text("lo")), ["Hel", "lo"], "stop"),
    "thinking": (body(thought("Hm."), text("Hello")), [Thinking("Hm."), "Hello"], "stop"),
    "cut": (body(text("Hel"), reason="MAX_TOKENS"), ["Hel"], "length"),
    "stopped": (body(text("Hel"), reason="STOP_SEQUENCE"), ["Hel"], "stop"),
    "call": (
        body(tool_calls=[CALL], tool_plan="I ask.", reason="TOOL_CALL"),
        [Thinking("I ask."), ToolCall("weather_1", "weather", '{"city":"Oslo"}')],
        "tool_calls",
    ),
    "nothing": (body(), [], "stop"),
    "a reason that nobody knows": (body(text("Hi"), reason="LATER"), ["Hi"], "stop"),
    "nulls of a row": (
        body({**text("Hi"), "thinking": None}, tool_calls=None, tool_plan=None, citations=None),
        ["Hi"],
        "stop",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name):
    data, parts, finish = ANSWERS[name]
    V2ChatResponse.model_validate(data, strict=True)

    result = cohere_answers.read(data, created=1700000000)

    assert (result.id, result.created) == ("answer-1", 1700000000)
    assert result.usage == Usage(12, 3, 7, 0, 19)
    [choice] = result.choices
    assert (choice.parts, choice.finish) == (parts, finish)
    completion = answers.write(result, answer_id="x", model="m", now_s=1)
    ChatCompletion.model_validate(orjson.loads(orjson.dumps(completion)), strict=True)


@pytest.mark.parametrize(("reason", "status"), [("ERROR", 500), ("TIMEOUT", 504)])
def test_a_failed_answer_raises_an_error(reason, status):
    data = body(text("Hel"), reason=reason)

    assert cohere_answers.failure(data) == status
    with pytest.raises(UnexpectedAnswerError, match=reason):
        cohere_answers.read(data)
    assert cohere_answers.failure(body(text("x"))) is None
    assert cohere_answers.failure(None) is None


def test_logprobs_are_summed_per_item():
    data = {
        **body(text("Hello")),
        "logprobs": [
            {"text": "Hel", "token_ids": [1], "logprobs": [-0.5]},
            {"text": "lö", "token_ids": [2, 3], "logprobs": [-0.25, -0.5]},
        ],
    }
    V2ChatResponse.model_validate(data, strict=True)

    [choice] = cohere_answers.read(data).choices

    assert choice.logprobs["content"] == [
        {"token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108], "top_logprobs": []},
        {"token": "lö", "logprob": -0.75, "bytes": [108, 195, 182], "top_logprobs": []},
    ]
    completion = answers.write(cohere_answers.read(data), answer_id="x", model="m", now_s=1)
    ChatCompletion.model_validate(completion, strict=True)
    for nonsense in ([7], [{"text": "x", "logprobs": ["y"]}], [{"text": None, "logprobs": []}], 7):
        assert cohere_answers.read({**data, "logprobs": nonsense}).choices[0].logprobs is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"billed_units": {"input_tokens": 9.0, "output_tokens": 4.0}}, Usage(9, 0, 4, 0, 13)),
        ({"tokens": {"input_tokens": 9, "output_tokens": None}}, Usage(9, 0, 0, 0, 9)),
        ({"tokens": {"input_tokens": -1.0, "output_tokens": 1e300}}, Usage()),
        ({"tokens": {"input_tokens": float("nan"), "output_tokens": "x"}}, Usage()),
        (7, Usage()),
    ],
)
def test_usage(usage, expected):
    assert cohere_answers.read({**body(text("x")), "usage": usage}).usage == expected


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        [],
        "Hello",
        {},
        {"message": None},
        {"message": "Hello"},
        body(7),
        body({"type": "text"}),
        body({"type": "text", "text": 7}),
        body({"type": "image", "image": "x"}),
        body(tool_calls=7),
        body(tool_calls=[7]),
        body(tool_calls=[{"id": "x", "function": {}}]),
        body(content=7),
    ],
)
def test_an_invalid_answer_raises_an_error(nonsense):
    with pytest.raises(UnexpectedAnswerError):
        cohere_answers.read(nonsense)


NAMES = [
    "id",
    "finish_reason",
    "message",
    "content",
    "text",
    "type",
    "thinking",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "usage",
    "tokens",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["text", "ERROR"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_raises_an_error(value):
    for data in (value, {"message": value}, {"message": {"content": value, "tool_calls": value}, "logprobs": value}):
        try:
            assert isinstance(cohere_answers.read(data), Answer)
        except UnexpectedAnswerError as error:
            assert str(error)
