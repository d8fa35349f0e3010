"""Reading requests of Anthropic's Messages: as chats, and back again."""

import pytest

from app.translate.chat import requests
from app.translate.dialects import MESSAGES, as_chat
from app.translate.errors import TranslationError
from app.translate.messages import requests as messages_requests
from tests.translate.messages_types import valid

MODEL = "claude-sonnet-4-5"
HELLO = [{"role": "user", "content": "Hello"}]
CACHED = {"cache_control": {"type": "ephemeral"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
TOOL = {"name": "f", "description": "Does f.", "input_schema": SCHEMA}
FUNCTION = {"name": "f", "description": "Does f.", "parameters": SCHEMA}
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}


def text(words, **more):
    return {"type": "text", "text": words, **more}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def chat(**fields):
    """Convert a message that is valid to Anthropic to a chat."""
    body = {"model": MODEL, "max_tokens": 50, "messages": HELLO, **fields}
    valid(body)
    return as_chat(MESSAGES, body)


CALLED = [
    user(text("Time?")),
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "redacted_thinking", "data": "r"},
            text("Let me see."),
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "b"}},
            {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
        ],
    },
    user(
        {"type": "tool_result", "tool_use_id": "t1", "content": [text("one"), text("two")]},
        {"type": "tool_result", "tool_use_id": "t2", "is_error": True},
        text("So?"),
    ),
]
# (members of the message, messages of the chat).
TURNS = {
    "a text": ({}, HELLO),
    "system": ({"system": "A"}, [{"role": "system", "content": "A"}, *HELLO]),
    "system in blocks": (
        {"system": [text("A", **CACHED), text("B")]},
        [{"role": "system", "content": [text("A"), text("B")]}, *HELLO],
    ),
    "an image": (
        {"messages": [user(text("x"), {"type": "image", "source": PNG})]},
        [user(text("x"), {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})],
    ),
    "an image by its address": (
        {"messages": [user({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}})]},
        [user({"type": "image_url", "image_url": {"url": "https://x/y.png"}})],
    ),
    "a document": (
        {"messages": [user({"type": "document", "source": PDF, "title": "a.pdf"})]},
        [user({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}})],
    ),
    "calls and results": (
        {"messages": CALLED, "tools": [TOOL]},
        [
            {"role": "user", "content": "Time?"},
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}},
                    {"id": "t2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": [text("one"), text("two")]},
            {"role": "tool", "tool_call_id": "t2", "content": ""},
            {"role": "user", "content": "So?"},
        ],
    ),
}


@pytest.mark.parametrize("name", TURNS)
def test_turns(name):
    fields, expected = TURNS[name]

    assert chat(**fields).body["messages"] == expected


# (members of the message, fields of the chat, dropped fields).
SETTINGS = {
    "sampling": (
        {"temperature": 0.5, "top_k": 3, "stop_sequences": ["END"]},
        {"temperature": 0.5, "top_k": 3, "stop": ["END"]},
        [],
    ),
    "user": ({"metadata": {"user_id": "u"}}, {"user": "u"}, []),
    "tier": ({"service_tier": "standard_only"}, {"service_tier": "default"}, []),
    "tools": (
        {"tools": [{**TOOL, **CACHED, "strict": True, "type": "custom", "defer_loading": True}]},
        {"tools": [{"type": "function", "function": {**FUNCTION, "strict": True}}]},
        ["cache_control", "tools.defer_loading"],
    ),
    "any": ({"tools": [TOOL], "tool_choice": {"type": "any"}}, {"tool_choice": "required"}, []),
    "a tool, alone": (
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        [],
    ),
    "effort": (
        {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}},
        {"reasoning_effort": "low"},
        [],
    ),
    "thinking": ({"thinking": {"type": "adaptive"}}, {"reasoning_effort": "high"}, []),
    "a schema": (
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}},
        [],
    ),
    "caching": ({**CACHED, "messages": [user(text("Hello", **CACHED))]}, {"messages": HELLO}, ["cache_control"]),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name):
    fields, expected, dropped = SETTINGS[name]

    written = chat(**fields)

    assert {field: written.body.get(field) for field in expected} == expected
    assert sorted(written.dropped) == dropped


REFUSED = {
    "no messages": ({"messages": []}, "messages"),
    "web search": ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    "mcp": ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
    "container": ({"container": "container_1"}, "container"),
    "geography": ({"inference_geo": "eu"}, "inference_geo"),
    "a file": (
        {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "file_1"}})]},
        "messages[0].content[0].source.file_id",
    ),
    "search result": ({"messages": [user({"type": "search_result"})]}, "messages[0].content[0]"),
    "a result of the assistant": (
        {"messages": [{"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]},
        "messages[0].content[0]",
    ),
    "a call within a result": (
        {
            "messages": [
                user(
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}],
                    }
                )
            ]
        },
        "messages[0].content[0].content[0]",
    ),
}
NONSENSE = (None, True, -1, 0.5, "x", [], {}, [[]], [7], {"type": 7}, {"type": []}, [{"type": {}}], [{"role": []}])
FIELDS = (
    "model max_tokens messages system temperature top_k stop_sequences tools tool_choice thinking output_config "
    "metadata service_tier"
)


@pytest.mark.parametrize("name", REFUSED)
def test_fields_that_only_anthropic_has_are_rejected_by_name(name):
    fields, param = REFUSED[name]

    with pytest.raises(TranslationError) as refusal:
        as_chat(MESSAGES, {"model": MODEL, "max_tokens": 50, "messages": HELLO, **fields})

    assert refusal.value.param == param


@pytest.mark.parametrize("field", FIELDS.split())
def test_invalid_values_are_rejected_or_ignored(field):
    for value in NONSENSE:
        for fields in (
            {field: value},
            {"messages": [{"role": "user", "content": [{"type": "image", "source": value}]}]},
        ):
            try:
                as_chat(MESSAGES, {"model": MODEL, "max_tokens": 50, "messages": HELLO, **fields})
            except TranslationError as error:
                assert error.param


THERE_AND_BACK = {
    "plain": {"system": "A", "temperature": 0.5, "stop_sequences": ["END"], "metadata": {"user_id": "u"}},
    "turns": {"messages": CALLED, "tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    "pictures": {"messages": [user({"type": "image", "source": PNG}, text("x"), {"type": "document", "source": PDF})]},
    "text document": {
        "messages": [
            user(
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}, "title": "t"},
                text("x"),
            )
        ]
    },
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 9000},
    "schema": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}, "service_tier": "standard_only"},
    "newest": {
        "model": "claude-opus-5",
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "tools": [{**TOOL, "strict": True}],
        "tool_choice": {"type": "none"},
    },
}


@pytest.mark.parametrize("name", THERE_AND_BACK)
def test_reading_and_writing_again_changes_nothing(name):
    body = {"model": MODEL, "max_tokens": 50, "messages": HELLO, **THERE_AND_BACK[name]}

    written = messages_requests.write(messages_requests.read(valid(body)))

    assert _expanded(written.body) == _expanded(body)
    assert written.dropped == []


def _expanded(body):
    """Replace texts with the equivalent blocks."""
    messages = [
        {
            **message,
            "content": [text(message["content"])] if isinstance(message["content"], str) else message["content"],
        }
        for message in body["messages"]
    ]
    return {**body, "messages": messages}


def test_the_chat_of_a_message_can_be_read():
    body = chat(messages=CALLED, tools=[TOOL], system="A").body

    assert requests.write(requests.read(body)).body == body
