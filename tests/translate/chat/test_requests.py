"""Chats are read and written again, and validated with OpenAI's own types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.translate import dialects, embeddings
from app.translate.chat import requests
from app.translate.errors import TranslationError
from app.translate.neutral import Media, Refusal, Request, Thinking, ToolCall, ToolResult
from tests.translate import targets
from tests.translate.corpus import LINES

HELLO = {"role": "user", "content": "Hello"}
F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
G = {"type": "function", "function": {"name": "g", "description": "Gee.", "strict": False}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ENDPOINTS = sorted(dialects.CHAT_LIKE)
DEEP = 1000


def read(*messages, **body):
    return requests.read({"model": "m", "messages": list(messages) or [HELLO], **body})


def again(*messages, **body):
    return requests.write(read(*messages, **body))


def part(kind, **inner):
    return {"role": "user", "content": [{"type": kind, kind: inner}]}


WRONG = {
    "messages of no kind": ({"messages": "hi"}, "messages"),
    "no messages": ({"messages": []}, "messages"),
    "a message that is a text": ({"messages": ["hi"]}, "messages[0]"),
    "a role that is a list": ({"messages": [HELLO, {"role": ["user"], "content": "x"}]}, "messages[1].role"),
    "the role function": ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
    "content of a user that is null": ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    "content that is a number": ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    "a part that is a text": ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    "a part of no kind": ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
    "a text that is a number": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
        "messages[0].content[0].text",
    ),
    "a refusal of the user": (
        {"messages": [{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}]},
        "messages[0].content[0].type",
    ),
    "an image of the assistant": (
        {"messages": [{**part("image_url", url="https://x/y.png"), "role": "assistant"}]},
        "messages[0].content[0].type",
    ),
    "an image without URL": ({"messages": [part("image_url")]}, "messages[0].content[0].image_url.url"),
    "an image at no address": ({"messages": [part("image_url", url="x")]}, "messages[0].content[0].image_url.url"),
    "an unknown detail": (
        {"messages": [part("image_url", url="https://x/y.png", detail=["high"])]},
        "messages[0].content[0].image_url.detail",
    ),
    "a sound of another format": (
        {"messages": [part("input_audio", data="AA==", format="ogg")]},
        "messages[0].content[0].input_audio.format",
    ),
    "a file by its id": ({"messages": [part("file", file_id="file-1")]}, "messages[0].content[0].file.file_id"),
    "a file without data": ({"messages": [part("file", filename="x.pdf")]}, "messages[0].content[0].file.file_data"),
    "a result without its call": ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    "calls of no kind": ({"messages": [{"role": "assistant", "tool_calls": "f"}]}, "messages[0].tool_calls"),
    "a call of a custom tool": (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}]},
        "messages[0].tool_calls[0].type",
    ),
    "a call without its id": (
        {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "id": None}]}]},
        "messages[0].tool_calls[0].id",
    ),
    "arguments that are an object": (
        {"messages": [{"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}]},
        "messages[0].tool_calls[0].function.arguments",
    ),
    "a former call": (
        {"messages": [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}]},
        "messages[0].function_call",
    ),
    "an earlier sound": (
        {"messages": [{"role": "assistant", "content": None, "audio": {"id": "a"}}]},
        "messages[0].audio",
    ),
    "a model that is a number": ({"model": 1}, "model"),
    "yes for a number": ({"max_tokens": True}, "max_tokens"),
    "a text for a number": ({"temperature": "1"}, "temperature"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "too hot": ({"temperature": 2.5}, "temperature"),
    "no candidates": ({"n": 0}, "n"),
    "a fraction": ({"seed": 1.5}, "seed"),
    "an unknown effort": ({"reasoning_effort": "utmost"}, "reasoning_effort"),
    "stops that are numbers": ({"stop": [1]}, "stop"),
    "modalities that are a text": ({"modalities": "text"}, "modalities"),
    "a user that is a number": ({"user": 1}, "user"),
    "tools of no kind": ({"tools": {}}, "tools"),
    "a custom tool": ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
    "a tool without a name": ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    "a description of no kind": (
        {"tools": [F, {"type": "function", "function": {"name": "f", "description": 1}}]},
        "tools[1].function.description",
    ),
    "parameters of no kind": (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
        "tools[0].function.parameters",
    ),
    "a choice of no kind": ({"tools": [F], "tool_choice": ["auto"]}, "tool_choice"),
    "a choice without a name": (
        {"tools": [F], "tool_choice": {"type": "function", "function": {}}},
        "tool_choice.function.name",
    ),
    "an allowed tool that is not there": (
        {
            "tools": [F],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [G]}},
        },
        "tool_choice.allowed_tools.tools",
    ),
    "an answer of no kind": ({"response_format": {"type": "xml"}}, "response_format"),
    "a schema of no kind": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": []}}},
        "response_format.json_schema.schema",
    ),
    "former tools": ({"functions": [{"name": "f"}]}, "functions"),
    "a former choice": ({"function_call": "auto"}, "function_call"),
    "a spoken answer": ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    "a search": ({"web_search_options": {}}, "web_search_options"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_invalid_request_is_rejected_by_field(name):
    body, param = WRONG[name]
    with pytest.raises(TranslationError) as refused:
        read(**body)
    assert refused.value.param == param


SAME = {name: body for name, (endpoint, body) in LINES.items() if endpoint == dialects.CHAT}
# Equivalent spellings, and fields that the model never sees.
OTHERWISE = {
    "developer first",
    "a name",
    "an answer as it came",
    "a refusal in parts",
    "tools, some allowed",
    "one stop",
    "a nucleus",
    "both limits",
    "hints",
}


@pytest.mark.parametrize("name", SAME.keys() - OTHERWISE)
def test_a_chat_is_unchanged_after_reading_and_writing(name):
    written = requests.write(requests.read(SAME[name]))
    assert (written.body, written.dropped) == (SAME[name], [])


def test_equivalent_spellings_are_normalised():
    assert again({"role": "developer", "content": "x"}).body["messages"] == [{"role": "system", "content": "x"}]
    assert again(stop="x").body["stop"] == ["x"]
    assert "stop" not in again(stop=None).body and "stop" not in again(stop=[]).body
    assert again(max_tokens=5).body["max_completion_tokens"] == 5
    assert again(max_tokens=5, max_completion_tokens=7).body["max_completion_tokens"] == 7
    assert again(user="a", safety_identifier="b").body["user"] == "b"
    assert again(safety_identifier="b", user="a").body["user"] == "b"
    refused = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert again(refused).body["messages"] == [{"role": "assistant", "content": None, "refusal": "No."}]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [G]}}
    chosen = again(tools=[F, G], tool_choice=allowed).body
    assert (chosen["tools"], chosen["tool_choice"]) == ([G], "required")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("data:application/pdf;base64,AA==", Media("document", "application/pdf", "AA==", name="a")),
        ("data:text/Plain;charset=utf-8;base64,AA==", Media("document", "text/plain", "AA==", name="a")),
        ("data:;base64,AA==", Media("document", "application/pdf", "AA==", name="a")),
        ("AA==", Media("document", "application/pdf", "AA==", name="a")),
        ("https://papers.example/a.pdf", Media("document", url="https://papers.example/a.pdf", name="a")),
    ],
)
def test_a_file_is_data_or_a_url(data, expected):
    [(_, [result])] = read(part("file", file_data=data, filename="a")).turns
    assert result == expected


@pytest.mark.parametrize(
    "url", ["data:image/png,AA", "data:text/plain;base64,AA==", "data:base64,AA==", "ftp://x/y.png"]
)
def test_an_invalid_image_is_rejected(url):
    with pytest.raises(TranslationError, match=r"image_url\.url: "):
        read(part("image_url", url=url))


def test_dropped_fields_are_listed():
    name = {"role": "user", "content": "Hello", "name": "Ada"}
    cached = {
        "role": "user",
        "content": [{"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}],
    }
    thought = {"role": "assistant", "content": "x", "reasoning_content": "hm"}
    assert again(name, name, cached, thought, store=True, prompt_cache_key="k", stream=False).dropped == [
        "store",
        "prompt_cache_key",
        "messages.name",
        "messages.content.prompt_cache_breakpoint",
        "reasoning_content",
    ]
    assert again(store=False, stream_options=None).dropped == []
    failed = Request("m", [("tool", ToolResult("c", "x", is_error=True))], {"top_k": 3, "thinking_budget": 100})
    assert requests.write(failed).dropped == ["is_error", "thinking_budget"]
    request = {"model": "m", "input": "x", "metadata": {"a": "b"}, "truncation": "disabled", "include": []}
    assert dialects.read_request(dialects.RESPONSES, request).dropped == ["metadata"]
    assert dialects.as_chat(dialects.RESPONSES, request).dropped == ["metadata"]


@pytest.mark.parametrize(
    "turn",
    [
        ("user", [Media("document", url="https://x/y.pdf")]),
        ("user", [Media("audio", media_type="audio/ogg", data="AA==")]),
        ("user", [ToolCall("c", "f", {})]),
        ("system", [Media("image", url="https://x/y.png")]),
        ("assistant", [Media("image", url="https://x/y.png")]),
        ("tool", ToolResult("c", ["x", Media("image", url="https://x/y.png")])),
    ],
)
def test_what_a_chat_cannot_hold_is_rejected(turn):
    with pytest.raises(TranslationError, match="messages: "):
        requests.write(Request("m", [turn], {}))


def test_empty_turns_can_be_written():
    turns = [("assistant", []), ("assistant", [Refusal(""), Thinking("")]), ("user", []), ("system", [])]
    for message in requests.write(Request("m", turns, {})).body["messages"]:
        assert message["content"] == ""


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=4)
WORDS = st.sampled_from(
    ["type", "role", "content", "text", "function", "name", "id", "image_url", "url", "user", "tool"]
)
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        *requests.SETTINGS,
        *requests.SPECIAL,
        *("model", "messages", "tool_choice", "input", "instructions", "reasoning", "system", "thinking", "metadata"),
    ]
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", "x"]) | JSON, "content": JSON},
        optional={"tool_calls": JSON, "tool_call_id": JSON, "refusal": JSON, "name": JSON},
    ),
    max_size=3,
)


@given(body=st.dictionaries(FIELDS, JSON, max_size=4), messages=MESSAGES | JSON, endpoint=st.sampled_from(ENDPOINTS))
def test_any_request_is_read_or_rejected_by_field(body, messages, endpoint):
    body = {"messages": messages, "input": messages, **body}
    try:
        written = dialects.as_chat(endpoint, body) if endpoint != dialects.CHAT else None
        written = written or requests.write(requests.read(body))
    except TranslationError as refused:
        assert refused.param and len(str(refused)) < 1000
        return
    assert written.body["messages"]


@given(body=st.dictionaries(st.sampled_from(["input", "model", "dimensions", "encoding_format", "user"]), JSON))
def test_any_embedding_request_is_read_or_rejected_by_field(body):
    try:
        assert embeddings.read(body).inputs
    except TranslationError as refused:
        assert refused.param in body or refused.param == "input"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name", ["messages", "input", "tools", "tool_choice", "response_format", "stop", "model"])
def test_an_error_about_a_deep_value_is_short(endpoint, name):
    deep: list[object] = []
    for _ in range(DEEP):
        deep = [deep]
    body = {"model": "m", "messages": [HELLO], "input": "x", "max_tokens": 5, name: deep}
    if name in ("messages", "input"):
        body[name] = [{"role": deep, "type": deep, "content": deep}]
    try:
        dialects.read_request(endpoint, body)
    except TranslationError as refused:
        assert len(str(refused)) < 500


@given(
    temperature=st.floats(0, 2) | st.none(),
    stop=st.lists(st.text(), max_size=4),
    tools=st.lists(st.sampled_from([F, G]), max_size=2),
    texts=st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text()), min_size=1, max_size=5),
)
def test_reading_and_writing_again_changes_nothing(temperature, stop, tools, texts):
    messages = [{"role": role, "content": text} for role, text in texts]
    once = requests.write(read(*messages, temperature=temperature, stop=stop, tools=tools))
    targets.chat(once.body)
    assert requests.write(requests.read(once.body)) == once
