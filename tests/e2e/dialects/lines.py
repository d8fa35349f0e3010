"""A batch input as people write them: tools, calls and their results, images, structured output."""

import base64
from typing import Any

from tests.support.batches import chat_line

Body = dict[str, Any]
LINES = 200
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(24)).decode()
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place, today.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
            "required": ["city"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "What time it is."}}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "reply",
        "schema": {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]},
    },
}


def plain(n: int) -> Body:
    """A question, with the settings that everybody uses."""
    return {"messages": [{"role": "user", "content": f"Question {n}?"}], "temperature": 0.3, "max_tokens": 200}


def system(n: int) -> Body:
    """Instructions, and a conversation in several languages."""
    return {
        "messages": [
            {"role": "system", "content": "Answer briefly."},
            {"role": "user", "content": "Grüße, 你好, مرحبا 👋🏽"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": f"Question {n}, again?"},
        ],
        "stop": ["END", "STOP"],
    }


def tools(n: int) -> Body:
    """A call that must be made."""
    messages = [{"role": "user", "content": f"How is the weather in city {n}?"}]
    return {"messages": messages, "tools": [WEATHER, CLOCK], "tool_choice": "required"}


def called(n: int) -> Body:
    """Two calls at once, with their results."""
    asked = [
        {"id": f"call_a{n}", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}},
        {"id": f"call_b{n}", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
    ]
    return {
        "messages": [
            {"role": "user", "content": "Weather and time in Oslo?"},
            {"role": "assistant", "content": None, "tool_calls": asked},
            {"role": "tool", "tool_call_id": f"call_a{n}", "content": '{"celsius": 4}'},
            {"role": "tool", "tool_call_id": f"call_b{n}", "content": "It is noon."},
            {"role": "user", "content": f"Summarise it, please, number {n}."},
        ],
        "tools": [WEATHER, CLOCK],
    }


def image(n: int) -> Body:
    """A picture and a question about it."""
    parts = [
        {"type": "text", "text": f"What is in picture {n}?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    return {"messages": [{"role": "user", "content": parts}]}


def structured(n: int) -> Body:
    """An answer that has to be JSON."""
    return {"messages": [{"role": "user", "content": f"Reply {n} as JSON."}], "response_format": SCHEMA}


def refused(n: int) -> Body:
    """A line that the model refuses."""
    return {"messages": [{"role": "user", "content": f"please refuse-this, {n}"}]}


KINDS = (plain, system, tools, called, image, structured, plain, tools, refused, plain)


def kind(n: int) -> str:
    """What line `n` (from 1) is, by the name of the function that makes it."""
    return KINDS[n % len(KINDS)].__name__


def lines() -> list[Body]:
    """All of them; some ids are such as not every provider takes."""
    return [chat_line(custom_id(n), **KINDS[n % len(KINDS)](n)) for n in range(1, LINES + 1)]


def custom_id(n: int) -> str:
    """The id of line `n`: plain, with spaces, in other scripts, or long."""
    return (f"line-{n}", f"line {n}/é", f"строка #{n}", f"{n:0>120}")[n % 4]
