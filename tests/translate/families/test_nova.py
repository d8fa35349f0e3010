"""What Amazon Nova takes and refuses, by Amazon's pages.

- tools: https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html (the top of a schema)
- documents: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html and ..._DocumentBlock.html
- models: https://docs.aws.amazon.com/nova/latest/userguide/what-is-nova.html (Micro takes text only)
- a history of calls: https://github.com/langgenius/dify/issues/17545 ("The toolConfig field must be defined")
"""

import pytest

from app.translate.chat import requests
from app.translate.converse import families
from app.translate.errors import TranslationError

HELLO = [{"role": "user", "content": "Hello"}]
MICRO, LITE, PRO, LITE_2 = (
    "amazon.nova-micro-v1:0",
    "us.amazon.nova-lite-v1:0",
    "amazon.nova-pro-v1:0",
    "amazon.nova-2-lite-v1:0",
)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PDF = {"type": "file", "file": {"filename": "bill.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
TEXT = {"type": "text", "text": "What is this?"}


def written(model=LITE, *, mode="invoke", messages=HELLO, **fields):
    return families.family(model, mode=mode).write(requests.read({"model": model, "messages": messages, **fields}))


def tool(parameters, name="f", **more):
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
# The schema of a tool, what Nova gets, and what is listed as dropped.
SCHEMAS = {
    "what Nova takes": (CITY, CITY, []),
    "a closed object": ({**CITY, "additionalProperties": False}, CITY, ["tools.additionalProperties"]),
    "a title and a dialect": ({**CITY, "title": "T", "$schema": "https://json-schema.org/"}, CITY, []),
    "a description": ({**CITY, "description": "Where."}, CITY, ["tools.description"]),
    "nothing": (None, {"type": "object", "properties": {}}, []),
    "no type": ({"properties": {}}, {"type": "object", "properties": {}}, []),
    "a definition": (
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/C"}}, "$defs": {"C": CITY}},
        {"type": "object", "properties": {"a": CITY}},
        [],
    ),
    "a definition of old, described": (
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/definitions/C", "description": "A"}},
            "definitions": {"C": CITY},
        },
        {"type": "object", "properties": {"a": {**CITY, "description": "A"}}},
        [],
    ),
    "definitions within definitions": (
        {
            "type": "object",
            "properties": {"l": {"type": "array", "items": {"$ref": "#/$defs/A"}}},
            "$defs": {"A": {"type": "object", "properties": {"c": {"$ref": "#/$defs/C"}}}, "C": CITY},
        },
        {
            "type": "object",
            "properties": {"l": {"type": "array", "items": {"type": "object", "properties": {"c": CITY}}}},
        },
        [],
    ),
    "a definition at the top": ({"$ref": "#/$defs/C", "$defs": {"C": CITY}}, CITY, []),
    "a recursive definition": (
        {"type": "object", "properties": {"first": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": NODE}},
        {
            "type": "object",
            "properties": {"first": {"type": "object", "properties": {"next": {"type": "object"}}}},
        },
        ["tools.$ref"],
    ),
    "a property of the name of a keyword": (
        {"type": "object", "properties": {"$ref": {"type": "string"}, "enum": {"type": "string"}}},
        {"type": "object", "properties": {"$ref": {"type": "string"}, "enum": {"type": "string"}}},
        [],
    ),
    "limits below the top": (
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}},
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}},
        [],
    ),
}


@pytest.mark.parametrize(("schema", "expected", "dropped"), SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("strict", [False, True])
def test_the_schema_of_a_tool_is_carried_inward(schema, expected, dropped, strict):
    output = written(tools=[tool(schema, strict=strict)])

    [made] = output.body["toolConfig"]["tools"]
    assert made["toolSpec"]["inputSchema"] == {"json": expected}
    assert output.dropped == [*dropped, *(["strict"] if strict else [])]


def test_the_schema_of_an_answer_is_carried_inward():
    schema = {**CITY, "additionalProperties": False, "properties": {"a": {"$ref": "#/$defs/C"}}, "$defs": {"C": CITY}}
    spec = {"name": "reply", "schema": schema, "strict": True}
    output = written(response_format={"type": "json_schema", "json_schema": spec})

    [made] = output.body["toolConfig"]["tools"]
    assert made["toolSpec"]["name"] == "batchgate_answer"
    assert made["toolSpec"]["inputSchema"] == {
        "json": {"type": "object", "properties": {"a": CITY}, "required": ["city"]}
    }
    assert output.dropped == ["response_format.additionalProperties", "response_format.strict"]


CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = [
    *HELLO,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "1"},
]


def test_a_history_of_calls_declares_its_tools():
    output = written(messages=CALLED)

    spec = {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}
    assert output.body["toolConfig"] == {"tools": [{"toolSpec": spec}], "toolChoice": {"auto": {}}}
    assert output.dropped == []


def test_a_history_of_calls_keeps_tools_that_must_not_be_called():
    output = written(messages=CALLED, tools=[tool(CITY)], tool_choice="none")

    assert output.body["toolConfig"]["toolChoice"] == {"auto": {}}
    assert output.dropped == ["tool_choice"], "Nova cannot forbid calls, and refuses such a history without tools"
    assert "toolConfig" not in written(tools=[tool(CITY)], tool_choice="none").body


def test_an_answer_by_a_tool_after_calls_keeps_their_tools():
    spec = {"type": "json_schema", "json_schema": {"name": "reply", "schema": CITY}}
    output = written(messages=CALLED, response_format=spec)

    names = [made["toolSpec"]["name"] for made in output.body["toolConfig"]["tools"]]
    assert names == ["f", "batchgate_answer"]
    assert output.body["toolConfig"]["toolChoice"] == {"tool": {"name": "batchgate_answer"}}


@pytest.mark.parametrize("mode", ["invoke", "converse"])
def test_documents_of_one_request_have_different_names(mode):
    twice = [
        {"role": "user", "content": [TEXT, PDF, PDF, PDF]},
        {"role": "assistant", "content": "Bills."},
        {"role": "user", "content": [TEXT, PDF]},
    ]
    messages = written(mode=mode, messages=twice).body["messages"]

    names = [block["document"]["name"] for said in messages for block in said["content"] if "document" in block]
    assert names == ["bill", "bill 2", "bill 3", "bill 4"]


REFUSED = {
    "an image at Micro": (MICRO, {"messages": [{"role": "user", "content": [TEXT, PNG]}]}, "messages"),
    "a document at Micro": (MICRO, {"messages": [{"role": "user", "content": [TEXT, PDF]}]}, "messages"),
    "a document alone": (PRO, {"messages": [{"role": "user", "content": [PDF]}]}, "messages"),
    "a document in another message than the text": (
        PRO,
        {
            "messages": [
                {"role": "user", "content": [PDF]},
                {"role": "assistant", "content": "Yes?"},
                {"role": "user", "content": "Sum up."},
            ]
        },
        "messages",
    ),
    "more than five documents": (PRO, {"messages": [{"role": "user", "content": [TEXT, *[PDF] * 6]}]}, "messages"),
    "a tool of a list": (PRO, {"tools": [tool({"type": "array", "items": CITY})]}, "tools"),
    "a tool of alternatives": (PRO, {"tools": [tool({"anyOf": [CITY]})]}, "tools"),
    "an answer of alternatives": (
        PRO,
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"oneOf": [CITY]}}}},
        "response_format",
    ),
    "a tool that refers to another place": (
        PRO,
        {"tools": [tool({"type": "object", "properties": {"a": {"$ref": "https://example.com/a.json"}}})]},
        "tools",
    ),
    "a tool that refers to nothing": (
        PRO,
        {"tools": [tool({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}})]},
        "tools",
    ),
    "a tool that grows without bounds": (
        PRO,
        {
            "tools": [
                tool(
                    {
                        "type": "object",
                        "properties": {"a": {"$ref": "#/$defs/d0"}},
                        "$defs": {
                            **{f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)},
                            "d30": {"type": "string"},
                        },
                    }
                )
            ]
        },
        "tools",
    ),
    "sound": (LITE_2, {"modalities": ["text", "audio"]}, "modalities"),
    "an image by URL": (
        LITE_2,
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}]}]},
        "messages",
    ),
    "no first message of the user": (LITE, {"messages": [{"role": "assistant", "content": "Hi"}, *HELLO]}, "messages"),
}


@pytest.mark.parametrize(("model", "fields", "param"), REFUSED.values(), ids=REFUSED)
def test_what_the_model_cannot_do_is_refused_before_sending(model, fields, param):
    with pytest.raises(TranslationError) as refused:
        written(model, **fields)
    assert refused.value.param == param


def test_other_models_of_nova_take_images_and_documents():
    output = written(PRO, messages=[{"role": "user", "content": [TEXT, PNG, PDF]}])

    assert [list(block) for block in output.body["messages"][0]["content"]] == [["text"], ["image"], ["document"]]


# (model, reasoning_effort, reasoningConfig, dropped fields).
EFFORTS = [
    (LITE, "high", None, ["reasoning_effort"]),
    (LITE, "none", None, []),
    (LITE_2, "none", {"type": "disabled"}, []),
    (LITE_2, "minimal", {"type": "enabled", "maxReasoningEffort": "low"}, []),
    (LITE_2, "xhigh", {"type": "enabled", "maxReasoningEffort": "high"}, []),
]


@pytest.mark.parametrize(("model", "effort", "config", "dropped"), EFFORTS)
def test_an_effort_becomes_what_the_model_takes(model, effort, config, dropped):
    output = written(model, reasoning_effort=effort)

    assert output.body.get("inferenceConfig", {}).get("reasoningConfig") == config
    assert output.dropped == dropped
