"""What Cohere's batches and single calls take and refuse, by Cohere's pages and the SDK's `V2Client.chat`.

- https://docs.cohere.com/reference/chat (settings and their bounds)
- https://docs.cohere.com/docs/structured-outputs (no response format beside tools; `ResponseFormatV2` of the SDK)
- https://docs.cohere.com/docs/batch-api (fields of batches)
"""

import pytest

from app.translate.chat import requests
from app.translate.cohere import answers
from app.translate.cohere import requests as cohere_requests
from app.translate.errors import TranslationError
from app.translate.neutral import Thinking

MODEL = "command-a-03-2025"
HELLO = [{"role": "user", "content": "Hello"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "reply", "schema": CITY}}
ANY_JSON = {"type": "json_object"}


def line(**fields):
    return cohere_requests.write_line(requests.read({"model": MODEL, "messages": HELLO, **fields}))


def row(**fields):
    return cohere_requests.write(requests.read({"model": MODEL, "messages": HELLO, **fields}))


def test_a_schema_beside_tools_becomes_a_tool():
    output = line(tools=[WEATHER], response_format=FORMAT)

    assert "response_format" not in output.body
    assert [made["function"]["name"] for made in output.body["tools"]] == ["weather", "batchgate_answer"]
    assert output.body["tools"][1]["function"]["parameters"] == CITY
    assert output.body["tool_choice"] == "REQUIRED"
    assert output.dropped == []


@pytest.mark.parametrize(
    ("choice", "names", "expected"),
    [
        ("required", ["weather"], "REQUIRED"),
        ({"type": "function", "function": {"name": "weather"}}, ["weather"], "REQUIRED"),
        ("none", ["batchgate_answer"], "REQUIRED"),
        ("auto", ["weather", "batchgate_answer"], "REQUIRED"),
    ],
)
def test_the_choice_decides_between_tools_and_schema(choice, names, expected):
    output = line(tools=[WEATHER], response_format=FORMAT, tool_choice=choice)

    assert [made["function"]["name"] for made in output.body["tools"]] == names
    assert output.body["tool_choice"] == expected


def test_any_json_beside_tools_is_a_hint():
    output = line(tools=[WEATHER], response_format=ANY_JSON)

    assert "response_format" not in output.body
    assert output.dropped == ["response_format"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [(FORMAT, {"type": "json_object", "json_schema": CITY}), (ANY_JSON, {"type": "json_object"})],
)
def test_without_tools_a_format_is_sent(spec, expected):
    assert line(response_format=spec).body["response_format"] == expected


def test_a_call_of_the_answering_tool_is_the_answer():
    call = {"id": "1", "type": "function", "function": {"name": "batchgate_answer", "arguments": '{"city":"Oslo"}'}}
    message = {"role": "assistant", "tool_plan": "I will answer.", "tool_calls": [call]}
    [choice] = answers.read({"message": message, "finish_reason": "TOOL_CALL"}).choices

    assert choice.parts == [Thinking("I will answer."), '{"city":"Oslo"}']
    assert choice.finish == "stop"


# (fields, what a single call gets, dropped fields).
SETTINGS = {
    "penalties": (
        {"frequency_penalty": 0.5, "presence_penalty": 0.5},
        {"frequency_penalty": 0.5, "presence_penalty": 0.5},
        [],
    ),
    "penalties beyond": ({"frequency_penalty": 1.5}, {"frequency_penalty": 1.0}, []),
    "rewards": ({"presence_penalty": -0.5}, {}, ["presence_penalty"]),
    "nucleus": ({"top_p": 1}, {"p": 0.99}, []),
    "five stops": ({"stop": list("abcde")}, {"stop_sequences": list("abcde")}, []),
    "no thinking": ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, []),
    "a little thinking": ({"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "token_budget": 1024}}, []),
    "hints": ({"logit_bias": {"1": 2}, "user": "u"}, {}, ["logit_bias", "user"]),
}


@pytest.mark.parametrize(("fields", "expected", "dropped"), SETTINGS.values(), ids=SETTINGS)
def test_settings_are_sent_or_listed(fields, expected, dropped):
    output = line(**fields)

    assert {name: value for name, value in output.body.items() if name not in ("model", "messages")} == expected
    assert output.dropped == dropped


SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}
REFUSED = {
    "more stops than five": (line, {"stop": list("abcdef")}, "stop"),
    "several answers": (line, {"n": 2}, "n"),
    "several answers in a batch": (row, {"n": 2}, "n"),
    "a schema in a batch": (row, {"response_format": FORMAT}, "response_format"),
    "any JSON in a batch": (row, {"response_format": ANY_JSON}, "response_format"),
    "a demanded call in a batch": (row, {"tools": [WEATHER], "tool_choice": "required"}, "tool_choice"),
    "sound": (line, {"messages": [{"role": "user", "content": [SOUND]}]}, "messages"),
    "a document": (row, {"messages": [{"role": "user", "content": [PDF]}]}, "messages"),
    "sound in the answer": (line, {"modalities": ["text", "audio"]}, "modalities"),
    "a tool of the gateway's name": (
        line,
        {"tools": [{"type": "function", "function": {"name": "batchgate_answer"}}]},
        "tools",
    ),
    "an answer in a list beside tools": (
        line,
        {
            "tools": [WEATHER],
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}},
        },
        "response_format",
    ),
}


@pytest.mark.parametrize(("write", "fields", "param"), REFUSED.values(), ids=REFUSED)
def test_what_cohere_cannot_do_is_refused_before_sending(write, fields, param):
    with pytest.raises(TranslationError) as refused:
        write(**fields)
    assert refused.value.param == param
