"""Requests for Gemini, validated with the types of Google's SDK (contracts: providers, 28.3)."""

import base64
import itertools

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from app.lib import json
from app.translate.chat import requests
from app.translate.errors import TranslationError
from app.translate.gemini import requests as gemini_requests
from app.translate.gemini.models import traits
from app.translate.gemini.parts import SIGNED, UNSIGNED
from app.translate.neutral import Media, Request, Thinking, ToolCall, ToolResult

MODEL = "gemini-2.5-flash"
NEWER = "gemini-3-pro-preview"
HELLO = [{"role": "user", "content": "Hello"}]
SAID = [{"role": "user", "parts": [{"text": "Hello"}]}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
CLOCK = {"type": "function", "function": {"name": "clock"}}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Today.", "parameters": SCHEMA, "strict": True},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True}}
PNG = "data:image/png;base64,iVBORw0KGgo="


def read(**body):
    return requests.read({"model": MODEL, "messages": HELLO, **body})


def checked(written):
    """Write a request and validate each part with the SDK's types, which reject unknown fields."""
    body = written.body
    assert set(body) <= {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}
    for content in body["contents"]:
        types.Content.model_validate(content)
    if "systemInstruction" in body:
        types.Content.model_validate(body["systemInstruction"])
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    for tool in body.get("tools", []):
        types.Tool.model_validate(tool)
    json.dumps(body)
    return written


def write(request, **flavour):
    return checked(gemini_requests.write(request, **flavour))


def written(**body):
    return write(read(**body))


def test_a_plain_chat():
    output = written(
        messages=[{"role": "developer", "content": "Be brief."}, *HELLO], temperature=0.3, max_completion_tokens=50
    )

    assert output.body == {
        "contents": SAID,
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0.3, "maxOutputTokens": 50},
    }
    assert output.dropped == []


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ({"max_tokens": 5}, {"maxOutputTokens": 5}),
        ({"temperature": 2, "top_p": 0.5, "top_k": 40}, {"temperature": 2, "topP": 0.5, "topK": 40}),
        ({"stop": "END"}, {"stopSequences": ["END"]}),
        ({"stop": ["1", "2", "3", "4", "5"]}, {"stopSequences": ["1", "2", "3", "4", "5"]}),
        ({"n": 3}, {"candidateCount": 3}),
        ({"n": 1}, None),
        ({"seed": 7}, {"seed": 7}),
        ({"logprobs": True, "top_logprobs": 2}, {"responseLogprobs": True, "logprobs": 2}),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
        ({"response_format": FORMAT}, {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}),
        ({"modalities": ["text"]}, None),
        ({"parallel_tool_calls": True, "service_tier": "auto", "metadata": {}, "logit_bias": {}}, None),
        ({"reasoning_effort": "none"}, {"thinkingConfig": {"thinkingBudget": 0}}),
        ({"reasoning_effort": "minimal"}, {"thinkingConfig": {"thinkingBudget": 1024}}),
        ({"reasoning_effort": "low"}, {"thinkingConfig": {"thinkingBudget": 1024}}),
        ({"reasoning_effort": "medium"}, {"thinkingConfig": {"thinkingBudget": 8192}}),
        ({"reasoning_effort": "high"}, {"thinkingConfig": {"thinkingBudget": 24576}}),
        ({"reasoning_effort": "low", "model": NEWER}, {"thinkingConfig": {"thinkingLevel": "LOW"}}),
        ({"reasoning_effort": "xhigh", "model": NEWER}, {"thinkingConfig": {"thinkingLevel": "HIGH"}}),
        ({"reasoning_effort": "none", "model": "gemma-3-27b-it"}, None),
    ],
)
def test_settings(given, config):
    output = written(**given)

    assert output.body.get("generationConfig") == config
    assert output.dropped == []


@pytest.mark.parametrize(
    ("given", "dropped"),
    [
        ({"user": "me"}, ["user"]),
        ({"metadata": {"a": "b"}, "store": True}, ["metadata", "store"]),
        ({"logit_bias": {"17": 5}, "service_tier": "flex"}, ["logit_bias", "service_tier"]),
        ({"parallel_tool_calls": False}, ["parallel_tool_calls"]),
        ({"verbosity": "low"}, ["verbosity"]),
        ({"prediction": {"type": "content", "content": "x"}}, ["prediction"]),
        ({"seed": 2**31}, ["seed"]),
        ({"reasoning_effort": "high", "model": "gemini-2.0-flash"}, ["reasoning_effort"]),
        ({"tools": [WEATHER]}, ["strict"]),
    ],
)
def test_unsupported_settings_are_dropped_and_listed(given, dropped):
    output = written(**given)

    assert sorted(output.dropped) == dropped
    assert "generationConfig" not in output.body


@pytest.mark.parametrize(
    ("budget", "config"),
    [(0, {"thinkingBudget": 0}), (2048, {"thinkingBudget": 2048, "includeThoughts": True})],
)
def test_a_thinking_budget_overrides_an_effort(budget, config):
    request = read(reasoning_effort="low")
    request.settings["thinking_budget"] = budget

    assert write(request).body["generationConfig"] == {"thinkingConfig": config}
    request.model = "gemini-1.5-pro"
    assert "generationConfig" not in write(request).body


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("gemini-2.5-pro", "budget"),
        ("models/gemini-2.5-flash-lite", "budget"),
        ("publishers/google/models/gemini-3.5-flash", "level"),
        ("gemini-flash-latest", "level"),
        ("gemini-2.0-flash", None),
        ("gemini-robotics-er-1.5-preview", None),
        ("gemma-3-27b-it", None),
    ],
)
def test_traits_follow_from_the_model_name(model, thinking):
    assert traits(model).thinking == thinking
    assert traits(model).signed_calls is (thinking == "level")


def test_tools_share_one_declaration():
    output = written(tools=[WEATHER, CLOCK])

    declared = [{"name": "weather", "description": "Today.", "parametersJsonSchema": SCHEMA}, {"name": "clock"}]
    assert output.body["tools"] == [{"functionDeclarations": declared}]
    assert "toolConfig" not in output.body


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "clock"}}, {"mode": "ANY", "allowedFunctionNames": ["clock"]}),
    ],
)
def test_tool_choices(choice, config):
    output = written(tools=[WEATHER, CLOCK], tool_choice=choice)

    assert output.body["toolConfig"] == {"functionCallingConfig": config}
    assert "toolConfig" not in written(tool_choice=choice).body


def called(*results, model=MODEL):
    calls = [{**CALL, "id": f"call_{number}"} for number in (1, 2)]
    messages = [
        *HELLO,
        {"role": "assistant", "content": "Let me see.", "tool_calls": calls},
        *({"role": "tool", "tool_call_id": f"call_{number}", "content": text} for number, text in results),
        {"role": "user", "content": "So?"},
    ]
    return read(messages=messages, model=model)


def test_results_name_the_function_of_their_call():
    contents = write(called((2, '{"c":4}'), (1, [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]))).body[
        "contents"
    ]

    assert [content["role"] for content in contents] == ["user", "model", "user"]
    call = {"name": "weather", "args": {"city": "Oslo"}}
    assert contents[1]["parts"] == [
        {"text": "Let me see."},
        {"functionCall": {"id": "call_1", **call}},
        {"functionCall": {"id": "call_2", **call}},
    ]
    assert contents[2]["parts"] == [
        {"functionResponse": {"id": "call_2", "name": "weather", "response": {"result": '{"c":4}'}}},
        {"functionResponse": {"id": "call_1", "name": "weather", "response": {"result": "a\nb"}}},
        {"text": "So?"},
    ]


def test_a_result_without_its_call_is_rejected():
    with pytest.raises(TranslationError) as refused:
        written(messages=[*HELLO, {"role": "tool", "tool_call_id": "call_9", "content": "x"}])

    assert refused.value.param == "messages.tool_call_id"


def test_calls_of_other_models_get_the_placeholder_signature():
    parts = write(called((1, "x"), (2, "y"), model=NEWER)).body["contents"][1]["parts"]

    assert [part.get("thoughtSignature") for part in parts] == [None, UNSIGNED, None]
    assert base64.b64decode(UNSIGNED.replace("_", "/"), validate=True)


def test_only_signatures_of_gemini_are_sent_back():
    text = [Thinking("hm", "of-another"), Thinking("", f"{SIGNED}c2ln"), ToolCall("call_1", "clock", {}), "Done."]
    request = Request(NEWER, [("user", "Hello"), ("assistant", text)], {})
    output = write(request)

    call = {"functionCall": {"id": "call_1", "name": "clock", "args": {}}, "thoughtSignature": "c2ln"}
    assert output.body["contents"][1]["parts"] == [call, {"text": "Done."}]
    assert output.dropped == ["reasoning_content"]


def test_an_error_and_an_image_as_results():
    result = ToolResult("call_1", ["Broken.", Media("image", media_type="image/png", data="AAAA")], is_error=True)
    turns = [("user", "Hello"), ("assistant", [ToolCall("call_1", "clock", "")]), ("tool", result)]
    part = write(Request(NEWER, turns, {})).body["contents"][2]["parts"][0]

    assert part["functionResponse"]["response"] == {"error": "Broken."}
    assert part["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    with pytest.raises(TranslationError):
        write(Request(MODEL, turns, {}))


@pytest.mark.parametrize(
    ("part", "parts"),
    [
        (
            {"type": "image_url", "image_url": {"url": PNG}},
            [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}],
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA"}},
            [{"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}}],
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a.JPG?b=c.png"}},
            [{"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a.JPG?b=c.png"}}],
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a"}},
            [{"fileData": {"fileUri": "https://example.com/a"}}],
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            [{"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}}],
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
            [{"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}],
        ),
        ({"type": "text", "text": ""}, []),
    ],
)
def test_parts(part, parts):
    output = written(messages=[{"role": "user", "content": [{"type": "text", "text": "Look:"}, part]}])

    assert output.body["contents"] == [{"role": "user", "parts": [{"text": "Look:"}, *parts]}]


def image(url, **more):
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, **more}}]}]


def test_accepted_urls_depend_on_the_service():
    for request, flavour in (
        (read(messages=image("https://example.com/a")), "vertex"),
        (read(messages=image("https://[nowhere/a.png")), "gemini"),
    ):
        with pytest.raises(TranslationError):
            gemini_requests.write(request, flavour=flavour)


def test_the_detail_of_an_image_is_a_hint():
    assert written(messages=image(PNG, detail="high")).dropped == ["detail"]
    assert written(messages=image(PNG, detail="auto")).dropped == []


def test_consecutive_turns_of_a_role_are_merged_and_system_turns_come_first():
    messages = [
        {"role": "system", "content": "One."},
        {"role": "user", "content": "a"},
        {"role": "system", "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": ""}]},
        {"role": "user", "content": [{"type": "text", "text": "b"}]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": "Or yes."},
    ]
    output = written(messages=messages)

    assert output.body["systemInstruction"] == {"parts": [{"text": "One."}, {"text": "Two."}]}
    assert output.body["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "No."}, {"text": "Or yes."}]},
    ]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"stop": list("abcdef")}, "stop"),
        ({"modalities": ["video"]}, "modalities"),
        ({"messages": [{"role": "system", "content": "Alone."}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        (
            {
                "messages": [
                    *HELLO,
                    {
                        "role": "assistant",
                        "tool_calls": [{**CALL, "function": {"name": "weather", "arguments": '{"city":'}}],
                    },
                ]
            },
            "messages.tool_calls.function.arguments",
        ),
    ],
)
def test_unsupported_requests_are_rejected_by_field(body, param):
    with pytest.raises(TranslationError) as refused:
        written(**body)

    assert refused.value.param == param


def test_system_messages_must_be_text():
    with pytest.raises(TranslationError):
        write(Request(MODEL, [("system", [Media("image", url="https://example.com/a.png")]), ("user", "Hello")], {}))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TURNS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXTS), max_size=8)


@given(TURNS)
def test_all_texts_are_kept_in_order(turns):
    turns = [("user", "first"), *turns]
    output = write(requests.read({"model": MODEL, "messages": [{"role": r, "content": t} for r, t in turns]})).body

    contents = output["contents"]
    roles = [content["role"] for content in contents]
    assert all(one != other for one, other in itertools.pairwise(roles))
    texts = [(content["role"], part["text"]) for content in contents for part in content["parts"]]
    names = {"user": "user", "assistant": "model"}
    assert texts == [(names[role], text) for role, text in turns if role in names and text]
    system = [part["text"] for part in output.get("systemInstruction", {"parts": []})["parts"]]
    assert system == [text for role, text in turns if role == "system" and text]
