"""Requests of the Responses API converted to chat requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from app.lib import json
from app.translate.errors import TranslationError
from app.translate.responses.requests import to_chat

CHAT_REQUEST = TypeAdapter(CompletionCreateParamsNonStreaming)
FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
CHAT_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Hi", [{"role": "user", "content": "Hi"}]),
        ([{"role": "user", "content": "Hi"}], [{"role": "user", "content": "Hi"}]),
        ([{"type": "message", "role": "developer", "content": "Hi"}], [{"role": "system", "content": "Hi"}]),
        (user({"type": "input_text", "text": "Hi"}), [{"role": "user", "content": "Hi"}]),
        (
            user({"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}),
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        ),
        (
            user({"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}),
            user({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}),
        ),
        (
            user({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}),
            user({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}),
        ),
        (
            user({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
            user({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
        ),
        (
            [
                {
                    "type": "message",
                    "id": "msg_1",
                    "role": "assistant",
                    "status": "completed",
                    "content": [
                        {"type": "output_text", "text": "a", "annotations": []},
                        {"type": "refusal", "refusal": "b"},
                    ],
                }
            ],
            [{"role": "assistant", "content": "ab"}],
        ),
        (
            [{"role": "assistant", "content": "Let me see"}, CALL, {**CALL, "call_id": "c2"}],
            [
                {
                    "role": "assistant",
                    "content": "Let me see",
                    "tool_calls": [CHAT_CALL, {**CHAT_CALL, "id": "c2"}],
                }
            ],
        ),
        (
            [
                {"role": "user", "content": "q"},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                CALL,
                {"type": "function_call_output", "call_id": "c1", "output": "42"},
            ],
            [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ],
        ),
        (
            [
                CALL,
                {
                    "type": "function_call_output",
                    "call_id": "c1",
                    "output": [{"type": "input_text", "text": "4"}, {"type": "input_text", "text": "2"}],
                },
            ],
            [
                {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": "42"},
            ],
        ),
    ],
)
def test_input_becomes_messages(given, expected):
    chat = to_chat({"model": "m", "input": given})

    assert chat == {"model": "m", "messages": expected}
    CHAT_REQUEST.validate_python(chat)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"max_output_tokens": 9}, {"max_tokens": 9}),
        ({"temperature": 0.5, "top_p": 0.9, "user": "u"}, {"temperature": 0.5, "top_p": 0.9, "user": "u"}),
        ({"temperature": None, "tools": None, "text": None}, {}),
        ({"seed": 1, "top_k": 40}, {"seed": 1, "top_k": 40}),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
        ({"text": {"format": {"type": "text"}}}, {}),
        ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
                }
            },
        ),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"include": ["reasoning.encrypted_content"]}, {}),
        ({"tool_choice": "auto", "parallel_tool_calls": True}, {}),
        ({"store": True, "metadata": {"a": "b"}, "truncation": "auto", "service_tier": "flex"}, {}),
        ({"background": False, "stream": False, "previous_response_id": None}, {}),
    ],
)
def test_request_parameters(given, expected):
    chat = to_chat({"model": "m", "input": "Hi", **given})

    assert chat == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **expected}


def test_instructions_come_first():
    chat = to_chat({"input": [{"role": "user", "content": "Hi"}], "instructions": "Be brief"})

    assert chat["messages"][0] == {"role": "system", "content": "Be brief"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", "none"),
        ("auto", "auto"),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tools_and_tool_choice(choice, expected):
    chat = to_chat(
        {"model": "m", "input": "Hi", "tools": [FUNCTION], "tool_choice": choice, "parallel_tool_calls": False}
    )

    function = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
    assert chat["tools"] == [{"type": "function", "function": function}]
    assert (chat["tool_choice"], chat["parallel_tool_calls"]) == (expected, False)
    CHAT_REQUEST.validate_python(chat)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"stream": True}, "stream"),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "file_search", "vector_store_ids": []}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": "all"}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"text": "json"}, "text"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"reasoning": "high"}, "reasoning"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"include": "all"}, "include"),
        ({"instructions": ["a"]}, "instructions"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["Hi"]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "input[0].type"),
        ({"input": [{"content": "Hi"}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "Hi"}]}, "input[0].role"),
        ({"input": [{"role": 5, "content": "Hi"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": user("Hi")}, "input[0].content[0]"),
        ({"input": user({"type": "input_text"})}, "input[0].content[0].text"),
        ({"input": user({"type": "video"})}, "input[0].content[0].type"),
        ({"input": user({"type": "input_image", "file_id": "file-1"})}, "input[0].content[0].file_id"),
        ({"input": user({"type": "input_image"})}, "input[0].content[0].image_url"),
        ({"input": user({"type": "input_file", "file_id": "file-1"})}, "input[0].content[0].file_id"),
        ({"input": user({"type": "input_file", "file_url": "http://x"})}, "input[0].content[0].file_url"),
        ({"input": [{**CALL, "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": 5}]}, "input[0].output"),
        (
            {
                "input": [
                    {
                        "type": "function_call_output",
                        "call_id": "c",
                        "output": [{"type": "input_image", "image_url": "http://x"}],
                    }
                ]
            },
            "input[0].output[0].type",
        ),
    ],
)
def test_what_chat_cannot_express_is_rejected_by_field(given, param):
    with pytest.raises(TranslationError) as refused:
        to_chat({"model": "m", "input": "Hi", **given})

    assert refused.value.param == param
    assert str(refused.value).startswith(f"{param}: ")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["user", "function", "message", "input_text", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "name", "call_id", "arguments", "output", "format"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["input", "tools", "tool_choice", "text", "reasoning", "include", "instructions", "top_logprobs"]
        ),
        ANYTHING,
    )
)
def test_any_request_is_translated_or_rejected_by_field(request):
    before = json.dumps(request)
    try:
        chat = to_chat(request)
    except TranslationError as refused:
        assert refused.param
    else:
        assert chat["messages"]
    assert json.dumps(request) == before
