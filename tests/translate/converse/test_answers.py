"""Answers of Nova and Converse, valid to botocore's own model of the service."""

from contextlib import suppress

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from app.translate.converse.families import family
from app.translate.errors import UnexpectedAnswerError
from app.translate.neutral import Thinking, ToolCall

NOVA = "us.amazon.nova-lite-v1:0"
RUNTIME = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse")


def answered(*content, stop="end_turn", usage=None):
    data = usage or {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
    body = {"output": {"message": {"role": "assistant", "content": list(content)}}, "stopReason": stop, "usage": data}
    report = ParamValidator().validate({**body, "metrics": {"latencyMs": 1}}, RUNTIME.output_shape)
    assert not report.has_errors(), report.generate_report()
    return family(NOVA).read(body, created=7)


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
    ],
)
def test_finish_reasons(stop, finish):
    answer = answered({"text": "a"}, stop=stop)
    assert (answer.choices[0].finish, answer.choices[0].parts, answer.created) == (finish, ["a"], 7)


def test_content_blocks():
    answer = answered(
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
        {"text": "a"},
        {"citationsContent": {"content": [{"text": "b"}], "citations": []}},
        {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}},
        stop="tool_use",
    )
    [choice] = answer.choices
    assert choice.parts == [Thinking("t", "s"), "a", "b", ToolCall("c1", "f", {"a": 1})]
    assert choice.finish == "tool_calls"


def test_a_call_of_the_answer_tool_is_read_as_text():
    tool = {"toolUse": {"toolUseId": "c1", "name": "batchgate_answer", "input": {"a": "ü"}}}
    [choice] = answered({"text": "I shall answer."}, tool, stop="tool_use").choices
    assert choice.parts == [Thinking("I shall answer."), '{"a":"ü"}'] and choice.finish == "stop"


def test_cached_tokens_count_as_input():
    usage = {
        "inputTokens": 1,
        "outputTokens": 2,
        "totalTokens": 3,
        "cacheReadInputTokens": 4,
        "cacheWriteInputTokens": 5,
    }
    data = answered({"text": "a"}, usage=usage).usage
    assert (data.input_tokens, data.cached_tokens, data.output_tokens, data.total_tokens) == (10, 4, 2, 12)


NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["output", "message", "content", "text", "toolUse", "stopReason", "usage"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.fixed_dictionaries({"output": NONSENSE, "stopReason": NONSENSE, "usage": NONSENSE}) | NONSENSE)
def test_any_json_is_read_or_raises_an_error(body):
    with suppress(UnexpectedAnswerError):
        family(NOVA).read(body)


TEXTS = st.text(min_size=1).filter(lambda text: not text.isspace())
BLOCKS = st.one_of(
    st.builds(lambda text: {"text": text}, TEXTS),
    st.builds(lambda n: {"toolUse": {"toolUseId": f"c{n}", "name": "f", "input": {"n": n}}}, st.integers(0, 99)),
)


@given(st.lists(BLOCKS, max_size=6), st.integers(0, 10**9), st.integers(0, 10**9))
def test_all_texts_calls_and_counts_are_kept(content, given_tokens, made_tokens):
    usage = {"inputTokens": given_tokens, "outputTokens": made_tokens, "totalTokens": given_tokens + made_tokens}
    answer = answered(*content, usage=usage)
    back = [
        {"text": part}
        if isinstance(part, str)
        else {"toolUse": {"toolUseId": part.id, "name": part.name, "input": part.arguments}}
        for part in answer.choices[0].parts
    ]
    assert back == content
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (given_tokens, made_tokens)
