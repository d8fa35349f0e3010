"""Anthropic's messages read and written as answers: the table of 28.1, validated with the SDK's types."""

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from app.translate.chat import answers
from app.translate.errors import UnexpectedAnswerError
from app.translate.messages import answers as messages_answers
from app.translate.neutral import Answer, Choice, Media, Refusal, Thinking, ToolCall, Usage

USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 4,
    "output_tokens": 5,
    "output_tokens_details": {"thinking_tokens": 2},
    "service_tier": "batch",
}


def message(*content, stop_reason="end_turn", **more):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": USAGE,
        **more,
    }


def chat(body):
    """Convert a message to a chat completion; both are valid to their SDKs."""
    Message.model_validate(body, strict=True)
    answer = messages_answers.read(body, created=1_700_000_000)
    output = answers.write(answer, answer_id="x", model="y", now_s=0)
    ChatCompletion.model_validate(output, strict=True)
    return output


def text(words):
    return {"type": "text", "text": words, "citations": None}


def use(call_id="toolu_1", **given):
    return {"type": "tool_use", "id": call_id, "name": "f", "input": given}


CONTENT = {
    "text": ([text("Hi"), text(" there")], {"content": "Hi there"}),
    "calls": (
        [use(a="é"), use("toolu_2")],
        {
            "content": None,
            "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a":"é"}'}},
                {"id": "toolu_2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
    ),
    "thinking": (
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "redacted_thinking", "data": "r"},
            text("Hi"),
        ],
        {"content": "Hi", "reasoning_content": "Hm."},
    ),
    "nothing": ([], {"content": ""}),
    "blocks of Anthropic's own tools": (
        [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, text("Hi")],
        {"content": "Hi"},
    ),
}


@pytest.mark.parametrize("name", CONTENT)
def test_content(name):
    content, expected = CONTENT[name]

    texts = chat(message(*content))["choices"][0]["message"]

    assert {field: texts.get(field) for field in expected} == expected


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_stop_reasons(reason, finish):
    assert chat(message(text("x"), stop_reason=reason))["choices"][0]["finish_reason"] == finish


def test_id_model_and_usage():
    output = chat(message(text("x")))

    assert (output["id"], output["model"], output["created"]) == ("msg_1", "claude-sonnet-4-5", 1_700_000_000)
    assert output["usage"] == {
        "prompt_tokens": 17,
        "completion_tokens": 5,
        "total_tokens": 22,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"content": None},
        {"content": "x"},
        {"content": [None]},
        {"content": [{}]},
        {"content": [{"type": []}]},
        {"content": [{"type": "text"}]},
        {"content": [{"type": "text", "text": 7}]},
        {"content": [{"type": "tool_use", "id": "t", "name": "f", "input": "{}"}]},
        {"content": [{"type": "tool_use", "id": "t", "input": {}}]},
        {"content": [{"type": "thinking"}]},
    ],
)
def test_an_invalid_message_raises_an_error(body):
    with pytest.raises(UnexpectedAnswerError):
        messages_answers.read(body)


@pytest.mark.parametrize("data", [None, [], {}, {"input_tokens": -1, "output_tokens": "5", "output_tokens_details": 7}])
def test_invalid_token_counts_are_zero(data):
    answer = messages_answers.read({"content": [], "usage": data, "id": 7, "model": [], "stop_reason": [7]})

    assert answer == Answer([Choice([])], Usage())


def written(*parts, **more):
    answer = Answer([Choice(list(parts), **more)], Usage(12, 4, 5, 2, 17), id="chatcmpl-a.b", model="m")
    body = messages_answers.write(answer, answer_id="17", model="other")
    assert Message.model_validate(body, strict=True).to_dict() == body
    return body


def test_an_answer_is_written_as_a_message():
    assert written("Hi") == {
        "id": "msg_a_b",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [text("Hi")],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 8,
            "output_tokens": 5,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 2},
        },
    }


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ([""], []),
        ([Refusal("No."), Refusal("")], [text("No.")]),
        ([ToolCall("c 1", "f", '{"a":1}')], None),
        ([ToolCall("", "f", "")], [{"type": "tool_use", "id": "toolu_17_0", "name": "f", "input": {}}]),
        ([Thinking("Hm.")], [{"type": "thinking", "thinking": "Hm.", "signature": ""}]),
        ([Thinking("", redacted="r")], [{"type": "redacted_thinking", "data": "r"}]),
    ],
)
def test_parts_are_written_as_blocks(parts, content):
    output = written(*parts)["content"]

    if content is None:
        assert (output[0]["name"], output[0]["input"]) == ("f", {"a": 1}) and " " not in output[0]["id"]
    else:
        assert output == content


@pytest.mark.parametrize(
    ("finish", "stop", "reason"),
    [
        ("stop", None, "end_turn"),
        ("stop", "END", "stop_sequence"),
        ("length", None, "max_tokens"),
        ("tool_calls", None, "tool_use"),
        ("content_filter", None, "refusal"),
    ],
)
def test_finish_reasons_are_written_as_stop_reasons(finish, stop, reason):
    output = written("x", finish=finish, stop_sequence=stop)

    assert (output["stop_reason"], output["stop_sequence"]) == (reason, stop)


@pytest.mark.parametrize(
    "choices",
    [[], [Choice([ToolCall("c", "f", "{")])], [Choice([ToolCall("c", "f", "[]")])], [Choice([Media("image")])]],
)
def test_what_a_message_cannot_hold_raises_an_error(choices):
    with pytest.raises(UnexpectedAnswerError):
        messages_answers.write(Answer(choices, Usage()), answer_id="1", model="m")


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
PARTS = st.one_of(
    WORDS,
    st.builds(ToolCall, st.from_regex(r"[a-zA-Z0-9_-]{1,9}", fullmatch=True), WORDS, st.dictionaries(WORDS, WORDS)),
    st.builds(Thinking, WORDS, WORDS),
    st.builds(Thinking, st.just(""), st.none(), WORDS),
)
COUNTS = st.integers(0, 99)


@given(
    st.lists(PARTS, max_size=4),
    st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
)
def test_writing_and_reading_again_changes_nothing(parts, finish, counts):
    fresh, cached, output, thought = counts
    usage = Usage(fresh + cached, cached, output, thought, fresh + cached + output)
    answer = Answer([Choice(parts, finish)], usage, id="msg_1", model="m")

    assert messages_answers.read(messages_answers.write(answer, answer_id="x", model="y")) == answer
