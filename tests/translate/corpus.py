"""Lines that callers send: a name, an endpoint and a body each, written independently of the code under test."""

import base64
from typing import Any

import orjson

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
Line = tuple[str, dict[str, Any]]

PNG_DATA = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
PNG = f"data:image/png;base64,{PNG_DATA}"
PDF_DATA = base64.b64encode(b"%PDF-1.7\n%%EOF\n").decode()
WAV_DATA = base64.b64encode(b"RIFF....WAVEfmt ").decode()
PICTURE_URL = "https://pictures.example/cat.png"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Name of the city"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"name": "get_weather", "description": "The weather of a city now.", "parameters": CITY}
CLOCK = {"name": "get_time", "description": "The time somewhere."}
ORDER = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}},
                "required": ["sku", "count"],
                "additionalProperties": False,
            },
        },
        "note": {"type": ["string", "null"], "enum": ["gift", "express", None]},
    },
    "required": ["items", "note"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "order", "schema": ORDER, "strict": True}}


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "description": "the innermost"}
    for level in range(levels):
        schema = {
            "type": "object",
            "properties": {f"level_{level}": schema},
            "required": [f"level_{level}"],
            "additionalProperties": False,
        }
    return schema


def _chat(*messages: Any, **more: Any) -> Line:
    return CHAT, {"model": "any-model", "messages": list(messages), **more}


def _anthropic(*messages: Any, **more: Any) -> Line:
    return MESSAGES, {"model": "any-model", "max_tokens": 500, "messages": list(messages), **more}


def _response(given: Any, **more: Any) -> Line:
    return RESPONSES, {"model": "any-model", "input": given, **more}


def _system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def _user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def _said(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def _call(number: int, name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": orjson.dumps(arguments).decode()}
    return {"id": f"call_{number}", "type": "function", "function": function}


def _result(number: int, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": content}


def _tools(*functions: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": function} for function in functions]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


HELLO = _user("Say hello to the team.")
BOTH = _tools(WEATHER, CLOCK)
ASKED = _user("What is the weather in Oslo, and what time is it in Lima?")
CALLED = _said(None, tool_calls=[_call(1, "get_weather", city="Oslo"), _call(2, "get_time", zone="America/Lima")])
ANSWERED = (_result(1, "Rain, 7 degrees"), _result(2, "Half past nine"))
LETTER = " ".join(f"Sentence number {n} of a long letter about parcels." for n in range(2000))

LINES: dict[str, Line] = {
    # Plain chats.
    "one question": _chat(HELLO),
    "system first": _chat(_system("You are brief."), HELLO),
    "developer first": _chat({"role": "developer", "content": "Answer in French."}, HELLO),
    "system in the middle": _chat(HELLO, _said("Hello, team."), _system("From now on in German."), _user("Again.")),
    "two systems": _chat(_system("You are brief."), _system("You are kind."), HELLO),
    "system in parts": _chat(_system([_text("You are brief."), _text("You are kind.")]), HELLO),
    "many turns": _chat(*[turn for n in range(8) for turn in (_user(f"Question {n}?"), _said(f"Answer {n}."))], HELLO),
    "the user twice": _chat(_user("First thing."), _user("Second thing.")),
    "the assistant twice": _chat(HELLO, _said("Hello,"), _said("team."), _user("More of it.")),
    "the assistant last": _chat(HELLO, _said("Hello, dear")),
    "parts of text": _chat(_user([_text("Part one."), _text("Part two.")])),
    "an answer in parts": _chat(HELLO, _said([_text("Hello."), _text("Team.")]), _user("Go on.")),
    "a refusal": _chat(_user("Break in."), _said(None, refusal="I will not do that."), _user("Then tell why.")),
    "a refusal in parts": _chat(HELLO, _said([{"type": "refusal", "refusal": "Rather not."}]), _user("Please.")),
    "a name": _chat(_user("Who am I?", name="Ada")),
    "an answer as it came": _chat(
        HELLO, _said("Hello.", refusal=None, annotations=[], audio=None, function_call=None), _user("Thanks.")
    ),
    # Texts.
    "an empty system": _chat(_system(""), HELLO),
    "an empty answer": _chat(HELLO, _said(""), _user("You said nothing.")),
    "nothing but an empty text": _chat(_user("")),
    "emoji": _chat(_user("👩‍👩‍👧 and 🏳️‍🌈 and 👍🏽 are families, flags, thumbs")),
    "right to left": _chat(_user("שלום עולם، مرحبا بالعالم \u200f(mixed) \u202eabc\u202c")),
    "combining": _chat(_user("e\u0301a\u0308 Z\u0351\u036b\u0343 ﬁ Å ≠ Å")),
    "control characters": _chat(_user("bell \x07 escape \x1b[31m delete \x7f feed \x0c tab \t end")),
    "line ends": _chat(_user("one\r\ntwo\nthree\u2028four\u2029five\x85six")),
    "beyond the plane": _chat(_user("\U0001d518\U0001d52b \U0010fffd \ufeff \ufffd")),
    "quotes": _chat(_user('She said "C:\\temp\\new" and </system> & <b>more</b>')),
    "JSON in a text": _chat(_user('{"role":"system","content":"not really"}')),
    "a long letter": _chat(_system("Sum up."), _user(LETTER)),
    "white space around": _chat(_user("  indented\n\n  twice  \n")),
    # Media.
    "an image in base64": _chat(_user([_text("What is this?"), _image(PNG)])),
    "an image by URL": _chat(_user([_text("What is this?"), _image(PICTURE_URL)])),
    "an image in detail": _chat(_user([_image(PNG, detail="high"), _text("Count the cats.")])),
    "two images": _chat(_user([_text("Before:"), _image(PNG), _text("After:"), _image(PNG), _text("Compare.")])),
    "a PDF": _chat(
        _user(
            [
                {
                    "type": "file",
                    "file": {"filename": "bill.pdf", "file_data": f"data:application/pdf;base64,{PDF_DATA}"},
                },
                _text("What is the sum?"),
            ]
        )
    ),
    "a sound": _chat(
        _user([_text("Write this down."), {"type": "input_audio", "input_audio": {"data": WAV_DATA, "format": "wav"}}])
    ),
    # Tools.
    "tools": _chat(ASKED, tools=BOTH),
    "tools, one demanded": _chat(
        ASKED, tools=BOTH, tool_choice={"type": "function", "function": {"name": "get_weather"}}
    ),
    "tools, any demanded": _chat(ASKED, tools=BOTH, tool_choice="required"),
    "tools, none wanted": _chat(ASKED, tools=BOTH, tool_choice="none"),
    "tools, some allowed": _chat(
        ASKED,
        tools=_tools(WEATHER),
        tool_choice={
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [{"type": "function", "function": {"name": "get_weather"}}],
            },
        },
    ),
    "tools, one after the other": _chat(ASKED, tools=BOTH, tool_choice="auto", parallel_tool_calls=False),
    "a strict tool": _chat(ASKED, tools=_tools({**WEATHER, "strict": True})),
    "a deep tool": _chat(ASKED, tools=_tools({"name": "deep", "description": "Deep.", "parameters": _deep(25)})),
    "calls and results": _chat(ASKED, CALLED, *ANSWERED, tools=BOTH),
    "calls, results, and on": _chat(ASKED, CALLED, *ANSWERED, _said("Rain; half past nine."), HELLO, tools=BOTH),
    "words with a call": _chat(
        ASKED,
        _said("Let me look.", tool_calls=[_call(1, "get_weather", city="Oslo")]),
        _result(1, "Sun"),
        tools=BOTH,
    ),
    "a result in parts": _chat(
        ASKED, CALLED, _result(1, [_text("Rain,"), _text("7 degrees")]), _result(2, "Noon"), tools=BOTH
    ),
    "a result that is JSON": _chat(ASKED, CALLED, _result(1, '{"celsius":7}'), _result(2, "[1,2]"), tools=BOTH),
    "results in another order": _chat(ASKED, CALLED, *reversed(ANSWERED), tools=BOTH),
    "a result of no call": _chat(ASKED, _result(9, "Out of the blue"), tools=BOTH),
    "a call with broken arguments": _chat(
        ASKED,
        _said(
            None,
            tool_calls=[
                {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": '{"zone":'}}
            ],
        ),
        _result(1, "unknown"),
        tools=BOTH,
    ),
    # Settings.
    "a schema": _chat(HELLO, response_format=FORMAT),
    "a deep schema": _chat(
        HELLO, response_format={"type": "json_schema", "json_schema": {"name": "deep", "schema": _deep(25)}}
    ),
    "any JSON": _chat(_user("As JSON, please."), response_format={"type": "json_object"}),
    "stops": _chat(HELLO, stop=["END", "\n\nUser:"]),
    "one stop": _chat(HELLO, stop="###"),
    "many stops": _chat(HELLO, stop=["a1", "b2", "c3", "d4", "e5", "f6", "g7"]),
    "sampling": _chat(HELLO, temperature=0.3, max_completion_tokens=50),
    "a nucleus": _chat(HELLO, top_p=0.9, max_tokens=50),
    "both limits": _chat(HELLO, max_tokens=10, max_completion_tokens=50),
    "penalties": _chat(HELLO, frequency_penalty=0.5, presence_penalty=0.25, seed=42),
    "three candidates": _chat(HELLO, n=3),
    "probabilities": _chat(HELLO, logprobs=True, top_logprobs=2),
    "effort": _chat(HELLO, reasoning_effort="high"),
    "no effort": _chat(HELLO, reasoning_effort="none"),
    "hints": _chat(HELLO, user="u-1", metadata={"job": "7"}, store=True, service_tier="flex", prompt_cache_key="k"),
    # Lines of the Responses API.
    "response": _response("Say hello.", instructions="You are brief.", max_output_tokens=100),
    "response with tools": _response(
        [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather in Oslo?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Oslo"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "Rain"},
        ],
        tools=[{"type": "function", **WEATHER, "strict": True}],
    ),
    "response with a schema": _response(
        "An order.", text={"format": {"type": "json_schema", "name": "order", "schema": ORDER, "strict": True}}
    ),
    "response with an image": _response(
        [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": PNG}],
            }
        ],
        reasoning={"effort": "low"},
    ),
    # Lines of Anthropic's Messages.
    "message": _anthropic(HELLO, system="You are brief.", temperature=0.5),
    "message with blocks": _anthropic(
        _user([{"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}}]),
        system=[{"type": "text", "text": "You are brief."}, {"type": "text", "text": "You are kind."}],
        stop_sequences=["END"],
        metadata={"user_id": "u-1"},
    ),
    "message with tools": _anthropic(
        ASKED,
        _said(
            [
                {"type": "text", "text": "I look it up."},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}},
            ]
        ),
        _user(
            [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "Rain"}]},
                {"type": "text", "text": "And now?"},
            ]
        ),
        tools=[{"name": "get_weather", "description": "The weather.", "input_schema": CITY}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    ),
    "message with a failed tool": _anthropic(
        ASKED,
        _said([{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}]),
        _user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": True}]),
        tools=[{"name": "get_weather", "description": "The weather.", "input_schema": CITY}],
    ),
    "message with an image": _anthropic(
        _user(
            [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_DATA}},
                {"type": "text", "text": "What is this?"},
            ]
        )
    ),
    "message with a PDF by URL": _anthropic(
        _user(
            [
                {"type": "document", "source": {"type": "url", "url": "https://papers.example/a.pdf"}},
                {"type": "text", "text": "Sum up."},
            ]
        )
    ),
    "message with thinking": _anthropic(
        HELLO,
        _said(
            [
                {"type": "thinking", "thinking": "They want a hello.", "signature": "c2ln"},
                {"type": "text", "text": "Hello."},
            ]
        ),
        _user("Again."),
        thinking={"type": "enabled", "budget_tokens": 2048},
        max_tokens=8000,
    ),
}

EMBEDDINGS: dict[str, dict[str, Any]] = {
    "a text": {"model": "e", "input": "hello"},
    "texts": {"model": "e", "input": ["hello", "👋", "שלום"]},
    "few dimensions": {"model": "e", "input": ["a"], "dimensions": 256, "encoding_format": "base64"},
    "a kind of input": {"model": "e", "input": "q", "input_type": "search_query", "user": "u-1"},
}
