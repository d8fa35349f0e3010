"""Requests for Cohere, validated with the SDK's types (contracts: providers, 6 and 28.5)."""

import inspect

import orjson
import pytest
from cohere.core.pydantic_utilities import UniversalBaseModel
from cohere.types import ChatMessageV2, ResponseFormatV2, Thinking, ToolV2
from cohere.v2.client import V2Client
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.translate.chat import requests
from app.translate.cohere import requests as cohere_requests
from app.translate.errors import TranslationError
from app.translate.neutral import Media, Request, ToolResult
from app.translate.neutral import Thinking as Thought

# All fields that a batch row may have.
ROW = {
    "messages",
    "tools",
    "temperature",
    "p",
    "k",
    "frequency_penalty",
    "presence_penalty",
    "max_tokens",
    "seed",
    "logprobs",
    "reasoning",
    "thinking_budget",
}
LINE = set(inspect.signature(V2Client.chat).parameters) - {"self", "request_options"}
HELLO = [{"role": "user", "content": "Hello"}]
TEXT = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CLOCK = {"type": "function", "function": {"name": "clock"}}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Today.", "parameters": SCHEMA, "strict": True},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
PNG = "data:image/png;base64,AAAA"
FORMAT = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True}}


def read(**body):
    return requests.read({"model": "m", "messages": HELLO, **body})


def row(**body):
    return checked(cohere_requests.write(read(**body)), ROW, is_row=True)


def line(**body):
    written = checked(cohere_requests.write_line(read(**body)), LINE, is_row=False)
    assert written.body.pop("model") == "m"
    return written


def checked(written, fields, *, is_row):
    """Fields and types of the SDK, except where batch rows differ."""
    body = orjson.loads(orjson.dumps(written.body))
    assert set(body) <= fields
    if is_row:
        for message in body["messages"]:
            assert isinstance(message.get("content", []), list)
            for part in message.get("content", []):
                if part["type"] == "image_url":
                    part["image_url"] = {"url": part["image_url"]}
        for tool in body.get("tools", []):
            tool["function"]["parameters"] = orjson.loads(tool["function"]["parameters"])
    kinds = {"tools": list[ToolV2], "thinking": Thinking, "response_format": ResponseFormatV2}
    for name, kind in {"messages": list[ChatMessageV2], **kinds}.items():
        if name in body:
            no_more(TypeAdapter(kind).validate_python(body[name], strict=True))
    return written


def no_more(value):
    if isinstance(value, UniversalBaseModel):
        assert not value.model_extra, (type(value), value.model_extra)
        for name in type(value).model_fields:
            no_more(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            no_more(item)


# (fields of the chat, members of the row besides its messages, dropped fields; then the same for a single call)
SETTINGS = {
    "max_tokens": ({"max_tokens": 5}, {"max_tokens": 5}, [], {"max_tokens": 5}, []),
    "max_completion_tokens": ({"max_completion_tokens": 5}, {"max_tokens": 5}, [], {"max_tokens": 5}, []),
    "temperature": ({"temperature": 0.5}, {"temperature": 0.5}, [], {"temperature": 0.5}, []),
    "top_p": ({"top_p": 0.5}, {"p": 0.5}, [], {"p": 0.5}, []),
    "top_p of all": ({"top_p": 1}, {"p": 0.99}, [], {"p": 0.99}, []),
    "top_p of none": ({"top_p": 0}, {"p": 0.01}, [], {"p": 0.01}, []),
    "top_k": ({"top_k": 7}, {"k": 7}, [], {"k": 7}, []),
    "top_k too large": ({"top_k": 700}, {"k": 500}, [], {"k": 500}, []),
    "penalties": (
        {"frequency_penalty": 0.5, "presence_penalty": 1.5},
        {"frequency_penalty": 0.5, "presence_penalty": 1.0},
        [],
        {"frequency_penalty": 0.5, "presence_penalty": 1.0},
        [],
    ),
    "negative penalties": (
        {"frequency_penalty": -0.5, "presence_penalty": -2},
        {},
        ["frequency_penalty", "presence_penalty"],
        {},
        ["frequency_penalty", "presence_penalty"],
    ),
    "seed": ({"seed": 7}, {"seed": 7}, [], {"seed": 7}, []),
    "negative seed": ({"seed": -7}, {}, ["seed"], {}, ["seed"]),
    "logprobs": ({"logprobs": True}, {"logprobs": True}, [], {"logprobs": True}, []),
    "top_logprobs": ({"top_logprobs": 3}, {}, ["top_logprobs"], {}, ["top_logprobs"]),
    "stop": ({"stop": "END"}, {}, ["stop"], {"stop_sequences": ["END"]}, []),
    "n of one": ({"n": 1}, {}, [], {}, []),
    "text": ({"modalities": ["text"], "response_format": {"type": "text"}}, {}, [], {}, []),
    "many calls": ({"parallel_tool_calls": True}, {}, [], {}, []),
    "one call": ({"parallel_tool_calls": False}, {}, ["parallel_tool_calls"], {}, ["parallel_tool_calls"]),
    "no effort": (
        {"reasoning_effort": "none"},
        {"reasoning": False},
        [],
        {"thinking": {"type": "disabled"}},
        [],
    ),
    "low effort": (
        {"reasoning_effort": "low"},
        {"reasoning": True, "thinking_budget": 1024},
        [],
        {"thinking": {"type": "enabled", "token_budget": 1024}},
        [],
    ),
    "high effort": ({"reasoning_effort": "high"}, {"reasoning": True}, [], {"thinking": {"type": "enabled"}}, []),
    "hints": (
        {
            "user": "u",
            "metadata": {"a": "b"},
            "service_tier": "flex",
            "verbosity": "low",
            "logit_bias": {"1": 2},
            "prediction": {"type": "content", "content": "x"},
            "store": True,
        },
        {},
        ["logit_bias", "metadata", "prediction", "service_tier", "store", "user", "verbosity"],
        {},
        ["logit_bias", "metadata", "prediction", "service_tier", "store", "user", "verbosity"],
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name):
    request, of_row, left_of_row, of_line, left_of_line = SETTINGS[name]

    written, single = row(**request), line(**request)

    assert (written.body, sorted(written.dropped)) == ({"messages": TEXT, **of_row}, left_of_row)
    assert (single.body, sorted(single.dropped)) == ({"messages": TEXT, **of_line}, left_of_line)


@pytest.mark.parametrize(
    ("effort", "budget", "of_row", "thinking"),
    [
        ("low", 77, {"reasoning": True, "thinking_budget": 77}, {"type": "enabled", "token_budget": 77}),
        (None, 77, {"reasoning": True, "thinking_budget": 77}, {"type": "enabled", "token_budget": 77}),
        (None, 0, {"reasoning": False}, {"type": "disabled"}),
    ],
)
def test_a_thinking_budget_overrides_an_effort(effort, budget, of_row, thinking):
    for order in (("reasoning_effort", "thinking_budget"), ("thinking_budget", "reasoning_effort")):
        values = {"reasoning_effort": effort, "thinking_budget": budget}
        settings = {name: values[name] for name in order if values[name] is not None}
        request = Request("m", [("user", "Hello")], settings)
        assert cohere_requests.write(request).body == {"messages": TEXT, **of_row}
        assert cohere_requests.write_line(request).body["thinking"] == thinking


REFUSED = {
    "several answers": ({"n": 2}, "n", True),
    "sound": ({"modalities": ["text", "audio"]}, "modalities", True),
    "a schema": ({"response_format": FORMAT}, "response_format", False),
    "json": ({"response_format": {"type": "json_object"}}, "response_format", False),
    "a call": ({"tools": [WEATHER], "tool_choice": "required"}, "tool_choice", False),
    "one tool": (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
        "tool_choice",
        False,
    ),
    "heard": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}],
                }
            ]
        },
        "messages",
        True,
    ),
    "a document": (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA"}}]}]},
        "messages",
        True,
    ),
    "an image of the system": (
        {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}]},
        "messages[0].content[0].type",
        True,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_requests_are_rejected_by_field(name):
    request, param, everywhere = REFUSED[name]

    with pytest.raises(TranslationError) as refused:
        row(**request)
    assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")
    if everywhere:
        with pytest.raises(TranslationError):
            line(**request)
    else:
        line(**request)


def test_batch_rows_have_tool_schemas_as_json_text():
    written, single = row(tools=[WEATHER, CLOCK]), line(tools=[WEATHER, CLOCK])

    weather, clock = (tool["function"] for tool in written.body["tools"])
    assert weather == {"name": "weather", "description": "Today.", "parameters": orjson.dumps(SCHEMA).decode()}
    assert clock == {"name": "clock", "parameters": '{"type":"object","properties":{}}'}
    assert written.dropped == ["strict"]
    assert [tool["function"]["parameters"] for tool in single.body["tools"]] == [
        SCHEMA,
        {"type": "object", "properties": {}},
    ]
    assert (single.body["strict_tools"], single.dropped) == (True, [])


def test_tool_choice_none_drops_the_tools_of_batch_rows():
    assert "tools" not in row(tools=[CLOCK], tool_choice="none").body
    assert row(tools=[CLOCK], tool_choice="auto").body["tools"]
    single = line(tools=[CLOCK], tool_choice="none").body
    assert (single["tool_choice"], len(single["tools"])) == ("NONE", 1)
    assert "tool_choice" not in line(tools=[CLOCK], tool_choice="auto").body
    assert line(tools=[CLOCK], tool_choice="required").body["tool_choice"] == "REQUIRED"


def test_a_forced_tool_is_the_only_one_sent():
    choice = {"type": "function", "function": {"name": "weather"}}
    single = line(tools=[CLOCK, WEATHER], tool_choice=choice).body

    assert [tool["function"]["name"] for tool in single["tools"]] == ["weather"]
    assert single["tool_choice"] == "REQUIRED"
    with pytest.raises(TranslationError):
        line(tools=[CLOCK], tool_choice=choice)


def test_single_calls_support_response_formats():
    assert line(response_format={"type": "json_object"}).body["response_format"] == {"type": "json_object"}
    assert line(response_format=FORMAT).body["response_format"] == {"type": "json_object", "json_schema": SCHEMA}


def test_a_conversation():
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image("https://x/y.png", detail="low")]},
        {"role": "assistant", "content": "A cat.", "reasoning_content": "Fur."},
        {"role": "user", "content": [image(PNG)]},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL], "reasoning_content": "I ask."},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "4"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "5"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ]

    written, single = row(messages=messages), line(messages=messages)

    assert written.body["messages"] == [
        {"role": "system", "content": [text("Be brief.")]},
        {"role": "user", "content": [text("Look"), {"type": "image_url", "image_url": "https://x/y.png"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Fur."}, text("A cat.")]},
        {"role": "user", "content": [{"type": "image_url", "image_url": PNG}]},
        {"role": "assistant", "tool_calls": [CALL], "tool_plan": "I ask.", "content": [text("Let me see.")]},
        {"role": "tool", "tool_call_id": "call_1", "content": [text("4")]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": [text("5")]},
        {"role": "assistant", "content": [text("No.")]},
    ]
    assert written.dropped == ["detail"]
    assert single.body["messages"][1]["content"][1] == image("https://x/y.png", detail="low")
    assert single.body["messages"][3]["content"] == [image(PNG)]
    assert single.dropped == []


def test_tool_results():
    turns = [("tool", ToolResult("call_1", "x", is_error=True)), ("assistant", [Thought("", redacted="abc"), "Hi"])]

    written = cohere_requests.write(Request("m", turns, {}))

    assert written.body["messages"] == [
        {"role": "tool", "tool_call_id": "call_1", "content": [text("x")]},
        {"role": "assistant", "content": [text("Hi")]},
    ]
    assert written.dropped == ["is_error"]
    with pytest.raises(TranslationError):
        cohere_requests.write(Request("m", [("tool", ToolResult("call_1", [Media("image", url="https://x")]))], {}))


def text(texts):
    return {"type": "text", "text": texts}


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


PARTS = st.sampled_from([text("a"), image(PNG), image("https://x/y.png"), text("")])
MESSAGES = st.one_of(
    st.builds(lambda text: {"role": "system", "content": text}, st.text(max_size=5)),
    st.builds(lambda parts: {"role": "user", "content": parts}, st.lists(PARTS, max_size=3) | st.text(max_size=5)),
    st.builds(
        lambda text, calls, thought: {
            "role": "assistant",
            "content": text,
            **({"tool_calls": calls} if calls else {}),
            **({"reasoning_content": thought} if thought else {}),
        },
        st.none() | st.text(max_size=5),
        st.lists(st.just(CALL), max_size=2),
        st.text(max_size=3),
    ),
    st.builds(lambda text: {"role": "tool", "tool_call_id": "call_1", "content": text}, st.text(max_size=5)),
)


@given(st.lists(MESSAGES, min_size=1, max_size=5), st.sampled_from([[], [WEATHER], [WEATHER, CLOCK]]))
def test_any_request_matches_the_types(messages, tools):
    row(messages=messages, tools=tools)
    line(messages=messages, tools=tools)
