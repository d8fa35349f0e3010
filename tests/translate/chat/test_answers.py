"""Answers of Chat Completions and embeddings, including those of imprecise servers and invalid ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translate import embeddings
from app.translate.chat import answers
from app.translate.errors import TranslationError, UnexpectedAnswerError
from app.translate.neutral import Answer, Choice, EmbeddingAnswer, Media, Refusal, Thinking, ToolCall, Usage

DEEP = 900


def answer(message, **choice):
    return {"choices": [{"message": {"role": "assistant", **message}, "finish_reason": "stop", **choice}]}


def parts(message, **choice):
    return answers.read(answer(message, **choice)).choices[0].parts


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "x", "refusal": None, "tool_calls": None}, ["x"]),
        ({"content": "x", "refusal": "", "tool_calls": []}, ["x"]),
        ({"content": "", "refusal": "No."}, [Refusal("No.")]),
        ({"content": None}, []),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, ["a", "b"]),
        ({"content": "x", "reasoning_content": "hm"}, [Thinking("hm"), "x"]),
        ({"content": "x", "reasoning": "hm"}, [Thinking("hm"), "x"]),
        ({"tool_calls": [{"function": {"name": "f"}}]}, [ToolCall("", "f", "{}")]),
        ({"tool_calls": [{"id": 5, "function": {"name": "f", "arguments": {"a": 1}}}]}, [ToolCall("", "f", {"a": 1})]),
    ],
)
def test_variants_of_other_servers_are_read(message, expected):
    assert parts(message) == expected


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("function_call", "tool_calls"), ("eos", "stop"), (None, "stop"), (["stop"], "stop"), ({}, "stop"), (1, "stop")],
)
def test_an_unknown_finish_reason_counts_as_stop(reason, finish):
    assert answers.read(answer({"content": "x"}, finish_reason=reason)).choices[0].finish == finish


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{"message": "x"}]},
        answer({"content": 5}),
        answer({"content": {"text": "x"}}),
        answer({"tool_calls": 5}),
        answer({"tool_calls": {"0": {}}}),
        answer({"tool_calls": ["f"]}),
        answer({"tool_calls": [{"function": {"name": ["f"]}}]}),
    ],
)
def test_an_invalid_answer_raises_an_error(body):
    with pytest.raises(UnexpectedAnswerError):
        answers.read(body)


WORDS = st.sampled_from(["choices", "message", "content", "tool_calls", "function", "name", "usage", "type", "text"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(
    message=st.dictionaries(st.sampled_from(["content", "tool_calls", "refusal", "reasoning"]), JSON),
    rest=st.dictionaries(st.sampled_from(["usage", "id", "model", "created"]), JSON),
    choice=st.dictionaries(st.sampled_from(["finish_reason", "logprobs", "index"]), JSON),
)
def test_any_json_is_read_or_raises_an_error(message, rest, choice):
    try:
        result = answers.read({**answer(message, **choice), **rest})
    except UnexpectedAnswerError:
        return
    written = answers.write(result, answer_id="a", model="m", now_s=1)
    # A call without an id gets one.
    again = answers.read(written)
    assert answers.write(again, answer_id="a", model="m", now_s=1) == written


def test_a_deeply_nested_answer_is_read():
    deep = []
    for _ in range(DEEP):
        deep = [deep]
    assert parts({"content": "x"}, finish_reason=deep, logprobs=deep) == ["x"]


def test_media_in_an_answer_raise_an_error():
    picture = Answer([Choice([Media("image", media_type="image/png", data="AA==")])], Usage())
    with pytest.raises(UnexpectedAnswerError, match="image"):
        answers.write(picture, answer_id="a", model="m", now_s=1)


def test_calls_without_an_id_get_distinct_ids():
    calls = Answer([Choice([ToolCall("", "f", {}), ToolCall("", "f", {})]), Choice([ToolCall("", "f", {})])], Usage())
    written = answers.write(calls, answer_id="a", model="m", now_s=1)
    ids = [call["id"] for choice in written["choices"] for call in choice["message"]["tool_calls"]]
    assert ids == ["call_a_0_0", "call_a_0_1", "call_a_1_0"]


@pytest.mark.parametrize(("inputs", "vectors"), [("x", []), ("x", [[1.0], [2.0]]), (["x", "y"], [[1.0]])])
def test_a_wrong_number_of_vectors_raises_an_error(inputs, vectors):
    with pytest.raises(UnexpectedAnswerError, match=r"vectors for \d texts"):
        embeddings.write_answer(EmbeddingAnswer(vectors, Usage()), request={"input": inputs}, model="m")


@pytest.mark.parametrize("vector", [["x"], [None], [10**400]])
def test_a_vector_with_other_values_than_numbers_raises_an_error(vector):
    with pytest.raises(UnexpectedAnswerError):
        embeddings.write_answer(
            EmbeddingAnswer([vector], Usage()), request={"input": "x", "encoding_format": "base64"}, model="m"
        )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": "x", "model": 5}, "model"),
        ({"input": "x", "dimensions": True}, "dimensions"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
        ({"input": "x", "encoding_format": ["float"]}, "encoding_format"),
        ({"input": "x", "input_type": 5}, "input_type"),
        ({"input": "x", "user": {}}, "user"),
    ],
)
def test_an_invalid_embedding_request_is_rejected_by_field(body, param):
    with pytest.raises(TranslationError) as refused:
        embeddings.read(body)
    assert refused.value.param == param
