"""Conversion of requests to Mistral's dialect and of answers from it."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistralai.client.models import ChatCompletionRequest, EmbeddingRequest

from app.translate.mistral import (
    SAME,
    embedding_to_mistral,
    from_mistral,
    moderation_to_mistral,
    to_mistral,
    valid_call_id,
)

CALL = {"id": "call_1", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}", "x": 1}, "x": 1}
PARTS = [
    {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
    {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "auto", "x": 1}, "x": 1},
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
    {"type": "file", "file": {"file_id": "f"}},
]
# Every field of OpenAI's chats, and an unknown field at every depth.
RICH = {
    "model": "m",
    "messages": [
        {"role": "developer", "content": [{"type": "text", "text": "Be kind.", "x": 1}], "name": "n"},
        {"role": "user", "content": PARTS, "name": "bob"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "refusal": None, "annotations": []},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "Hm.", "audio": None},
        {"role": "tool", "tool_call_id": "call_1", "content": "1", "x": 1},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "function": {"name": "g", "parameters": {"a": None}, "strict": None, "x": 1}, "x": 1},
    ],
    "tool_choice": {"type": "function", "function": {"name": "f", "x": 1}, "x": 1},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"x": 1}, "x": 1}, "x": 1},
    "prediction": {"type": "content", "content": [{"type": "text", "text": "Ye"}, {"type": "text", "text": "s"}]},
    "service_tier": "flex",
    "reasoning_effort": "low",
    "stream": False,
    "stream_options": None,
    "modalities": ["text"],
    "verbosity": "low",
    "x": 1,
}
NAMES = st.sampled_from(
    [*SAME, "role", "content", "type", "text", "file", "function", "tool_calls", "thinking", "choices", "message"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=5)
    | st.sampled_from(["user", "file", "thinking"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def test_the_sdk_accepts_every_field_sent():
    written = to_mistral(RICH)
    read = ChatCompletionRequest.model_validate(written).model_dump(by_alias=True, exclude_unset=True, mode="json")

    assert read == written  # its types drop what they do not know
    assert written["messages"][1]["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "auto"}},
        {"type": "input_audio", "input_audio": "AAAA"},
        {"type": "document_url", "document_url": "data:application/pdf;base64,AA=="},
        {"type": "file", "file_id": "f"},
    ]
    assert written["messages"][2]["content"] == [{"type": "text", "text": "No."}]
    assert written["tools"][0]["function"] == {"name": "f", "parameters": {"type": "object", "properties": {}}}
    assert written["tools"][1]["function"] == {"name": "g", "parameters": {"a": None}}
    assert written["prediction"]["content"] == "Yes"
    assert "service_tier" not in written


def test_the_callers_request_is_not_modified():
    before = orjson.dumps(RICH)
    to_mistral(RICH)

    assert orjson.dumps(RICH) == before


def test_translating_twice_changes_nothing():
    written = to_mistral(RICH)

    assert to_mistral(written) == written


@pytest.mark.parametrize(
    ("effort", "expected"),
    [("none", "none"), ("minimal", "none"), ("low", "high"), ("medium", "high"), ("high", "high"), ("xhigh", "high")],
)
def test_efforts_turn_reasoning_on_or_off(effort, expected):
    assert to_mistral({"reasoning_effort": effort}) == {"reasoning_effort": expected}


def test_mistrals_own_parts_and_tools_pass():
    body = {
        "messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": [], "closed": True}]}],
        "tools": [{"type": "image_generation"}],
        "tool_choice": "none",
        "service_tier": "standard_only",
        "response_format": {"type": "json_object"},
    }

    assert to_mistral(body) == body


def test_embeddings_and_moderations_keep_only_mistrals_fields():
    request = {"model": "m", "input": ["a"], "dimensions": 8, "encoding_format": "float", "user": "u"}
    written = embedding_to_mistral(request)

    assert written == {"model": "m", "input": ["a"], "encoding_format": "float", "output_dimension": 8}
    assert EmbeddingRequest.model_validate(written).model_dump(by_alias=True, exclude_unset=True) == written
    assert moderation_to_mistral({"model": "m", "input": "a", "user": "u"}) == {"model": "m", "input": "a"}


@given(st.dictionaries(NAMES, JSON, max_size=5))
def test_any_json_is_translated(body):
    for translate in (to_mistral, embedding_to_mistral, moderation_to_mistral, from_mistral):
        orjson.dumps(translate(body))


def test_unknown_fields_are_dropped_and_others_renamed():
    written = to_mistral(
        {
            "model": "m",
            "messages": [{"role": "developer", "content": "x", "name": "n"}],
            "max_completion_tokens": 5,
            "seed": 7,
            "temperature": 2,
            "tool_choice": "required",
            "user": "u",
            "logit_bias": {},
            "stream_options": None,
            "store": True,
        }
    )

    assert written == {
        "model": "m",
        "messages": [{"role": "system", "content": "x"}],
        "max_tokens": 5,
        "random_seed": 7,
        "temperature": 1.5,
        "tool_choice": "any",
    }


def test_converted_tool_call_ids_still_match():
    call = {"id": "call_0123456789", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request = {
        "messages": [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_0123456789", "content": "1"},
        ]
    }
    first, second = to_mistral(request)["messages"]

    assert first["tool_calls"][0]["id"] == second["tool_call_id"] == valid_call_id("call_0123456789")
    assert len(second["tool_call_id"]) == 9 and second["tool_call_id"].isalnum()
    assert valid_call_id("abcDEF123") == "abcDEF123"
    assert call["id"] == "call_0123456789"


def test_files_become_documents():
    parts = [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
        {"type": "file", "file": {"file_id": "f"}},
    ]
    written = to_mistral({"messages": [{"role": "user", "content": parts}]})

    assert written["messages"][0]["content"] == [
        {"type": "document_url", "document_url": "data:application/pdf;base64,AA=="},
        {"type": "file", "file_id": "f"},
    ]


def test_an_answer_is_converted_to_a_chat_completion():
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Yes"},
        {"type": "text", "text": "."},
    ]
    message = {"role": "assistant", "content": content, "tool_calls": None, "prefix": False}
    body = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "model_length"}]}

    assert from_mistral(body)["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."},
            "finish_reason": "length",
        }
    ]


def test_arguments_become_json_text():
    calls = [
        {"id": "abcDEF123", "index": 0, "type": "function", "function": {"name": "f", "arguments": {"a": 1}}},
        {"id": "abcDEF124", "function": {"name": "f", "arguments": '{"a":1}'}},
    ]
    body = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    message = from_mistral(body)["choices"][0]["message"]

    function = {"name": "f", "arguments": '{"a":1}'}
    assert message["tool_calls"] == [
        {"id": "abcDEF123", "type": "function", "function": function},
        {"id": "abcDEF124", "type": "function", "function": function},
    ]


def test_nested_thinking_is_read_one_level_deep():
    content = [{"type": "thinking", "thinking": "x"}]
    for _ in range(1000):
        content = [{"type": "thinking", "thinking": content}]

    assert from_mistral({"choices": [{"message": {"content": content}}]})["choices"][0]["message"] == {"content": None}


def test_other_answers_are_unchanged():
    assert to_mistral({"messages": "?"}) == {"messages": "?"}
    assert from_mistral({"choices": "?"}) == {"choices": "?"}
    assert from_mistral({"choices": [1, {"message": 2}]})["choices"][0] == 1
