"""Chat answers converted to Response objects, validated with the SDK's types."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from app.translate.errors import UnexpectedAnswerError
from app.translate.responses.answers import from_chat

NOW_S = 1_700_000_000


def chat(message, **choice):
    return {
        "id": "chatcmpl-1",
        "created": 1_600_000_000,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }


def respond(answer, **request):
    body = from_chat(answer, request={"model": "m", "input": "Hi", **request}, response_id="resp_1", now_s=NOW_S)
    return Response.model_validate(body, strict=True)


def test_a_text_answer():
    response = respond(chat({"role": "assistant", "content": "Hello"}))

    assert (response.id, response.status, response.output_text) == ("resp_1", "completed", "Hello")
    assert response.created_at == 1_600_000_000
    assert response.output[0].id == "msg_1"


def test_usage_has_the_names_of_the_responses_api():
    usage = respond(chat({"content": "Hello"})).usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3, 4, 7)
    assert usage.input_tokens_details.cached_tokens == 1
    assert usage.output_tokens_details.reasoning_tokens == 2


def test_an_answer_without_usage_or_time():
    answer = chat({"content": "Hello"})
    del answer["usage"], answer["created"]

    response = respond(answer)

    assert response.usage is None
    assert response.created_at == NOW_S


@pytest.mark.parametrize(
    ("finish_reason", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_a_truncated_answer_is_incomplete(finish_reason, reason):
    response = respond(chat({"content": "Hel"}, finish_reason=finish_reason))

    assert (response.status, response.incomplete_details.reason) == ("incomplete", reason)
    assert response.output[0].status == "incomplete"
    assert response.completed_at is None


def test_tool_calls_become_items_without_an_empty_message():
    function = {"name": "f", "arguments": '{"a":1}'}
    calls = [{"id": "c1", "type": "function", "function": function}, {"type": "function", "function": function}]
    response = respond(chat({"content": "", "tool_calls": calls}, finish_reason="tool_calls"))

    assert [(item.type, item.name, item.arguments) for item in response.output] == [
        ("function_call", "f", '{"a":1}'),
        ("function_call", "f", '{"a":1}'),
    ]
    assert response.output[0].call_id == "c1"
    assert response.output[1].call_id


def test_reasoning_comes_before_the_message():
    for name in ("reasoning", "reasoning_content"):
        response = respond(chat({"content": "42", name: "Hmm"}))

        assert [item.type for item in response.output] == ["reasoning", "message"]
        assert response.output[0].content[0].text == "Hmm"


def test_a_refusal_is_kept():
    response = respond(chat({"content": None, "refusal": "No"}))

    assert response.output[0].content[0].refusal == "No"


def test_an_empty_answer_is_an_empty_message():
    assert respond(chat({"content": None})).output[0].content[0].text == ""


def test_logprobs_are_kept():
    token = {"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "e", "logprob": -1.0}]}
    response = respond(chat({"content": "é"}, logprobs={"content": [token]}))

    logprob = response.output[0].content[0].logprobs[0]
    assert (logprob.token, logprob.bytes, logprob.top_logprobs[0].token) == ("é", [0xC3, 0xA9], "e")


@pytest.mark.parametrize(
    "tokens", [5, [5], [{}], [{"token": "a"}], [{"token": "a", "logprob": None}], [{"token": "a", "top_logprobs": 5}]]
)
def test_malformed_logprobs_are_dropped(tokens):
    response = respond(chat({"content": "a"}, logprobs={"content": tokens}))

    assert (response.output_text, response.output[0].content[0].logprobs) == ("a", [])


def test_the_request_is_repeated_in_the_response():
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
    response = respond(
        chat({"content": "{}"}),
        instructions="Be brief",
        metadata={"a": "b"},
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=9,
        tools=[tool],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        store=True,
    )

    assert (response.instructions, response.metadata, response.temperature) == ("Be brief", {"a": "b"}, 0.5)
    assert (response.max_output_tokens, response.parallel_tool_calls) == (9, False)
    assert (response.tools[0].name, response.tool_choice.name) == ("f", "f")
    assert (response.reasoning.effort, response.text.format.name) == ("low", "n")
    assert response.model_extra["store"] is False


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": ["x"]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"content": None, "tool_calls": 5}}]},
        {"choices": [{"message": {"content": None, "tool_calls": [5]}}]},
        {"choices": [{"message": {"content": None, "tool_calls": [{"function": {}}]}}]},
    ],
)
def test_an_answer_without_a_message_raises_an_error(answer):
    with pytest.raises(UnexpectedAnswerError):
        respond(answer)


FIELDS = ["content", "tool_calls", "function", "name", "arguments", "id", "token", "top_logprobs", "logprob", "bytes"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=15,
)


@given(message=st.dictionaries(st.sampled_from([*FIELDS, "refusal", "reasoning"]), ANYTHING), other=ANYTHING)
def test_any_json_becomes_a_response_or_raises_an_error(message, other):
    answer = {**chat(message, logprobs=other, finish_reason=other), "usage": other, "created": other, "model": other}
    with contextlib.suppress(UnexpectedAnswerError):
        respond(answer)
