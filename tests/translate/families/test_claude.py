"""What each Claude model takes and refuses, at Anthropic, Bedrock and Vertex, by the vendors' pages.

- structured outputs and strict tools: https://platform.claude.com/docs/en/build-with-claude/structured-outputs, and the
  SDK's `anthropic.lib._parse._transform`
- thinking: https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks
- images: https://platform.claude.com/docs/en/build-with-claude/vision (URLs are not fetched at Bedrock and Vertex)
- strict tools at Bedrock: https://github.com/BerriAI/litellm/issues/33193 (refused by some models, taken by others)
"""

import pytest
from anthropic.lib._parse._transform import transform_schema

from app.lib import json
from app.translate.chat import requests
from app.translate.converse import families
from app.translate.errors import TranslationError
from app.translate.messages import answers
from app.translate.messages import requests as messages_requests
from app.translate.neutral import Thinking, ToolCall
from tests.translate.messages_types import valid

HELLO = [{"role": "user", "content": "Hello"}]
V3, V4, V4_5, V4_6, V5, V5_5 = (
    "claude-3-5-sonnet-20241022",
    "claude-sonnet-4-20250514",
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-5",
    "claude-opus-5-5",
)
FLAVOURS = ("anthropic", "bedrock", "vertex")
FREE = {"type": "object", "properties": {"labels": {"type": "object"}}, "required": ["labels"]}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLOSED = {**CITY, "additionalProperties": False}


def written(model=V4_5, *, flavour="anthropic", messages=HELLO, **fields):
    output = messages_requests.write(requests.read({"model": model, "messages": messages, **fields}), flavour=flavour)
    valid({"model": model, **{name: value for name, value in output.body.items() if name != "anthropic_version"}})
    return output


def of_schema(schema, **more):
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, **more}}


def tool(parameters, name="f", **more):
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


# Schemas that the SDK converts in the same way, and what Claude does not enforce of them.
AS_THE_SDK = {
    "plain": (CLOSED, []),
    "open": (CITY, []),
    "numbers": (
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 10}}},
        ["maximum", "minimum"],
    ),
    "a number, described": (
        {"type": "object", "properties": {"n": {"type": "number", "description": "A number", "multipleOf": 2}}},
        ["multipleOf"],
    ),
    "lengths": (
        {"type": "object", "properties": {"s": {"type": "string", "minLength": 2, "maxLength": 3}}},
        ["maxLength", "minLength"],
    ),
    "a pattern": ({"type": "object", "properties": {"s": {"type": "string", "pattern": "^a"}}}, ["pattern"]),
    "a known format": ({"type": "object", "properties": {"s": {"type": "string", "format": "date"}}}, []),
    "another format": ({"type": "object", "properties": {"s": {"type": "string", "format": "phone"}}}, ["format"]),
    "a list": (
        {"type": "object", "properties": {"l": {"type": "array", "items": {"type": "string"}, "maxItems": 3}}},
        ["maxItems"],
    ),
    "a list of at least one": (
        {"type": "object", "properties": {"l": {"type": "array", "items": {"type": "string"}, "minItems": 1}}},
        [],
    ),
    "a list of at least two": (
        {"type": "object", "properties": {"l": {"type": "array", "items": {"type": "string"}, "minItems": 2}}},
        ["minItems"],
    ),
    "values": ({"type": "object", "properties": {"e": {"type": "string", "enum": ["a", "b"]}, "c": {"const": 1}}}, []),
    "a choice": (
        {"type": "object", "properties": {"u": {"anyOf": [{"type": "string", "maxLength": 1}, {"type": "null"}]}}},
        ["maxLength"],
    ),
    "one of": ({"type": "object", "properties": {"u": {"oneOf": [{"type": "string"}, {"type": "null"}]}}}, []),
    "all of": ({"type": "object", "properties": {"u": {"allOf": [{"type": "string"}]}}}, []),
    "a definition": (
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/City"}}, "$defs": {"City": CITY}},
        [],
    ),
    "a title and a default": (
        {"type": "object", "title": "T", "properties": {"a": {"type": "string", "title": "A", "default": "x"}}},
        [],
    ),
    "a list at the top": ({"type": "array", "items": CITY}, []),
}


@pytest.mark.parametrize(("schema", "dropped"), AS_THE_SDK.values(), ids=AS_THE_SDK)
def test_a_schema_is_converted_as_by_the_sdk(schema, dropped):
    output = written(response_format=of_schema(schema))

    assert output.body["output_config"]["format"]["schema"] == transform_schema(json.loads(json.dumps(schema)))
    assert sorted(output.dropped) == [f"response_format.{name}" for name in dropped]


@pytest.mark.parametrize(("schema", "dropped"), list(AS_THE_SDK.values())[:-1], ids=list(AS_THE_SDK)[:-1])
@pytest.mark.parametrize("flavour", ["anthropic", "vertex"])
def test_the_schema_of_a_strict_tool_is_converted_as_by_the_sdk(schema, dropped, flavour):
    output = written(flavour=flavour, tools=[tool(schema, strict=True)])

    [made] = output.body["tools"]
    assert (made["strict"], made["input_schema"]) == (True, transform_schema(json.loads(json.dumps(schema))))
    assert sorted(output.dropped) == [f"tools.{name}" for name in dropped]


def test_a_tool_that_is_not_strict_keeps_its_schema():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}

    output = written(tools=[tool(schema)])
    assert output.body["tools"] == [{"name": "f", "input_schema": schema}]
    assert output.dropped == []


# The SDK fails on these; the API takes what they become.
BEYOND_THE_SDK = {
    "types in a list": (
        {"type": ["string", "null"], "maxLength": 5, "description": "S"},
        {
            "anyOf": [{"type": "string", "description": "{maxLength: 5}"}, {"type": "null"}],
            "description": "S",
        },
        ["maxLength"],
    ),
    "types and values in lists": ({"type": ["string", "null"], "enum": ["a", None]}, {"enum": ["a", None]}, []),
    "no type, but items": ({"items": {"type": "string"}}, {"type": "array", "items": {"type": "string"}}, []),
    "a dialect": (
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "string"},
        {"type": "string"},
        [],
    ),
    "an object with more than it lists": (
        {**CITY, "additionalProperties": {"type": "integer"}},
        CLOSED,
        ["additionalProperties"],
    ),
}


@pytest.mark.parametrize(("schema", "expected", "dropped"), BEYOND_THE_SDK.values(), ids=BEYOND_THE_SDK)
def test_other_schemas_are_converted(schema, expected, dropped):
    whole = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    output = written(response_format=of_schema(whole))

    assert output.body["output_config"]["format"]["schema"]["properties"]["a"] == expected
    assert output.dropped == [f"response_format.{name}" for name in dropped]


def test_older_names_of_definitions_are_converted():
    schema = {"type": "object", "properties": {"a": {"$ref": "#/definitions/C"}}, "definitions": {"C": CITY}}
    made = written(response_format=of_schema(schema)).body["output_config"]["format"]["schema"]

    assert made["properties"]["a"] == {"$ref": "#/$defs/C"}
    assert made["$defs"] == {"C": CLOSED}


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
# Schemas that structured outputs cannot have: a tool, which the model must call, takes them as they are.
UNSTRUCTURED = {
    "a free-form object": FREE,
    "a dictionary": {"type": "object", "additionalProperties": {"type": "string"}},
    "a free-form object in a list": {
        "type": "object",
        "properties": {"l": {"type": "array", "items": {"type": "object"}}},
    },
    "any value": {"type": "object", "properties": {"a": {}}},
    "true": {"type": "object", "properties": {"a": True}},
    "recursive": {"type": "object", "properties": {"first": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": NODE}},
    "recursive at the top": {"type": "object", "properties": {"next": {"$ref": "#"}}},
    "too many optional properties": {
        "type": "object",
        "properties": {f"p{number}": {"type": "string"} for number in range(25)},
    },
    "too many unions": {
        "type": "object",
        "properties": {f"p{number}": {"type": ["string", "null"]} for number in range(17)},
        "required": [f"p{number}" for number in range(17)],
    },
}


@pytest.mark.parametrize("schema", UNSTRUCTURED.values(), ids=UNSTRUCTURED)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_schema_that_structured_outputs_cannot_have_becomes_a_tool(schema, flavour):
    output = written(flavour=flavour, response_format=of_schema(schema, strict=True))

    assert "output_config" not in output.body
    assert output.body["tools"] == [
        {"name": "batchgate_answer", "description": "Give the answer.", "input_schema": schema}
    ]
    assert output.body["tool_choice"] == {"type": "tool", "name": "batchgate_answer"}
    assert output.dropped == ["response_format.strict"]


@pytest.mark.parametrize("schema", UNSTRUCTURED.values(), ids=UNSTRUCTURED)
def test_a_strict_tool_that_cannot_be_strict_is_listed(schema):
    output = written(tools=[tool(schema, strict=True)])

    assert output.body["tools"] == [{"name": "f", "input_schema": schema}]
    assert output.dropped == ["strict"]


@pytest.mark.parametrize("model", [V3, V4, "anthropic.claude-3-haiku-20240307-v1:0"])
def test_models_before_structured_outputs_answer_by_a_tool(model):
    output = written(model, response_format=of_schema(CITY), tools=[tool(CITY, strict=True)])

    assert [made["name"] for made in output.body["tools"]] == ["f", "batchgate_answer"]
    assert all("strict" not in made for made in output.body["tools"])
    assert output.body["tool_choice"] == {"type": "any"}
    assert output.dropped == ["strict"]


@pytest.mark.parametrize(
    ("choice", "names", "expected"),
    [
        ("none", ["f", "batchgate_answer"], {"type": "tool", "name": "batchgate_answer"}),
        ("required", ["f"], {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, ["f"], {"type": "tool", "name": "f"}),
    ],
)
def test_the_choice_decides_between_tools_and_an_answer_by_a_tool(choice, names, expected):
    output = written(response_format=of_schema(FREE), tools=[tool(CITY)], tool_choice=choice)

    assert [made["name"] for made in output.body["tools"]] == names
    assert output.body["tool_choice"] == expected


def test_an_answer_by_a_tool_excludes_thinking():
    output = written(response_format=of_schema(FREE), reasoning_effort="low")

    assert "thinking" not in output.body
    assert output.dropped == ["reasoning_effort"]


def test_a_call_of_the_answering_tool_is_the_answer():
    content = [
        {"type": "text", "text": "Here:"},
        {"type": "tool_use", "id": "toolu_1", "name": "batchgate_answer", "input": {"labels": {"a": 1}}},
    ]
    [choice] = answers.read({"content": content, "stop_reason": "tool_use"}).choices

    assert choice.parts == [Thinking("Here:"), '{"labels":{"a":1}}']
    assert choice.finish == "stop"
    other = [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]
    [choice] = answers.read({"content": other, "stop_reason": "tool_use"}).choices
    assert (choice.parts, choice.finish) == ([ToolCall("toolu_1", "f", {})], "tool_calls")


@pytest.mark.parametrize("model", [V4_5, V5, "us.anthropic.claude-opus-4-7-v1:0", "anthropic.claude-sonnet-5-v1:0"])
def test_bedrock_takes_no_strict_tools(model):
    output = written(model, flavour="bedrock", tools=[tool(CITY, strict=True)])

    assert output.body["tools"] == [{"name": "f", "input_schema": CITY}]
    assert output.dropped == ["strict"]


@pytest.mark.parametrize("parameters", [{"type": "object", "properties": {}}, {"properties": {}}, None])
def test_a_strict_tool_without_parameters_takes_none(parameters):
    output = written(tools=[tool(parameters, strict=True)])

    [made] = output.body["tools"]
    assert made["input_schema"] == {"type": "object", "properties": {}, "additionalProperties": False}
    assert (made["strict"], output.dropped) == (True, [])


def test_only_so_many_tools_are_strict():
    names = [f"f{number}" for number in range(22)]
    output = written(tools=[tool(CITY, name=name, strict=True) for name in names])

    assert [made["name"] for made in output.body["tools"] if made.get("strict")] == names[:20]
    assert output.dropped == ["strict"]


@pytest.mark.parametrize("schema", [None, {}])
def test_a_format_without_a_schema_is_a_hint(schema):
    spec = {"name": "reply"} if schema is None else {"name": "reply", "schema": schema}
    output = written(response_format={"type": "json_schema", "json_schema": spec})

    assert "output_config" not in output.body
    assert output.dropped == ["response_format"]


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "1"}
IN_A_LOOP = [*CALLED, RESULT]
AFTER_A_LOOP = [*IN_A_LOOP, {"role": "assistant", "content": "One."}, {"role": "user", "content": "More."}]
# (model, messages, whether the model thinks).
HISTORIES = {
    "in a loop, 3.7": ("claude-3-7-sonnet-20250219", IN_A_LOOP, False),
    "in a loop, 4": (V4, IN_A_LOOP, False),
    "in a loop, 4.5": (V4_5, IN_A_LOOP, False),
    "in a loop, Opus 4.5 at Vertex": ("claude-opus-4-5@20251101", IN_A_LOOP, False),
    "in a loop, with words of the user": (V4_5, [*IN_A_LOOP, {"role": "user", "content": "So?"}], False),
    "in a second round of a loop": (V4_5, [*IN_A_LOOP, *CALLED[1:], RESULT], False),
    "after a loop": (V4_5, AFTER_A_LOOP, True),
    "no loop": (V4_5, HELLO, True),
    "a final answer to continue": (V4_5, [*HELLO, {"role": "assistant", "content": "Hi"}], False),
    "in a loop, adaptive": (V4_6, IN_A_LOOP, True),
    "in a loop, 5": (V5, IN_A_LOOP, True),
}


@pytest.mark.parametrize(("model", "messages", "thinks"), HISTORIES.values(), ids=HISTORIES)
def test_thinking_needs_a_history_that_has_it(model, messages, thinks):
    output = written(model, messages=messages, tools=[tool(CITY)], reasoning_effort="high")

    assert ("thinking" in output.body) is thinks
    assert output.dropped == ([] if thinks else ["reasoning_effort"])
    if not thinks:
        assert output.body["max_tokens"] == 4096


def test_thinking_stays_where_the_history_has_it():
    body = {
        "model": V4_5,
        "max_tokens": 8000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "f", "input_schema": CITY}],
        "messages": [
            *HELLO,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}]},
        ],
    }
    output = messages_requests.write(messages_requests.read(body), flavour="bedrock")

    assert output.body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert output.dropped == []


# Reported both ways; without tools, Bedrock refuses such a history: https://github.com/BerriAI/litellm/issues/5388.
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_history_of_calls_declares_its_tools(flavour):
    output = written(flavour=flavour, messages=AFTER_A_LOOP)

    assert output.body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert output.body["tool_choice"] == {"type": "none"}
    assert output.dropped == []


def test_an_answer_by_a_tool_after_calls_declares_their_tools():
    output = written(messages=AFTER_A_LOOP, response_format=of_schema(FREE))

    assert [made["name"] for made in output.body["tools"]] == ["f", "batchgate_answer"]
    assert output.body["tool_choice"] == {"type": "tool", "name": "batchgate_answer"}


PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}}
ANY_OF = {"anyOf": [CITY, CLOSED]}
REFUSED = {
    "an image by URL at Bedrock": ("bedrock", V4_5, {"messages": [{"role": "user", "content": [PICTURE]}]}, "messages"),
    "an image by URL at Vertex": ("vertex", V4_5, {"messages": [{"role": "user", "content": [PICTURE]}]}, "messages"),
    "alternatives at the top of a tool": ("anthropic", V4_5, {"tools": [tool(ANY_OF)]}, "tools"),
    "alternatives at the top of a tool at Bedrock": ("bedrock", V4_5, {"tools": [tool({"oneOf": [CITY]})]}, "tools"),
    "a free-form format of a model that always thinks": (
        "anthropic",
        V5_5,
        {"response_format": of_schema(FREE)},
        "response_format",
    ),
    "a list of anything": (
        "anthropic",
        V4_5,
        {"response_format": of_schema({"type": "array", "items": {"type": "object"}})},
        "response_format",
    ),
    "a tool of the gateway's name": (
        "anthropic",
        V4_5,
        {"response_format": of_schema(FREE), "tools": [tool(CITY, name="batchgate_answer")]},
        "tools",
    ),
    "a schema and a final answer to continue": (
        "anthropic",
        V4_5,
        {"response_format": of_schema(CITY), "messages": [*HELLO, {"role": "assistant", "content": "{"}]},
        "response_format",
    ),
    "sound": ("anthropic", V4_5, {"modalities": ["audio"]}, "modalities"),
    "a final answer to continue": (
        "anthropic",
        V4_6,
        {"messages": [*HELLO, {"role": "assistant", "content": "Hi"}]},
        "messages",
    ),
}


@pytest.mark.parametrize(("flavour", "model", "fields", "param"), REFUSED.values(), ids=REFUSED)
def test_what_the_model_cannot_do_is_refused_before_sending(flavour, model, fields, param):
    with pytest.raises(TranslationError) as refused:
        written(model, flavour=flavour, **fields)
    assert refused.value.param == param


CONVERSE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def conversed(model=CONVERSE, **fields):
    return families.family(model, mode="converse").write(requests.read({"model": model, "messages": HELLO, **fields}))


def test_in_converse_a_schema_is_converted_in_the_same_way():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    output = conversed(response_format=of_schema(schema))

    sent = output.body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
    assert json.loads(sent) == transform_schema(schema)
    assert output.dropped == ["response_format.minimum"]


@pytest.mark.parametrize(("model", "schema"), [(CONVERSE, FREE), ("anthropic.claude-3-haiku-20240307-v1:0", CITY)])
def test_in_converse_no_tool_can_stand_for_a_schema(model, schema):
    with pytest.raises(TranslationError) as refused:
        conversed(model, response_format=of_schema(schema))
    assert refused.value.param == "response_format"


def test_anthropic_fetches_images():
    output = written(messages=[{"role": "user", "content": [PICTURE]}])

    [block] = output.body["messages"][0]["content"]
    assert block["source"] == {"type": "url", "url": "https://pictures.example/cat.png"}


@pytest.mark.parametrize("user", ["ada@example.com", "x" * 300, "Ada <ada@mail.example.org>"])
def test_what_no_user_id_may_be_is_dropped(user):
    output = written(user=user)

    assert "metadata" not in output.body
    assert output.dropped == ["user"]
